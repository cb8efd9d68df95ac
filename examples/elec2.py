"""Will the price of electricity go up? New South Wales, every half hour; the label of each row is known days later."""

from pathlib import Path

from sklearn.ensemble import RandomForestClassifier

from keepfit import Monitor, Recipe, Reference, Rollout, Service, Subject, Window, detectors, gates, triggers
from keepfit.data.read import read

HISTORY = Path(__file__).parents[2] / "shared" / "data" / "elec2" / "electricity_openml.csv"


def first_weeks():
    """The rows before the first that is replayed."""
    return read(HISTORY).slice(0, 5 * 453)


prices = Service(
    name="elec2",
    estimator=RandomForestClassifier(50),
    data=first_weeks,
    label="class",
    features=("date", "day", "period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"),
    metric="accuracy",
    recipe=Recipe(window=Window(rows=4531), holdout=200, seed=0),
    monitors=(
        Monitor(name="inputs", on=Subject.INPUTS, detector=detectors.Auto(), reference=Reference.TRAINING, window=Window(rows=453), stride=453),
        Monitor(name="loss", on=Subject.LOSS, detector=detectors.CUSUM(), reference=Reference.RELEASE, window=Window(rows=20_000), false_discovery=0.05),
    ),
    triggers=(triggers.Decayed(),),
    gates=(gates.Contract(), gates.Golden(), gates.Harmless()),
    rollout=Rollout(confirm_labels=0),
)
