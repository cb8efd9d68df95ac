"""Will the price of electricity go up? New South Wales, every half hour; labels come nine days later.

keepfit replay examples/elec2.py ../shared/data/elec2/electricity_openml.csv --delay 1 --step 1800
"""

from datetime import timedelta
from pathlib import Path

from sklearn.ensemble import RandomForestClassifier

from keepfit import Monitor, Recipe, Reference, Rollout, Service, Subject, Window, detectors, gates, triggers
from keepfit.data.read import read

HISTORY = Path(__file__).resolve().parents[2] / "shared" / "data" / "elec2" / "electricity_openml.csv"
WEEK = 336  # rows: prices and demand have a weekly rhythm, so a window of any other length drifts by itself
FEATURES = ("date", "day", "period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")


def first_weeks():
    """The first 5 % of the rows: what is known before the first question."""
    return read(HISTORY).slice(0, 2265)


prices = Service(
    name="elec2",
    estimator=RandomForestClassifier(50),
    data=first_weeks,
    label="class",
    label_delay=timedelta(days=9),
    features=FEATURES,
    metric="accuracy",
    recipe=Recipe(window=Window(rows=4531), holdout=200, refit=True, looks=1),  # no week is like another one
    monitors=(
        Monitor(
            name="inputs",
            on=Subject.INPUTS,
            detector=detectors.Auto(),
            reference=Reference.TRAINING,
            window=Window(rows=WEEK),
            minimum_effect=0.3,
        ),
        Monitor(
            name="loss",
            on=Subject.LOSS,
            detector=detectors.CUSUM(),
            reference=Reference.RELEASE,
            window=Window(rows=20_000),
        ),
    ),
    triggers=(triggers.AllOf((triggers.Drifted(3, looks=1), triggers.Labels(1800))),),  # `date` always drifts
    gates=(gates.Contract(), gates.Golden(), gates.Harmless()),
    rollout=Rollout(confirm_labels=0),
)
