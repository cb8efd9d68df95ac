"""Run every benchmark, or those named: `python -m benchmarks [NAME ...]`; exit 1 where a number is not reached.

With BENCH_SHORT=1 in the environment everything is done a few times and for moments: that shows whether it works, its
numbers mean nothing, and none is kept.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from benchmarks import page
from benchmarks.harness import SHORT, keep, quiet, show

HERE = Path(__file__).parent


def benchmarks() -> list[str]:
    """The names of the modules in this folder that have a `run` function."""
    return sorted(path.stem for path in HERE.glob("*.py") if "\ndef run(" in path.read_text(encoding="utf-8"))


def main(names: list[str]) -> int:
    """Run the named benchmarks one after the other, print their tables and write their results."""
    unknown = sorted(set(names) - set(benchmarks()))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(benchmarks())}", file=sys.stderr)
        return 2
    reached = True
    for name in names or benchmarks():
        module = import_module(f"benchmarks.{name}")
        print(f"\n{name}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
        quiet()
        lines = module.run()
        show(lines)
        if SHORT:
            continue
        keep(HERE / "results" / f"{name}.json", lines)
        page.write()
        reached = reached and all(line.reached is not False for line in lines)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
