"""Avalanche: a Network trained by a strategy of avalanche-lib, and what such a strategy carries.

That is what it and its plugins have as attributes. Datasets among them become places of remembered rows, tensors plain
arrays (torch's own pickles differ from run to run), and the rest is pickled.
"""

from __future__ import annotations

import io
import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from keepfit.core.errors import MissingExtra, Refused, SpecInvalid
from keepfit.core.nouns import Learnt, Lesson, Memory
from keepfit.learn.deep.optimisers import optimiser
from keepfit.learn.deep.study import Study, begun, check_network
from keepfit.learn.deep.torches import undisturbed
from keepfit.learn.deep.vector import released

try:
    from avalanche.benchmarks.scenarios.dataset_scenario import DatasetExperience
    from avalanche.benchmarks.utils import AvalancheDataset, TaskAwareSupervisedClassificationDataset
    from avalanche.benchmarks.utils.data_attribute import DataAttribute
    from avalanche.training import supervised
    from avalanche.training.plugins import EvaluationPlugin
except ImportError as error:
    raise MissingExtra("avalanche-lib", "avalanche") from error

if TYPE_CHECKING:
    from keepfit.learn.learners.avalanche import Avalanche

_PLACES = "places"
"""The data attribute that says which row of the Study a sample is; it goes wherever the sample goes."""
_TASKS = "targets_task_labels"
_PLAIN = ("targets", _TASKS, _PLACES)


def trained(method: Avalanche, estimator: Any, lesson: Lesson) -> Learnt:
    """A copy of the parent that has gone through the Lesson as one experience of the method's strategy.

    Raises Refused where the estimator is no Network of classes, the strategy cannot be made, fails, or diverges.
    """
    check_network(method, estimator)
    with undisturbed(estimator.n_jobs, seed=lesson.seed, device=estimator.device), _seeded(lesson.seed):
        study = begun(method, estimator, lesson)
        network = study.network
        if not network.classifies:
            raise Refused("strategies of Avalanche know classes only; take another learner", code="not_a_classifier")
        released(study.module)
        strategy, rows = _made(method, study), _samples(study)
        _take_up(strategy, study, rows)
        strategy.train(_experience(study, rows), eval_streams=[], num_workers=0)
        _check(method, strategy, study)
        study.module.eval()
        memory = _remembered(method, strategy, study)
        released(study.module)
        return Learnt(network, memory)


def _experience(study: Study, rows: Any) -> Any:
    """The Lesson's own rows, as the so-manieth experience, with what strategies ask of one."""
    found = DatasetExperience(dataset=rows.subset(study.fresh.tolist()), current_experience=study.number)
    found.classes_in_this_experience = sorted(set(study.targets[study.old :].tolist()))
    found.classes_seen_so_far = np.flatnonzero(study.network.seen_).tolist()
    return found


def _check(method: Avalanche, strategy: Any, study: Study) -> None:
    try:
        study.module.load_state_dict(strategy.model.state_dict())  # some put a copy in its place
    except RuntimeError as error:
        message = f"{method.strategy} puts another module in place of the Network's: {error}"
        raise Refused(message, code="other_module") from error
    if not all(bool(parameter.isfinite().all()) for parameter in study.module.parameters()):
        raise Refused(f"learning by {method.strategy} diverged with lr={study.network.lr:g}", code="diverged")


