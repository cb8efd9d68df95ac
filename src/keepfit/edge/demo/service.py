"""Will this flight arrive a quarter of an hour late, or later? Asked with what is known before it departs."""

from datetime import timedelta

from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from keepfit import Monitor, Recipe, Reference, Rollout, Service, Slice, Subject, Window, detectors, gates, triggers

text_as_codes = make_column_transformer(
    (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["carrier", "origin", "dest"]),
    remainder="passthrough",
)
boosting = HistGradientBoostingClassifier(learning_rate=0.05, categorical_features=[0, 1, 2])
weeks = timedelta(weeks=1)

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
        Monitor(name="drift", on=Subject.INPUTS, detector=detectors.Auto(), reference=Reference.TRAINING,
                window=Window(rows=15_000), minimum_effect=0.5, cooldown=3 * weeks),
        Monitor(name="decay", on=Subject.LOSS, detector=detectors.CUSUM(), reference=Reference.RELEASE,
                window=Window(rows=10_000), minimum=4000, stride=8000, minimum_effect=0.25, cooldown=3 * weeks),
    ),
    triggers=(triggers.Drifted(), triggers.Decayed(), triggers.Every(3 * weeks)),
    gates=(gates.Harmless(), gates.Contract(), gates.Golden()),
    slices=(Slice("origin"),),
    rollout=Rollout(confirm_labels=1500, margin=0.01),
)  # fmt: skip
