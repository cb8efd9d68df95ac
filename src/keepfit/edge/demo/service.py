"""Will this flight arrive a quarter of an hour late, or later? Asked with what is known before it departs."""

from datetime import timedelta

from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from keepfit.core.nouns import Reference, Rollout, Slice, Subject, Window
from keepfit.core.service import Monitor, Recipe, Service
from keepfit.judge.gates import Contract, Golden, Harmless
from keepfit.watch.detectors import CUSUM, Auto
from keepfit.watch.triggers import Decayed, Drifted, Every

text_as_codes = make_column_transformer(
    (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["carrier", "origin", "dest"]),
    remainder="passthrough",
)
boosting = HistGradientBoostingClassifier(learning_rate=0.05, categorical_features=[0, 1, 2])

flights = Service(
    name="late-arrival",
    estimator=make_pipeline(text_as_codes, boosting),
    data="january.parquet",
    label="late",
    label_delay=timedelta(hours=6),
    id="flight",
    time="hour",
    metric="auc",
    recipe=Recipe(holdout=4000, seed=2013),
    monitors=(
        Monitor(name="drift", on=Subject.INPUTS, detector=Auto(), reference=Reference.TRAINING,
                window=Window(rows=15_000), minimum_effect=0.5, cooldown=timedelta(days=21)),
        Monitor(name="decay", on=Subject.LOSS, detector=CUSUM(), reference=Reference.RELEASE,
                window=Window(rows=10_000), minimum=4_000, stride=8_000, minimum_effect=0.25,
                cooldown=timedelta(days=21)),
    ),
    triggers=(Drifted(), Decayed(), Every(timedelta(days=21))),
    gates=(Harmless(), Contract(), Golden()),
    slices=(Slice("origin"),),
    rollout=Rollout(confirm_labels=1500, margin=0.01),
)  # fmt: skip
