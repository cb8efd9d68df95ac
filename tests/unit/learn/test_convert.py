"""Converted models answer as their estimators do, also where values are missing, new, or just at a threshold."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import lessons
from keepfit.core.nouns import Task
from keepfit.core.signature import DType, Field
from keepfit.learn.convert import Session, convert, packed
from keepfit.learn.graph import Unconvertible
from keepfit.learn.native import answers, difference
from keepfit.learn.tables import frame

pytest.importorskip("sklearn")

from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

BINARY, MANY, NUMBER = Task.BINARY, Task.MULTICLASS, Task.REGRESSION
CLASSES: dict[Task, tuple[Any, ...]] = {BINARY: (0, 1), MANY: (0, 1, 2, 3), NUMBER: ()}


def prepared(encoder: Any, numbers: Any = "passthrough") -> ColumnTransformer:
    return ColumnTransformer(
        [("words", encoder, lessons.WORDS), ("numbers", numbers, ["wind", "distance"])], remainder="passthrough"
    )


def ordinal(**more: Any) -> OrdinalEncoder:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=more.pop("unknown", np.nan), **more)


def hot(**more: Any) -> OneHotEncoder:
    return OneHotEncoder(**{"handle_unknown": "ignore", "sparse_output": False, **more})


def dense(encoder: Any = None, numbers: Any = None) -> ColumnTransformer:
    return prepared(encoder or hot(), numbers or SimpleImputer())


CLASSIFIERS: dict[str, Any] = {
    "histogram by name": lambda: HistGradientBoostingClassifier(categorical_features=lessons.WORDS, max_iter=30),
    "histogram by mask": lambda: HistGradientBoostingClassifier(
        categorical_features=[False, True, False, True, True, False], max_iter=30
    ),
    "histogram by index after ordinals": lambda: make_pipeline(
        prepared(ordinal()), HistGradientBoostingClassifier(categorical_features=[0, 1, 4], max_iter=30)
    ),
    "histogram after one hot": lambda: make_pipeline(prepared(hot()), HistGradientBoostingClassifier(max_iter=30)),
    "histogram, deep": lambda: make_pipeline(
        prepared(ordinal()), HistGradientBoostingClassifier(max_leaf_nodes=None, min_samples_leaf=2, max_iter=10)
    ),
    "gradient boosting": lambda: make_pipeline(dense(ordinal(unknown=-1)), GradientBoostingClassifier(n_estimators=20)),
    "forest": lambda: make_pipeline(dense(hot(min_frequency=30)), RandomForestClassifier(n_estimators=20)),
    "forest with gaps": lambda: make_pipeline(prepared(ordinal()), RandomForestClassifier(n_estimators=20)),
    "extra trees": lambda: make_pipeline(dense(hot(drop="first")), ExtraTreesClassifier(n_estimators=20)),
    "tree": lambda: make_pipeline(dense(), DecisionTreeClassifier(max_depth=8)),
    "logistic": lambda: make_pipeline(dense(), StandardScaler(), LogisticRegression()),
    "logistic, rare folded": lambda: make_pipeline(
        dense(hot(handle_unknown="infrequent_if_exist", max_categories=9), SimpleImputer(add_indicator=True)),
        MinMaxScaler(clip=True),
        LogisticRegression(),
    ),
    "logistic, chosen by type": lambda: make_pipeline(
        ColumnTransformer(
            [
                ("words", hot(), make_column_selector(dtype_include=["object", "str"])),
                ("numbers", make_pipeline(SimpleImputer(strategy="median"), RobustScaler()), ["distance", "hour"]),
            ]
        ),
        LogisticRegression(),
    ),
    "stochastic": lambda: make_pipeline(dense(), StandardScaler(), SGDClassifier(loss="log_loss")),
    "stochastic, huber": lambda: make_pipeline(dense(), StandardScaler(), SGDClassifier(loss="modified_huber")),
    "ordinals of every kind": lambda: make_pipeline(
        ColumnTransformer(
            [("all", ordinal(unknown=-2, encoded_missing_value=5000), ["distance", "hour", "dest", "weekend"])]
        ),
        RandomForestClassifier(n_estimators=10),
    ),
    "folded ordinals": lambda: make_pipeline(
        ColumnTransformer([("all", ordinal(unknown=-1, min_frequency=40), lessons.WORDS)]),
        RandomForestClassifier(n_estimators=10),
    ),
    "empty words filled": lambda: make_pipeline(
        ColumnTransformer(
            [
                (
                    "words",
                    make_pipeline(SimpleImputer(missing_values="", strategy="most_frequent"), hot()),
                    lessons.WORDS,
                ),
                ("hour", FeatureUnion([("as is", "passthrough"), ("scaled", StandardScaler())]), ["hour"]),
            ],
            transformer_weights={"hour": 0.5},
        ),
        LogisticRegression(),
    ),
    "through skl2onnx": lambda: make_pipeline(dense(), StandardScaler(), PCA(5), GaussianNB()),
    "votes": lambda: VotingClassifier(
        [
            ("trees", HistGradientBoostingClassifier(categorical_features=lessons.WORDS, max_iter=10)),
            ("line", make_pipeline(dense(), StandardScaler(), LogisticRegression())),
        ],
        voting="soft",
        weights=[1, 2],
    ),
    "calibrated histogram": lambda: make_pipeline(
        prepared(ordinal()),
        CalibratedClassifierCV(HistGradientBoostingClassifier(categorical_features=[0, 1], max_iter=10), cv=2),
    ),
    "stacked histogram": lambda: make_pipeline(
        dense(), StackingClassifier([("h", HistGradientBoostingClassifier(max_iter=10))], LogisticRegression(), cv=2)
    ),
}
REGRESSORS: dict[str, Any] = {
    "histogram": lambda: HistGradientBoostingRegressor(categorical_features=lessons.WORDS, max_iter=30),
    "histogram, counts": lambda: make_pipeline(
        prepared(hot()), HistGradientBoostingRegressor(loss="poisson", max_iter=30)
    ),
    "gradient boosting": lambda: make_pipeline(dense(), GradientBoostingRegressor(n_estimators=20)),
    "forest": lambda: make_pipeline(dense(), RandomForestRegressor(n_estimators=20)),
    "extra trees": lambda: make_pipeline(dense(), ExtraTreesRegressor(n_estimators=20)),
    "tree": lambda: make_pipeline(dense(), DecisionTreeRegressor()),
    "ridge": lambda: make_pipeline(dense(), StandardScaler(), Ridge()),
    "votes": lambda: make_pipeline(dense(), VotingRegressor([("l", LinearRegression()), ("e", ElasticNet())])),
}
CASES = (
    [(BINARY, name) for name in CLASSIFIERS]
    + [(MANY, name) for name in CLASSIFIERS]
    + [(NUMBER, name) for name in REGRESSORS]
)


def fitted(made: Any, task: Task, classes: tuple[Any, ...], count: int = 1500) -> Any:
    inputs = lessons.rows(count, 1)
    for name in made.get_params():
        if name.split("__")[-1] == "random_state":
            made.set_params(**{name: 0})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a model need not converge to be converted
        return made.fit(frame(inputs, lessons.FIELDS), lessons.labels(task, inputs, 1, classes))


@pytest.mark.parametrize(("task", "name"), CASES, ids=[f"{task}-{name}" for task, name in CASES])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_answers_agree(task: Task, name: str) -> None:
    """Held-out rows, unknown words, a gap in every number that may have one: within 1e-6 of the spread."""
    estimator = fitted((REGRESSORS if task is NUMBER else CLASSIFIERS)[name](), task, CLASSES[task])
    specification = lessons.specification(task, CLASSES[task])
    session = Session(convert(estimator, specification), specification)
    held = lessons.rows(600, 2, words=90)
    held["distance"][::7] = np.nan
    native = answers(estimator, specification, held)
    spread = float(native["prediction"].std()) if task is NUMBER else 1.0
    assert difference(native, session(held)) <= 1e-6 * spread
    assert {key: value.dtype for key, value in session(held).items()} == {k: v.dtype for k, v in native.items()}


@pytest.mark.parametrize("classes", [("early", "late"), (False, True), (3, 7), ("a", "b", "ü")])
def test_labels_keep_their_own_type(classes: tuple[Any, ...]) -> None:
    """Text, truth values and whole numbers come back as themselves, from trees and from lines."""
    task = BINARY if len(classes) == 2 else MANY
    specification = lessons.specification(task, classes)
    for name in ("histogram by name", "forest", "logistic"):
        estimator = fitted(CLASSIFIERS[name](), task, classes)
        session = Session(convert(estimator, specification), specification)
        held = lessons.rows(200, 2)
        np.testing.assert_array_equal(
            session(held)["prediction"], answers(estimator, specification, held)["prediction"]
        )


def test_histogram_thresholds_are_compared_in_double_precision() -> None:
    """A value equal to a threshold, and its neighbours in double precision, go the estimator's way."""
    fields = (Field("x", DType.FP64),)
    base = 1e6 + np.arange(400) * 1e-7  # all one number in single precision
    specification = lessons.specification(BINARY, (0, 1), inputs=fields)
    estimator = HistGradientBoostingClassifier(max_iter=20, min_samples_leaf=1)
    truth = (np.arange(400) // 20) % 2
    estimator.fit(frame({"x": base}, fields), truth)
    thresholds = np.concatenate([t.nodes["num_threshold"] for (t,) in estimator._predictors])
    edges = np.concatenate([thresholds, np.nextafter(thresholds, np.inf), np.nextafter(thresholds, -np.inf), base])
    session = Session(convert(estimator, specification), specification)
    native = answers(estimator, specification, {"x": edges})
    assert np.ptp(native["probability"]) > 0.5
    assert difference(native, session({"x": edges})) < 1e-6


def test_forest_thresholds_are_compared_in_single_precision() -> None:
    """scikit-learn rounds to single precision before it compares; so does the graph, for doubles sent to it."""
    fields = (Field("x", DType.FP64),)
    base = np.sort(np.random.default_rng(0).normal(size=500))
    specification = lessons.specification(BINARY, (0, 1), inputs=fields)
    estimator = RandomForestClassifier(n_estimators=5, random_state=0).fit(
        frame({"x": base}, fields), np.arange(500) // 3 % 2
    )
    thresholds = np.concatenate([tree.tree_.threshold for tree in estimator.estimators_])
    near = thresholds.astype(np.float32)
    edges = [thresholds, near, np.nextafter(near, np.float32(9)), np.nextafter(near, np.float32(-9))]
    held = {"x": np.concatenate([edge.astype(np.float64) for edge in edges])}
    session = Session(convert(estimator, specification), specification)
    assert difference(answers(estimator, specification, held), session(held)) < 1e-6


def test_a_tie_of_votes_stays_a_tie() -> None:
    """Half of the trees for each class answers the first class, as scikit-learn does."""
    estimator = fitted(CLASSIFIERS["forest"](), BINARY, (0, 1))
    specification = lessons.specification()
    held = lessons.rows(4000, 3)
    native = answers(estimator, specification, held)
    ties = native["probability"] == 0.5
    assert ties.sum() > 10
    found = Session(convert(estimator, specification), specification)(held)
    np.testing.assert_array_equal(found["prediction"], native["prediction"])


@pytest.mark.parametrize("sign", [1, -1])
def test_boosting_on_leaves_of_one_sign(sign: int) -> None:
    """Sums whose leaves are all positive, or all negative, are still sums: onnxruntime must not take them for votes."""
    fields = (Field("x", DType.FP64),)
    specification = lessons.specification(inputs=fields)
    values = np.linspace(0, 1, 200)
    estimator = HistGradientBoostingClassifier(max_iter=1).fit(frame({"x": values}, fields), (values > 0.5).astype(int))
    (tree,) = estimator._predictors[0]
    tree.nodes["value"] = sign * np.abs(tree.nodes["value"])
    for base in (-3.0, 0.0, 3.0):
        estimator._baseline_prediction = np.array([[base]])
        session = Session(convert(estimator, specification), specification)
        held = {"x": values}
        assert difference(answers(estimator, specification, held), session(held)) < 1e-6


@pytest.mark.parametrize("seed", range(6))
def test_random_histogram_models_agree(seed: int) -> None:
    """Whatever mixture of categories, gaps, classes and depth is drawn, the graph answers as the estimator."""
    random = np.random.default_rng(seed)
    width, sizes = 5, random.integers(2, 120, 5)
    fields = tuple(Field(f"f{place}", DType.FP64, nullable=True) for place in range(width))
    categories = random.random(width) < 0.6

    def drawn(count: int, more: int) -> dict[str, Any]:
        found = {}
        for place, field in enumerate(fields):
            whole = random.integers(-3, sizes[place] + more, count).astype(float)
            values = whole if categories[place] else random.normal(size=count)
            found[field.name] = np.where(random.random(count) < random.choice([0, 0.2]), np.nan, values)
        return found

    train, held = drawn(800, 0), drawn(800, 20)
    classes = (0, 1) if seed % 2 else (0, 1, 2)
    truth = random.integers(0, len(classes), 800)
    truth[: len(classes)] = classes
    estimator = HistGradientBoostingClassifier(
        categorical_features=np.flatnonzero(categories), max_iter=8, min_samples_leaf=3, random_state=0
    ).fit(frame(train, fields), truth)
    specification = lessons.specification(BINARY if seed % 2 else MANY, classes, inputs=fields)
    session = Session(convert(estimator, specification), specification)
    assert difference(answers(estimator, specification, held), session(held)) < 1e-6


def test_a_matrix_goes_straight_in() -> None:
    """One FP32 tensor is one input of the graph, and the trees are the first node it meets."""
    import onnx

    random = np.random.default_rng(0)
    x = random.normal(size=(500, 8)).astype(np.float32)
    specification = lessons.specification(inputs=lessons.MATRIX)
    estimator = GradientBoostingClassifier(n_estimators=10).fit(x, (x[:, 0] > x[:, 1]).astype(int))
    converted = convert(estimator, specification)
    graph = onnx.load_from_string(converted.model).graph
    assert [(value.name, node.op_type) for value, node in zip(graph.input, graph.node, strict=False)] == [
        ("x", "TreeEnsembleClassifier")
    ]
    held = {"x": random.normal(size=(300, 8)).astype(np.float32)}
    assert difference(answers(estimator, specification, held), Session(converted, specification)(held)) < 1e-6


def test_columns_of_one_type_travel_together() -> None:
    """Every input of the graph costs time; there is one per type, in Signature order, and one per tensor."""
    fields = (*lessons.FIELDS, Field("late", DType.FP64), Field("image", DType.FP64, (3,)))
    assert packed(fields) == (
        ("_FP64", ("distance", "late")),
        ("_BYTES", ("origin", "dest")),
        ("_FP32", ("wind",)),
        ("_INT64", ("hour",)),
        ("_BOOL", ("weekend",)),
        ("image", ("image",)),
    )


def test_a_class_never_seen_has_no_probability() -> None:
    """A class of the Signature which the training rows lacked is there, in its place, with probability nought."""
    specification = lessons.specification(MANY, (0, 1, 2, 3))
    estimator = fitted(CLASSIFIERS["forest"](), MANY, (0, 1, 3))
    held = lessons.rows(50, 2)
    found = Session(convert(estimator, specification), specification)(held)["probabilities"]
    assert found.shape == (50, 4)
    assert (found[:, 2] == 0).all()
    np.testing.assert_allclose(found, answers(estimator, specification, held)["probabilities"], atol=1e-6)


def test_python_code_is_told_from_what_converts() -> None:
    """A step that is a user's function has no ONNX form, and the error says which."""
    estimator = fitted(make_pipeline(dense(), FunctionTransformer(np.abs), LogisticRegression()), BINARY, (0, 1))
    with pytest.raises(Unconvertible, match=r"FunctionTransformer\(absolute\)"):
        convert(estimator, lessons.specification())
