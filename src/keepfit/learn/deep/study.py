"""Study: a network that is learning a Lesson, and the one loop in which all deep learners learn.

The loop is flat: rows are tensors made once, a batch is a row of indices drawn for a whole epoch before it begins, all
parameters are one vector. Which rows come when depends on the seed and the epoch alone, so an interrupted lesson goes
on from a checkpoint as if it had never stopped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
import torch._dynamo  # an optimiser imports it when it is made, which takes a second: here a process is forked with it
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from keepfit.core.errors import Refused
from keepfit.core.nouns import Learnt, Lesson, Memory
from keepfit.learn.deep import checkpoints, rows
from keepfit.learn.deep.network import Network
from keepfit.learn.deep.optimisers import moments, optimiser, take_up
from keepfit.learn.deep.torches import undisturbed
from keepfit.learn.deep.vector import flattened, released
from keepfit.learn.tables import column

if TYPE_CHECKING:
    from keepfit.learn.learners.fine_tune import FineTune

_LOOKED_AT = 50
"""After so many steps the loss is looked at: reading it makes an accelerator wait."""


class Batch(NamedTuple):
    """Places of rows: those of the pass, those drawn from memory, and both in this order."""

    every: Tensor
    fresh: Tensor
    drawn: Tensor


@dataclass(eq=False)
class Study:
    """A Lesson under way. The first `old` of the rows `x` (n, ...), `y` (n,) are remembered ones, then the Lesson's.

    `kept` are tensors of the method that change from step to step, or are made once at the beginning; those whose names
    are in `lasting` go into checkpoints. `parent` is the network it goes on from, None for the first.
    """

    network: Network
    lesson: Lesson
    parent: Network | None
    X: Any
    targets: NDArray[Any]
    old: int
    kept: dict[str, Tensor] = field(default_factory=dict)
    lasting: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        network = self.network
        self.module: nn.Module = network.module_
        self.x: Tensor = network.inputs(self.X)
        self.y: Tensor = torch.from_numpy(self.targets).to(network.device)
        self.tasks: Tensor | None = network.tasks(self.X)
        self.closed: Tensor | None = None if self.tasks is None else network.closed()
        if network.grows and network.classifies and self.tasks is None:
            self.closed = network.unseen()
        self.arm()

    def arm(self) -> None:
        """Make the vector of what is trainable by now, and its optimiser."""
        self.vector, self.gradient = flattened(self.module)
        self.optimiser = optimiser(self.network, [self.vector])
        if self.network.carries:
            take_up(self.optimiser, getattr(self.network, "moments_", {}))

    @property
    def memory(self) -> Memory | None:
        """What the update before left behind."""
        return self.lesson.memory

    @property
    def fresh(self) -> NDArray[np.int64]:
        """The places of the Lesson's own rows."""
        return np.arange(self.old, len(self.y), dtype=np.int64)

    @property
    def every(self) -> NDArray[np.int64]:
        """The places of all rows, remembered ones first."""
        return np.arange(len(self.y), dtype=np.int64)

    @property
    def number(self) -> int:
        """How many lessons the memory comes from."""
        return int(self.memory.arrays["lessons"][0]) if self.memory is not None else 0

    def random(self, purpose: int) -> np.random.Generator:
        """Random numbers for one purpose in this Lesson, by its seed; epochs are the purposes from nought."""
        return np.random.default_rng([self.lesson.seed, self.number, purpose])

    def outputs(self, places: Tensor) -> Tensor:
        """What the module answers to some rows."""
        return self.module(self.x.index_select(0, places))  # type: ignore[no-any-return]  # torch's types are not looked at

    def loss(self, outputs: Tensor, places: Tensor) -> Tensor:
        """Mean cross-entropy among the classes of each row's task; mean squared error of numbers."""
        truth = self.y.index_select(0, places)
        if not self.network.classifies:
            return functional.mse_loss(outputs.squeeze(1), truth)
        return functional.cross_entropy(self.open(outputs, places), truth)

    def open(self, outputs: Tensor, places: Tensor) -> Tensor:
        """Scores in which only the classes of each row's task, or those seen, can win."""
        if self.closed is None:
            return outputs
        if self.tasks is None:
            return outputs + self.closed
        return outputs + self.closed.index_select(0, self.tasks.index_select(0, places))

    def column(self, name: str) -> NDArray[Any]:
        """A learner's own column of the remembered rows, (old,) or (old, width)."""
        if self.memory is None or self.memory.rows is None or not self.old:
            return np.empty(0)
        values = self.memory.rows[name].combine_chunks()
        if pa.types.is_fixed_size_list(values.type):
            flat: NDArray[Any] = values.flatten().to_numpy(zero_copy_only=False)
            return flat.reshape(self.old, -1)
        plain: NDArray[Any] = values.to_numpy(zero_copy_only=False)
        return plain

    def remembered(self, kind: str, places: NDArray[np.int64], own: Mapping[str, NDArray[Any]]) -> Memory:
        """A Memory of the rows at `places`, with columns of the learner's `own`, one value for each of them."""
        new = rows.of_lesson(self.lesson, places[places >= self.old] - self.old)
        if self.old and self.memory is not None and self.memory.rows is not None:
            before = self.memory.rows.select(new.column_names).cast(new.schema)
            before = before.take(pa.array(places[places < self.old]))
            order = np.argsort(np.concatenate([np.flatnonzero(places < self.old), np.flatnonzero(places >= self.old)]))
            new = pa.concat_tables([before, new]).take(pa.array(order))
        for name, values in own.items():
            new = new.append_column(name, column(values))
        return Memory(kind, new.combine_chunks(), {"lessons": np.array([self.number + 1])})


