"""A deep update killed in the middle of a batch goes on from its checkpoint, to the very bytes it would have made."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

PROGRAM = """
import os, pickle, signal, sys
from dataclasses import replace
from pathlib import Path
from keepfit.core import registry
from keepfit.learn import memory
from keepfit.learn.deep import checkpoints
from keepfit.testing import deep

name, into, checkpoint, stop = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
checkpoints.EVERY = 0.0

class Mortal(deep.Fragile):
    def forward(self, rows):
        global stop
        if self.training:
            stop -= 1
            if stop == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(rows)

learner = registry.load("keepfit.learners", name)()
first, second, _ = deep.lessons()
before = learner.learn(deep.network(), first)
lesson = replace(second, parent=before.model, memory=before.memory, checkpoint=checkpoint)
deep.Fragile = Mortal
learnt = learner.learn(deep.network(), lesson)
into.mkdir()
(into / "model").write_bytes(pickle.dumps(learnt.model))
if learnt.memory is not None:
    memory.save(learnt.memory, into)
"""


def learnt(name: str, into: Path, checkpoint: Path, stop: int) -> int:
    command = [sys.executable, "-c", PROGRAM, name, str(into), str(checkpoint), str(stop)]
    return subprocess.run(command, check=False).returncode


@pytest.mark.parametrize("name", ["DERPlusPlus", "SI"])
def test_killed_and_continued_is_uninterrupted(tmp_path: Path, name: str) -> None:
    """SIGKILL at the 23rd batch, then again with the same folder: every file as if nothing had happened."""
    assert learnt(name, tmp_path / "whole", tmp_path / "c1", -1) == 0
    assert learnt(name, tmp_path / "cut", tmp_path / "c2", 23) == -signal.SIGKILL
    assert not (tmp_path / "cut").exists()
    left = (tmp_path / "c2" / "study.pt").stat()
    assert learnt(name, tmp_path / "cut", tmp_path / "c2", -1) == 0
    assert left.st_size > 0
    files = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "cut").iterdir())
    for file in files:
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "cut" / file).read_bytes(), file
