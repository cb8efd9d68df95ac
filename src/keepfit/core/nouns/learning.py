"""What an update is given, may use, and leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # numpy costs a tenth of a second, pyarrow more, and only the types are needed
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Gpu:
    """What of a GPU a Run may use: which `device`, as CUDA names it (several with commas).

    `share` is the percentage of its processors, which CUDA's Multi-Process Service keeps to; `time` the share of the
    time (above 0, at most 1) in which the Run may work at all, for devices that are shared without that service.
    """

    device: str = "0"
    share: int = 100
    time: float = 1.0


@dataclass(frozen=True)
class Resources:
    """What a Run may use: threads, bytes of memory (None: no limit of keepfit's), a GPU (None: it sees none)."""

    threads: int = 1
    memory: int | None = None
    gpu: Gpu | None = None


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a Run really worked under, as the operating system says; `missing` has one sentence for what it refused.

    `scheduling` and `io` are the classes in which it waits for processors and disks, `cores` the processors it may use,
    `memory` the bytes it may take (None: all there are), `cgroup` the control group of its own with its `weight`.
    """

    scheduling: str = ""
    io: str = ""
    threads: int = 1
    cores: tuple[int, ...] = ()
    memory: int | None = None
    cgroup: str = ""
    weight: int | None = None
    gpu: str = ""
    session: int = 0
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        threads, cores = f"{self.threads} thread(s)", f"core(s) {','.join(map(str, self.cores))}"
        limit = f"{self.memory:,} bytes" if self.memory is not None else ""
        group = f"cgroup weight {self.weight}" if self.cgroup else ""
        gpu = f"GPU {self.gpu}" if self.gpu else ""
        lacking = f"not granted: {'; '.join(self.missing)}" if self.missing else ""
        io = f"io {self.io}" if self.io else ""
        return ", ".join(filter(None, (self.scheduling, io, threads, cores, limit, group, gpu, lacking)))


@dataclass(frozen=True, kw_only=True)
class Interference:
    """What a Run did to the answers of one Service: their p99 in seconds in the minute before it, and during it.

    Both are medians over seconds, None where nothing was asked; `budget` is the Service's, None where it has none.
    """

    service: str
    budget: float | None = None
    before: float | None = None
    during: float | None = None


class Base(StrEnum):
    """What an update starts from: nothing, or the parent Version's fitted estimator."""

    SCRATCH = "scratch"
    WARM = "warm"


class Choice(StrEnum):
    """Which labelled rows of its window an update learns from.

    WINDOW: the newest. NEW: those that the parent has not learnt from. FRESH: at random, newer ones rather. UNIFORM: at
    random. BALANCED: as many of every class. UNCERTAIN: those of which the parent is least sure. GRADIENT: at random,
    rather those on which the parent errs most.
    """

    WINDOW = "window"
    NEW = "new"
    FRESH = "fresh"
    UNIFORM = "uniform"
    BALANCED = "balanced"
    UNCERTAIN = "uncertain"
    GRADIENT = "gradient"


@dataclass(frozen=True)
class Memory:
    """What a learner carries from update to update: rows it remembers, and arrays by name.

    `kind` names the learner that wrote it. `rows` are remembered Records: `_id`, the features, `_label`, and columns of
    the learner's own whose names begin with `_`, so that a person's Records can be found in it and taken out.
    """

    kind: str
    rows: pa.Table | None = None
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a learner is given to learn, and what it goes on from.

    `X` is a DataFrame with the Service's features in order, or one matrix; `y` a 1-d array of labels; `ids` the ids of
    the Records, none where they have none. `classes` are all classes of the Service in order, none for numbers.
    `parent` is the fitted estimator before and `memory` what that update left behind. `checkpoint` is a folder that
    belongs to this very work: a learner may keep there how far it came, and goes on from there where an earlier
    attempt was interrupted.
    """

    X: Any
    y: NDArray[Any]
    ids: tuple[str, ...] = ()
    classes: tuple[str | int | bool, ...] = ()
    parent: Any = None
    memory: Memory | None = None
    seed: int = 0
    checkpoint: Path | None = None


@dataclass(frozen=True)
class Learnt:
    """What came of a Lesson: a fitted estimator, and the memory to go on with, None for learners without one."""

    model: Any
    memory: Memory | None = None
