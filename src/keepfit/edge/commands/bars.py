"""Progress bars on standard error, while somebody looks at it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

    from keepfit.data.scan import Scan
    from keepfit.data.spread import Spread

T = TypeVar("T")
R = TypeVar("R")


def watched(scanned: Scan) -> Scan:
    """The same, with a progress bar while it is read, however often."""
    console = _console()
    return scanned.through(_Bar(console, scanned)) if console else scanned


def counted(spread: Spread | None) -> Spread | None:
    """The same, with a progress bar of how many of the things are done."""
    console = _console()
    return _Counted(spread, console) if spread is not None and console else spread


def busy(doing: str) -> AbstractContextManager[Any]:
    """A line that says what is being done, as long as it is."""
    console = _console()
    return console.status(doing) if console else nullcontext()


def _console() -> Any:
    """Standard error, if somebody looks at it; what draws on it is only imported then."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console

    console = Console(stderr=True)
    return console if console.is_terminal else None


class _Bar:
    """One bar over all parts of a Scan; it goes when the last one has been read."""

    def __init__(self, console: Any, scanned: Scan) -> None:
        self._console, self._total, self._parts = console, scanned.rows, len(scanned.parts)
        self._left = 0
        self._progress: Any = None
        self._task: Any = None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        if not self._left:
            self._left, self._progress = self._parts, _progress("rows", self._console)
            self._task = self._progress.add_task("", total=self._total)
            self._progress.start()
        try:
            for batch in batches:
                yield batch
                self._progress.advance(self._task, batch.num_rows)
            self._left -= 1
        except BaseException:
            self._left = 0
            raise
        finally:
            if not self._left:
                self._progress.stop()


class _Counted:
    def __init__(self, spread: Spread, console: Any) -> None:
        self._spread, self._console = spread, console

    def map(self, work: Callable[[T], R], things: Sequence[T]) -> Iterator[R]:
        """The results, counted."""
        with _progress("files", self._console) as progress:
            task = progress.add_task("", total=len(things))
            for result in self._spread.map(work, things):
                progress.advance(task)
                yield result


def _progress(what: str, console: Any) -> Any:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    shown = TextColumn(f"{{task.completed:,.0f}} {what}")
    return Progress(BarColumn(), shown, TimeElapsedColumn(), console=console, transient=True)