def _made(method: Avalanche, study: Study) -> Any:
    """The strategy around the Network's module, with an optimiser of its own."""
    network = study.network
    module, _, name = method.strategy.rpartition(":")
    kind = getattr(import_module(module) if module else supervised, name, None)
    if kind is None:
        raise SpecInvalid(f"avalanche.training.supervised has no strategy {name!r}; one of your own is module:Class")
    batches = -(-len(study.lesson.y) // network.batch)
    epochs = network.epochs if network.iterations is None else -(-network.iterations // batches)
    given = {"train_mb_size": network.batch, "train_epochs": epochs, "device": network.device}
    given["optimizer"] = optimiser(network, list(study.module.parameters()))
    try:
        return kind(model=study.module, criterion=nn.CrossEntropyLoss(), evaluator=None, **given, **method.parameters)
    except (TypeError, AssertionError, AttributeError) as error:
        raise SpecInvalid(f"Avalanche's {method.strategy} with {method.parameters}: {error}") from error


def _samples(study: Study) -> Any:
    """The rows of the Study as a dataset that knows its places."""
    count = len(study.y)
    known = {"targets": study.targets.tolist(), _TASKS: [0] * count, _PLACES: list(range(count))}
    told = [DataAttribute(values, name, use_in_getitem=name == _TASKS) for name, values in known.items()]
    plain = torch.utils.data.TensorDataset(study.x, study.y)
    return TaskAwareSupervisedClassificationDataset([plain], data_attributes=told)


def _state(strategy: Any) -> tuple[list[Any], dict[str, Any]]:
    """The attributes of the plugins in order, and those of the strategy that not every strategy has."""
    common = vars(supervised.Naive(model=strategy.model, optimizer=strategy.optimizer, evaluator=None))
    plugins = [{} if isinstance(one, EvaluationPlugin) else vars(one) for one in strategy.plugins]
    return plugins, {name: value for name, value in vars(strategy).items() if name not in common}


def _remembered(method: Avalanche, strategy: Any, study: Study) -> Memory:
    sink, used = io.BytesIO(), set[int]()
    try:
        _Writer(sink, strategy, used).dump(_state(strategy))
    except (TypeError, AttributeError, pickle.PicklingError, RecursionError) as error:
        raise Refused(f"what {method.strategy} carries cannot be pickled: {error}", code="not_carried") from error
    places = np.array(sorted(used), dtype=np.int64)
    memory = study.remembered(type(method).__name__, places, {"_place": places})
    state = np.frombuffer(sink.getvalue(), dtype=np.uint8)
    return Memory(memory.kind, memory.rows if used else None, {**memory.arrays, "state": state})


def _take_up(strategy: Any, study: Study, rows: Any) -> None:
    """Go on with what the strategy of the Lesson before carried."""
    if study.memory is None or study.parent is None:
        return
    known = {int(key): place for place, key in enumerate(study.column("_place"))}
    source = io.BytesIO(study.memory.arrays["state"].tobytes())
    plugins, own = _Reader(source, strategy, rows, known).load()
    if len(plugins) != len(strategy.plugins):
        raise Refused("the memory is of another Avalanche strategy; begin again without it", code="memory_does_not_fit")
    for one, state in zip((*strategy.plugins, strategy), (*plugins, own), strict=True):
        vars(one).update(state)


class _Writer(pickle.Pickler):
    """Writes a state without what is there anyhow, and notes which rows it `used`."""

    def __init__(self, sink: io.BytesIO, strategy: Any, used: set[int]) -> None:
        super().__init__(sink, protocol=5)
        self.there = {id(strategy): "strategy", id(strategy.model): "model", id(strategy.optimizer): "optimizer"}
        self.used = used

    def persistent_id(self, thing: Any) -> Any:
        """The name of what is there anyhow; of a dataset the places of its rows, and what else it knows of them."""
        if not isinstance(thing, AvalancheDataset):
            return self.there.get(id(thing))
        places = np.array(list(getattr(thing, _PLACES, ())), dtype=np.int64)
        if len(places) != len(thing):
            raise pickle.PicklingError("a dataset of rows that were not given")
        self.used.update(places.tolist())
        more = [one for one in thing._data_attributes.values() if one.name not in _PLAIN]
        return places, [(one.name, one.use_in_getitem, _together(list(one))) for one in more]

    def reducer_override(self, thing: Any) -> Any:
        """Tensors as arrays."""
        if isinstance(thing, nn.Parameter):
            return nn.Parameter, (thing.detach().clone(), thing.requires_grad)
        if isinstance(thing, Tensor):
            return _tensor, (thing.detach().cpu().numpy(), str(thing.device))
        return NotImplemented


def _together(values: list[Any]) -> Any:
    """Tensors of rows as one, which is smaller."""
    return torch.stack(values) if values and all(isinstance(one, Tensor) for one in values) else values


def _tensor(values: Any, device: str) -> Tensor:
    return torch.tensor(values, device=device)


class _Reader(pickle.Unpickler):
    """Reads a state back; `known` are the places in which the remembered rows are now."""

    def __init__(self, source: io.BytesIO, strategy: Any, rows: Any, known: dict[int, int]) -> None:
        super().__init__(source)
        self.strategy, self.rows, self.known = strategy, rows, known

    def persistent_load(self, pid: Any) -> Any:
        """What a persistent id stands for."""
        if isinstance(pid, str):
            return self.strategy if pid == "strategy" else getattr(self.strategy, pid)
        places, more = pid
        found = self.rows.subset(self._now(places))
        for name, shown, values in more:
            found = found.update_data_attribute(name, DataAttribute(list(values), name, use_in_getitem=shown))
        return found

    def _now(self, places: NDArray[np.int64]) -> list[int]:
        """Where rows are now; for those taken out others of the same dataset, as what counts them would be wrong."""
        left = [self.known[place] for place in places.tolist() if place in self.known] or [0]
        return [self.known.get(place, left[number % len(left)]) for number, place in enumerate(places.tolist())]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Random numbers of Python and NumPy by a seed inside the block, as they were after it."""
    before = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