def taught(method: FineTune, estimator: Any, lesson: Lesson) -> Learnt:
    """A copy of the estimator that has learnt the lesson by the method, and what the method remembers.

    Raises Refused where the estimator is no Network, the classes are other ones than the parent's, or the loss is NaN.
    """
    check_network(method, estimator)
    with undisturbed(estimator.n_jobs, seed=lesson.seed, device=estimator.device):
        study = begun(method, estimator, lesson)
        method.begin(study)
        _pass(method, study)
        if study.network.carries:
            study.network.moments_ = moments(study.optimiser)
        study.module.eval()
        learnt = Learnt(study.network, method.remember(study))
        released(study.module)
        return learnt


def check_network(method: FineTune, estimator: Any) -> None:
    """Refused where the estimator is no Network."""
    if not isinstance(estimator, Network):
        raise Refused(
            f"{type(method).__name__} teaches a keepfit.learn.deep.Network, the Service declares a "
            f"{type(estimator).__name__}; declare a Network, or take another learner",
            code="not_a_network",
        )


def begun(method: FineTune, estimator: Network, lesson: Lesson) -> Study:
    """The Study of a Lesson, nothing of it learnt yet: the rows beside remembered ones, a copy of the parent."""
    network, memory = Network(**estimator.get_params()), lesson.memory
    old = memory.rows if memory is not None else None
    X, labels = rows.joined(old, lesson.X), rows.labels(old, lesson.y)
    parent = lesson.parent if isinstance(lesson.parent, Network) and not method.scratch else None
    if parent is None:
        network.start(X, labels, lesson.classes)
    else:
        _check_classes(parent, lesson)
        network.go_on_from(parent)
    codes = rows.codes(labels, lesson.classes) if network.classifies else None
    if codes is not None:
        network.notice(X, codes)
    y = network.scaling_.targets(labels) if codes is None else codes
    return Study(network, lesson, parent, X, y, len(labels) - len(lesson.y))


