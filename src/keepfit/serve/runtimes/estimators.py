"""Estimators: how an object with scikit-learn's methods answers a Signature, as quickly as is certain to be the same.

A DataFrame of one row and 20 columns takes 137 µs to make of a dict, 13 of a matrix, and the matrix 5; a gradient
boosting of 100 trees then answers its probabilities in 744 µs from the frame and in 229 from the matrix, and works a
second time for the label (scikit-learn 1.9). So a matrix is given where no part of the estimator can see the
difference, and the label is taken from the probabilities where its class takes it from them too: 6.4 times as quick.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import MissingExtra, ModelFault, Refused
from keepfit.core.nouns import Bundle, Task
from keepfit.core.signature import DType
from keepfit.serve.runtimes.features import stacked
from keepfit.serve.runtimes.loaded import Answer, Arrays

_ARGMAX = {
    "AdaBoostClassifier", "BaggingClassifier", "BernoulliNB", "CalibratedClassifierCV", "DecisionTreeClassifier",
    "ExtraTreeClassifier", "ExtraTreesClassifier", "GaussianNB", "GradientBoostingClassifier",
    "HistGradientBoostingClassifier", "LinearDiscriminantAnalysis", "LogisticRegression", "LogisticRegressionCV",
    "MLPClassifier", "MultinomialNB", "QuadraticDiscriminantAnalysis", "RandomForestClassifier", "SGDClassifier",
}  # fmt: skip
"""Classes of scikit-learn whose label is that of the largest probability, or of a score which grows with it."""
_TIE = 1e-9
_BY_NAME = {"ColumnTransformer", "FunctionTransformer", "TransformedTargetRegressor"}

Given = Callable[[Arrays], Any]


def answers_of(bundle: Bundle, estimator: Any) -> Answer:
    """A function from the Signature's inputs to its outputs; Refused where the estimator lacks what the task needs."""
    needed = ["predict"] + (["predict_proba"] if bundle.task in (Task.BINARY, Task.MULTICLASS) else [])
    lacking = [name for name in needed if not callable(getattr(estimator, name, None))]
    if lacking:
        raise Refused(f"{type(estimator).__name__} has no {' and no '.join(lacking)}", code="wrong_model")
    given = given_to(bundle, estimator)
    if bundle.task in (Task.BINARY, Task.MULTICLASS):
        return _classified(bundle, estimator, given)
    name = bundle.signature.outputs[0].name
    if len(bundle.signature.outputs) != 1:
        raise Refused("an estimator without classes has one output, the Signature several", code="wrong_signature")
    field = bundle.signature.outputs[0]
    return lambda inputs: {name: _flat(estimator.predict(given(inputs)), field.shape)}


