"""The seams: what an implementation must do to be joined in. Its parameters are its constructor's typed arguments."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:  # numpy costs a tenth of a second, and only the types are needed
    from asyncio import Future

    from numpy.typing import NDArray

    from keepfit.core.nouns import Bundle, Decision, Evidence, Learnt, Lesson, Pulse, Ruling, Score


@runtime_checkable
class Clock(Protocol):
    """Tells the time; replay and demos bring their own."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


@runtime_checkable
class Detector(Protocol):
    """Scores a window against a reference, one subject at a time."""

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Compare two 1-d samples of one subject (numbers, or strings for categories), in order of arrival."""
        ...


@runtime_checkable
class Trigger(Protocol):
    """Starts work."""

    def decide(self, pulse: Pulse) -> Decision:
        """Say whether to start, with the reason, from counts, times and findings alone."""
        ...


@runtime_checkable
class Gate(Protocol):
    """A rule over evidence. Absent evidence refuses or holds, never passes."""

    def judge(self, evidence: Evidence) -> Ruling:
        """Rule on a candidate, with the numbers in the reason."""
        ...


@runtime_checkable
class Learner(Protocol):
    """A method of continual learning."""

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        """Return a new fitted estimator and what is to be remembered; `estimator` and the lesson stay unchanged."""
        ...


@runtime_checkable
class Predictor(Protocol):
    """A loaded Bundle. `inline` says that `predict` is quick and safe enough for the serving thread."""

    inline: bool

    def predict(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Answer n records: arrays of shape (n, *field.shape) by input name in, by output name out.

        BYTES are object arrays of str. Raises ModelFault where the model raises or leaves its Signature.
        """
        ...

    def close(self) -> None:
        """Give back memory, and end a child process."""
        ...


@runtime_checkable
class Remote(Predictor, Protocol):
    """A Predictor that is not `inline`: it answers from a process of its own, together what waits together."""

    def ask(self, inputs: dict[str, NDArray[Any]]) -> Future[dict[str, NDArray[Any]]]:
        """Begin to answer n records, from the event loop; the Future ends as `predict` does.

        Raises Unavailable (`queue_full`) where too many requests wait already.
        """
        ...


@runtime_checkable
class Runtime(Protocol):
    """Turns a Bundle into something that predicts."""

    def load(self, directory: Path, bundle: Bundle) -> Predictor:
        """Load a verified Bundle directory; raises Refused with the reason where it cannot be served."""
        ...