def _check_classes(parent: Network, lesson: Lesson) -> None:
    before = tuple(parent.classes_.tolist()) if parent.classifies else ()
    if before != lesson.classes:
        raise Refused(
            f"the parent answers the classes {list(before)[:10]}, the Service now has {list(lesson.classes)[:10]}; "
            "begin again from scratch",
            code="other_classes",
        )


def _pass(method: FineTune, study: Study) -> None:
    """All steps, from the first or from where an earlier attempt was interrupted."""
    passed = method.passed(study)
    if not len(passed):
        return
    size = max(1, study.network.batch)
    in_epoch = -(-len(passed) // size)
    total = study.network.iterations if study.network.iterations is not None else study.network.epochs * in_epoch
    step = _resumed(study, total)
    study.module.train()
    written = time.monotonic()
    for batch in _batches(method, study, passed, first=step, end=total):
        study.gradient.zero_()
        loss = method.loss(study, batch)
        loss.backward()
        method.correct(study, batch)
        study.optimiser.step()
        method.after(study)
        step += 1
        if step % _LOOKED_AT == 0 or step == total:
            _check_loss(study, float(loss.detach()), step, total)
        if study.lesson.checkpoint is not None and time.monotonic() - written >= checkpoints.EVERY:
            checkpoints.save(study.lesson.checkpoint, _state(study, step, total))
            written = time.monotonic()


def _batches(method: FineTune, study: Study, passed: NDArray[np.int64], *, first: int, end: int) -> Iterator[Batch]:
    size = max(1, study.network.batch)
    in_epoch = -(-len(passed) // size)
    epochs = range(first // in_epoch, -(-end // in_epoch))
    found = chain.from_iterable(_epoch(study, passed, size, method.drawn(study), epoch) for epoch in epochs)
    done = first % in_epoch
    return islice(found, done, done + end - first)


def _epoch(study: Study, passed: NDArray[np.int64], size: int, drawn: int, epoch: int) -> list[Batch]:
    """The batches of one epoch: all rows in a new order, beside each batch so many drawn from memory."""
    random = study.random(epoch)
    parts = np.split(random.permutation(passed), range(size, len(passed), size))
    if not (drawn and study.old):
        places = [torch.from_numpy(part).to(study.x.device) for part in parts]
        return [Batch(place, place, place[:0]) for place in places]
    chosen = random.integers(0, study.old, (len(parts), drawn))
    every = [torch.from_numpy(np.concatenate(pair)).to(study.x.device) for pair in zip(parts, chosen, strict=True)]
    return [Batch(place, place[:-drawn], place[-drawn:]) for place in every]


def _check_loss(study: Study, loss: float, step: int, total: int) -> None:
    if np.isfinite(loss) and (step < total or bool(study.vector.isfinite().all())):
        return
    raise Refused(
        f"the loss became {loss:g} by step {step} of {total}: learning diverged with lr={study.network.lr:g}; take a "
        "smaller one, or look for values far out of range",
        code="diverged",
    )


def _state(study: Study, step: int, total: int) -> dict[str, Any]:
    return {
        "step": step,
        "total": total,
        "vector": study.vector.detach(),
        "buffers": dict(study.module.named_buffers()),
        "optimiser": study.optimiser.state_dict(),
        "kept": {name: study.kept[name] for name in sorted(study.lasting)},
        "random": torch.get_rng_state(),
    }


def _resumed(study: Study, total: int) -> int:
    """Take up the state of an interrupted attempt at this work; how many steps it had done."""
    state = checkpoints.load(study.lesson.checkpoint)
    if state is None or state["total"] != total or state["vector"].shape != study.vector.shape:
        return 0
    with torch.no_grad():
        study.vector.copy_(state["vector"])
        for name, buffer in study.module.named_buffers():
            buffer.copy_(state["buffers"][name])
    study.optimiser.load_state_dict(state["optimiser"])
    study.kept |= {name: value.to(study.x.device) for name, value in state["kept"].items()}
    torch.set_rng_state(state["random"])
    return int(state["step"])
