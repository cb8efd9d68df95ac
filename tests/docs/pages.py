"""Pages of documentation as programs: their blocks run in order, and what a page says is printed has to be printed.

A block of `sh` runs in one shell per page, one of `python` in one interpreter per page, both in an empty folder. A
block of `text` is what the block before it printed; `…` stands for anything in a line, a line of its own for any lines.
Words after the language say more: `file:NAME` is a file to be written, `needs:NAME` a program or a Python module
without which the block is left out.
"""

from __future__ import annotations

import importlib.util
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_REFUSED = "# refused"
_END = "--- end of block"
_PATIENCE = 600.0  # seconds for one block, on a machine that is busy with others

_SHELL = f"""
trap 'echo "{_END} $?"' EXIT
while read -r mode block; do
  if [ "$mode" = strict ]; then set -eo pipefail; else set +eo pipefail; fi
  . "$block" 2>&1 </dev/null
  code=$?
  set +e
  echo "{_END} $code"
done
trap - EXIT
"""

_PYTHON = f"""
import sys, traceback
names = {{"__name__": "__main__"}}
for line in sys.stdin:
    code, path = 0, line.split(" ", 1)[1].rstrip("\\n")
    try:
        exec(compile(open(path, encoding="utf-8").read(), path, "exec"), names)
    except Exception:
        traceback.print_exc(file=sys.stdout)
        code = 1
    print(f"{_END} {{code}}", flush=True)
"""


@dataclass(frozen=True)
class Block:
    """One fenced block; `printed` is what has to be printed, None where the page does not say."""

    language: str
    code: str
    line: int
    file: str = ""
    needs: tuple[str, ...] = ()
    printed: str | None = None

    @property
    def refused(self) -> bool:
        """Whether its last command is shown because it fails."""
        return _REFUSED in self.code


def blocks(page: Path) -> list[Block]:
    """The blocks of a page that are run, in order."""
    text, found = page.read_text(encoding="utf-8"), list[Block]()
    for match in _FENCE.finditer(text):
        language, words, code = match[1], match[2].split(), match[3]
        line = text.count("\n", 0, match.start()) + 1
        said = {key: [w.partition(":")[2] for w in words if w.startswith(f"{key}:")] for key in ("file", "needs")}
        if language == "text" and not said["file"]:
            last = found[-1]
            found[-1] = Block(last.language, last.code, last.line, last.file, last.needs, code)
        else:
            found.append(Block(language, code, line, "".join(said["file"]), tuple(said["needs"])))
    return found


def links(text: str) -> list[str]:
    """The files that a page links to."""
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    return [target for target in targets if target and "://" not in target]


def missing(block: Block) -> list[str]:
    """The programs and modules that a block needs and this machine has not."""
    needs = (*block.needs, *(("bash", "curl") if block.language == "sh" else ()))
    return [name for name in needs if shutil.which(name) is None and importlib.util.find_spec(name) is None]


def says(expected: str, found: str) -> bool:
    """Whether what was printed is what a page says."""
    lines = [
        "(?:.*\n)*?" if line.strip() == "…" else ".*?".join(map(re.escape, line.rstrip().split("…"))) + "[ ]*\n"
        for line in expected.strip("\n").splitlines()
    ]
    return re.fullmatch("".join(lines), found.strip("\n") + "\n") is not None


class Reader:
    """One who follows a page in an empty folder; `end` takes away whatever was started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._code = folder.with_name(f"{folder.name}-blocks")
        self._code.mkdir()
        self._environment = _environment(tempfile.mkdtemp(dir=folder.parent))  # short: sockets are made in it
        self._speakers: dict[str, Speaker] = {}

    def follow(self, block: Block) -> tuple[int, str]:
        """Do what a block says; its exit status and what it printed."""
        if block.file:
            (self.folder / block.file).write_text(block.code, encoding="utf-8")
            return 0, ""
        if block.language not in self._speakers:
            command = ["bash", "-c", _SHELL] if block.language == "sh" else [sys.executable, "-c", _PYTHON]
            self._speakers[block.language] = Speaker(command, self.folder, self._environment)
        path = self._code / f"{block.line}.{block.language}"
        path.write_text(block.code, encoding="utf-8")
        return self._speakers[block.language].say(f"{'lenient' if block.refused else 'strict'} {path}")

    def end(self) -> None:
        """End every process of the page."""
        down = [sys.executable, "-m", "keepfit.edge.cli", "down"]
        for folder in {store.parent for store in self.folder.glob("**/.keepfit")}:
            subprocess.run(down, cwd=folder, env=self._environment, capture_output=True, check=False, timeout=_PATIENCE)
        for speaker in self._speakers.values():
            speaker.end()


class Speaker:
    """A shell or an interpreter that is given one block after the other."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )

    def say(self, line: str) -> tuple[int, str]:
        """Give it a block; the exit status and what was printed until its end."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        late = threading.Timer(_PATIENCE, self.end)
        late.start()
        try:
            return self._heard()
        finally:
            late.cancel()

    def _heard(self) -> tuple[int, str]:
        printed: list[str] = []
        for line in self._process.stdout or ():
            text, end, code = line.partition(_END)
            printed.append(text)
            if end:
                return int(code), "".join(printed)
        return -1, "".join(printed) + f"\n(ended, or took more than {_PATIENCE:g} s)"

    def end(self) -> None:
        """End it with all its children."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
                self._process.wait(10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _environment(scratch: str) -> dict[str, str]:
    """The machine's, with our commands first and with free ports where a page names some."""
    ports = dict(zip(("PORT", "GRPC_PORT", "SINK_PORT"), map(str, _free(3)), strict=True))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    local = {"NO_PROXY": "*", "no_proxy": "*", "COLUMNS": "120", "TMPDIR": scratch}
    silent = {"PYTHONWARNINGS": "ignore", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return {**os.environ, **local, **silent, **ports, "PATH": path}


def _free(number: int) -> Iterator[int]:
    """Ports that nobody listens on, and that no process is given that asks for any port, as most tests do."""
    found = 0
    while found < number:
        port = random.SystemRandom().randrange(12_000, 32_000)  # below those that Linux gives by itself
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            found += 1
            yield port
