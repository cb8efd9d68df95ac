"""Network: any torch module as an estimator with `fit`, `predict` and `predict_proba`."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from keepfit.core.errors import Refused, SpecInvalid
from keepfit.core.nouns import Lesson
from keepfit.learn.deep.bodies import NearestMean
from keepfit.learn.deep.optimisers import NAMES as OPTIMISERS
from keepfit.learn.deep.scaling import Scaling
from keepfit.learn.deep.torches import undisturbed
from keepfit.learn.graph import Answer, Columns, Graph
from keepfit.learn.learners.fine_tune import FineTune

CLOSED = -1e9
"""What is added to the score of a class that a row's task does not have: a probability of nought, and no NaN."""

_CHUNK = 8192


@dataclass(frozen=True)
class MLP:
    """Fully connected layers of rectified units; called with the shape of a row and the number of outputs.

    >>> sum(parameter.numel() for parameter in MLP((400, 400))((784,), 10).parameters())
    478410
    """

    hidden: tuple[int, ...] = (100,)
    dropout: float = 0.0

    def __call__(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """The untrained module, from rows of `shape` to so many scores."""
        layers: list[nn.Module] = [nn.Flatten()] if len(shape) > 1 else []
        sizes = [math.prod(shape), *self.hidden]
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
            layers += [nn.Dropout(self.dropout)] if self.dropout else []
        return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))