def _flat(values: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    found = np.asarray(values)
    return found if shape else found.reshape(-1)


def _classified(bundle: Bundle, estimator: Any, given: Given) -> Answer:
    own = [value.item() if isinstance(value, np.generic) else value for value in estimator.classes_]
    named = _probabilities(bundle, own)
    classes = np.asarray(estimator.classes_)
    derived = takes_largest(estimator)

    def answer(inputs: Arrays) -> Arrays:
        rows = given(inputs)
        found = np.asarray(estimator.predict_proba(rows))
        outputs = named(found)
        if derived and found.ndim == 2 and found.shape[1] == len(own) > 1 and not _tied(found):
            outputs["prediction"] = classes[found.argmax(axis=1)]
        else:
            outputs["prediction"] = np.asarray(estimator.predict(rows)).reshape(-1)
        return outputs

    return answer


def _tied(found: NDArray[Any]) -> bool:
    """Whether two classes are as good as equal in some row: then rounding decides, and it decides as it likes."""
    if found.shape[1] == 2:
        return bool((np.abs(found[:, 0] - found[:, 1]) < _TIE).any())
    best = np.partition(found, -2, axis=1)
    return bool((best[:, -1] - best[:, -2] < _TIE).any())


def _probabilities(bundle: Bundle, own: list[Any]) -> Callable[[NDArray[Any]], Arrays]:
    """In the order of the Bundle's classes; one that the estimator has never seen is impossible to it."""
    if bundle.task is Task.BINARY:
        if not bundle.classes or bundle.classes[-1] not in own:
            raise Refused(f"the estimator knows the classes {own}, the Bundle {bundle.classes}", code="wrong_signature")
        place = own.index(bundle.classes[-1])
        return lambda found: {"probability": found[:, place]}
    order = [own.index(value) if value in own else len(own) for value in bundle.classes]
    if order == list(range(len(own))):
        return lambda found: {"probabilities": found}
    return lambda found: {"probabilities": np.concatenate([found, np.zeros((len(found), 1))], axis=1)[:, order]}


def takes_largest(estimator: Any) -> bool:
    """Whether the label is certainly that of the largest probability: an estimator's own class says so."""
    last = estimator
    while type(last).__name__ == "Pipeline" and _is_sklearn(last):
        last = last.steps[-1][1]
    return _is_sklearn(last) and type(last).__name__ in _ARGMAX


def _is_sklearn(thing: Any) -> bool:
    return type(thing).__module__.partition(".")[0] == "sklearn"


def given_to(bundle: Bundle, estimator: Any) -> Given:
    """What the estimator is given: a tensor as it is, a matrix where that is the same to it, else a DataFrame."""
    fields = bundle.signature.inputs
    if len(fields) == 1 and fields[0].shape:
        only = fields[0].name
        return lambda inputs: inputs[only]
    if any(field.shape for field in fields):
        raise Refused("an estimator takes one tensor or plain columns, not both", code="wrong_signature")
    names = [field.name for field in fields]
    numbers = all(field.dtype is not DType.BYTES for field in fields)
    if numbers and forget_names(estimator):
        return stacked(names, np.dtype(np.float64))
    return framed(bundle)


def framed(bundle: Bundle) -> Given:
    """A DataFrame of the Signature's inputs, in its order."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtra("pandas", "sklearn") from error
    names = [field.name for field in bundle.signature.inputs]
    if all(field.dtype is DType.FP64 for field in bundle.signature.inputs):
        index, stack = pd.Index(names), stacked(names, np.dtype(np.float64))
        return lambda inputs: pd.DataFrame(stack(inputs), columns=index, copy=False)
    return lambda inputs: pd.DataFrame({name: inputs[name] for name in names}, copy=False)


def forget_names(estimator: Any) -> bool:
    """Let an estimator forget the names of its columns, where it and all its parts are such as never use them.

    Else it would warn of every matrix that its columns have no names. False where some part may need them: it is not
    scikit-learn's, or chooses columns by name.
    """
    parts: dict[int, Any] = {}
    if not _parts(estimator, parts) or not parts:
        return False
    for part in parts.values():
        part.__dict__.pop("feature_names_in_", None)
    return True


def _parts(thing: Any, found: dict[int, Any]) -> bool:
    """Gather an estimator and those inside it; False as soon as one is not known to ignore names."""
    if id(thing) in found:
        return True
    if isinstance(thing, list | tuple | set):
        return all(_parts(item, found) for item in thing)
    if isinstance(thing, dict):
        return all(_parts(item, found) for item in thing.values())
    if isinstance(thing, np.ndarray):
        return thing.dtype != object or thing.ndim == 0 or all(_parts(item, found) for item in thing.ravel())
    if not hasattr(thing, "get_params") or isinstance(thing, type):  # a number, a text, the nodes of a tree
        return _is_sklearn(thing) or not callable(getattr(thing, "predict", getattr(thing, "transform", None)))
    if not _is_sklearn(thing) or type(thing).__name__ in _BY_NAME or hasattr(thing, "_sklearn_output_config"):
        return False
    found[id(thing)] = thing
    return all(_parts(value, found) for value in vars(thing).values())


def named_outputs(bundle: Bundle, found: Any) -> Arrays:
    """What a person's own object answered, by output name: a dict, or the one output as it is."""
    if isinstance(found, dict):
        return {str(name): np.asarray(values) for name, values in found.items()}
    if len(bundle.signature.outputs) == 1:
        return {bundle.signature.outputs[0].name: np.asarray(found)}
    names = [field.name for field in bundle.signature.outputs]
    raise ModelFault(f"the model answered a {type(found).__name__}, expected a dict of {names}")