@dataclass(eq=False, kw_only=True)
class Network:
    """A torch module as an estimator: for classes where classes are given, else for numbers.

    `module` is a function (of a module, so that it can be pickled) that is given the shape of one row and the number of
    outputs, and makes the untrained module: one score per class, or the number. `optimiser` is adam, adamw or sgd.
    `iterations` is a number of batches in place of `epochs`. `heads` names the column that says which task a row is of;
    its classes then compete among themselves, and the column is no feature. `standardise` takes mean and deviation of
    the first rows off inputs and numbers to predict, and keeps to them; a missing number is nought after that.
    Every class has its output from the beginning, whether it was seen or not; with `grows` those unseen take no part in
    the loss. With `carries` the optimiser goes on with the moments that the parent's ended with, as in one long loop,
    and does not begin anew with every Lesson.

    >>> X = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    >>> network = Network(module=MLP((16,)), lr=0.01, epochs=20).fit(X, X.sum(axis=1) > 0)
    >>> bool((network.predict(X) == (X.sum(axis=1) > 0)).mean() > 0.9)
    True
    """

    module: Callable[[tuple[int, ...], int], nn.Module] = MLP()
    optimiser: str = "adam"
    lr: float = 1e-3
    momentum: float = 0.0
    weight_decay: float = 0.0
    batch: int = 128
    epochs: int = 10
    iterations: int | None = None
    heads: str | None = None
    grows: bool = False
    carries: bool = False
    standardise: bool = True
    device: str = "cpu"
    n_jobs: int = 1
    random_state: int | None = None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name, as scikit-learn asks for them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def set_params(self, **parameters: Any) -> Network:
        """Change some of the constructor's arguments; SpecInvalid for others."""
        wrong = sorted(set(parameters) - set(self.get_params()))
        if wrong:
            raise SpecInvalid(f"Network has no parameters {wrong}; it has {sorted(self.get_params())}")
        for name, value in parameters.items():
            setattr(self, name, value)
        return self

    def fit(self, X: Any, y: Any, classes: Sequence[Any] | None = None) -> Network:
        """Learn anew from rows and labels; floating point labels are numbers unless `classes` are given."""
        truth = np.asarray(y)
        if classes is None:
            classes = () if truth.dtype.kind == "f" else np.unique(truth).tolist()
        return self._taught(X, truth, tuple(classes), None)

    def partial_fit(self, X: Any, y: Any, classes: Sequence[Any] | None = None) -> Network:
        """Go on with more rows, all epochs of them; the first call is told all `classes`, or sees them."""
        if not hasattr(self, "module_"):
            return self.fit(X, y, classes)
        return self._taught(X, np.asarray(y), tuple(self.classes_.tolist()) if self.classifies else (), self)

    def _taught(self, X: Any, y: NDArray[Any], classes: tuple[Any, ...], parent: Network | None) -> Network:
        lesson = Lesson(X=X, y=y, classes=classes, parent=parent, seed=self.random_state or 0)
        learnt = FineTune().learn(self, lesson).model
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)
        vars(self).update(vars(learnt))
        return self

    def start(self, X: Any, y: NDArray[Any], classes: tuple[Any, ...]) -> None:
        """Become untrained: the module built, mean and deviation taken from these rows."""
        if self.optimiser not in OPTIMISERS:
            raise SpecInvalid(f"Network.optimiser: expected one of {list(OPTIMISERS)}, found {self.optimiser!r}")
        plain = self._plain(X)
        self.shape_: tuple[int, ...] = tuple(plain.shape[1:])
        if classes:
            kind = object if isinstance(classes[0], str) else None
            self.classes_: NDArray[Any] = np.array(classes, dtype=kind)
            self.seen_: NDArray[np.bool_] = np.zeros(len(classes), dtype=bool)
        self.tasks_: NDArray[np.float64] = np.empty(0)
        self.groups_: NDArray[np.bool_] = np.empty((0, len(classes)), dtype=bool)
        self.scaling_ = Scaling.of(plain, None if classes else y, standardise=self.standardise)
        self.means_: Tensor | None = None
        self.moments_: dict[str, NDArray[Any]] = {}
        self.module_: nn.Module = self._built()

    def go_on_from(self, parent: Network) -> None:
        """Become a copy of another fitted network, with the parameters of this one."""
        for name, value in vars(parent).items():
            if name.endswith("_") and name != "module_":
                setattr(self, name, copy.copy(value))
        self.means_ = None
        self.module_ = self._built()
        self.module_.load_state_dict(parent.module_.state_dict())

    def _built(self) -> nn.Module:
        made = self.module(self.shape_, len(self.classes_) if self.classifies else 1)
        return made.float().to(self.device)

    @property
    def classifies(self) -> bool:
        """Whether it answers classes; otherwise numbers."""
        return hasattr(self, "classes_")

    def _plain(self, X: Any) -> NDArray[Any]:
        """Rows as numbers, without the column that names the task."""
        if self.heads is not None:
            X = X.drop(columns=[self.heads])
        try:
            found = X.to_numpy() if hasattr(X, "to_numpy") else np.asarray(X)
            return found if found.dtype == np.float32 else found.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise Refused(f"a Network takes numbers only: {error}; drop or encode columns of text") from error

    def inputs(self, X: Any) -> Tensor:
        """Rows as the module is given them: scaled, in single precision, on the device."""
        rows = self.scaling_.inputs(self._plain(X))
        return torch.from_numpy(rows if rows.flags.writeable else rows.copy()).to(self.device)

    def tasks(self, X: Any) -> Tensor | None:
        """The place of each row's task among the tasks seen, their number for a new one; None without heads."""
        if self.heads is None:
            return None
        values = X[self.heads].to_numpy().astype(np.float64)
        places = np.searchsorted(self.tasks_, values)
        known = np.append(self.tasks_, np.nan)[places] == values
        return torch.from_numpy(np.where(known, places, len(self.tasks_))).to(self.device)

    def closed(self) -> Tensor:
        """What is added to scores by task, (tasks + 1, classes): a new task has every class."""
        opened = np.concatenate([self.groups_, np.ones((1, len(self.classes_)), dtype=bool)])
        return torch.from_numpy(np.where(opened, 0.0, CLOSED).astype(np.float32)).to(self.device)

    def unseen(self) -> Tensor:
        """What is added to scores, (classes,), so that classes not seen yet get nothing."""
        return torch.from_numpy(np.where(self.seen_, 0.0, CLOSED).astype(np.float32)).to(self.device)

    def notice(self, X: Any, codes: NDArray[np.int64]) -> None:
        """Remember which classes there are, and in which task."""
        self.seen_ = self.seen_.copy()
        self.seen_[codes] = True
        if self.heads is None:
            return
        values = X[self.heads].to_numpy().astype(np.float64)
        tasks = np.union1d(self.tasks_, values)
        groups = np.zeros((len(tasks), len(self.classes_)), dtype=bool)
        groups[np.searchsorted(tasks, self.tasks_)] = self.groups_
        groups[np.searchsorted(tasks, values), codes] = True
        self.tasks_, self.groups_ = tasks, groups

    def scorer(self) -> nn.Module:
        """The module that answers: the one that was trained, or the nearest of the means kept beside it."""
        return self.module_ if self.means_ is None else NearestMean(self.module_, self.means_)

    def scores(self, X: Any) -> Tensor:
        """Scores of shape (n, classes), or scaled numbers (n, 1)."""
        rows, scorer = self.inputs(X), self.scorer().eval()
        with undisturbed(self.n_jobs), torch.inference_mode():
            parts = [scorer(part) for part in rows.split(_CHUNK)] or [scorer(rows)]
            found = torch.cat(parts)
            tasks = self.tasks(X)
            return found if tasks is None else found + self.closed()[tasks]

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each row, or its number."""
        found = self.scores(X)
        if self.classifies:
            named: NDArray[Any] = self.classes_[found.argmax(dim=1).cpu().numpy()]
            return named
        return self.scaling_.numbers(found.reshape(-1).cpu().numpy())

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The probability of each class, (n, classes), in the order of `classes_`."""
        found: NDArray[np.float64] = self.scores(X).double().softmax(dim=1).cpu().numpy()
        return found

    def emit(self, graph: Graph, columns: Columns) -> Answer:
        """Add the fitted network to an ONNX graph; Unconvertible where torch cannot."""
        from keepfit.learn.deep.export import emit

        return emit(self, graph, columns)

    def __getstate__(self) -> dict[str, Any]:
        """Parameters as plain arrays: torch's own pickles differ from run to run."""
        state = dict(vars(self))
        if "module_" in state:
            weights = state.pop("module_").state_dict()
            state["module_"] = {name: value.detach().cpu().numpy().copy() for name, value in weights.items()}
            state["means_"] = None if self.means_ is None else self.means_.cpu().numpy()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build the module again and give it the arrays; no global random number is spent."""
        vars(self).update(state)
        if "module_" in state:
            with undisturbed(self.n_jobs, seed=0):
                self.module_ = self._built()
            weights = {name: torch.from_numpy(np.array(value)) for name, value in state["module_"].items()}
            self.module_.load_state_dict(weights)
            self.means_ = None if state["means_"] is None else torch.from_numpy(state["means_"]).to(self.device)
