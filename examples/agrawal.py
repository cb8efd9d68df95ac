"""AGRAWAL: a made-up stream of loans whose rule changes from A to B to A to C (Agrawal et al. 1993).

keepfit replay examples/agrawal.py ../shared/data/agrawal_abrupt/agr_a_20k.csv --chunk 100
"""

from datetime import timedelta
from pathlib import Path

from sklearn.ensemble import HistGradientBoostingClassifier

from keepfit import Monitor, Recipe, Reference, Rollout, Service, Subject, Window, detectors, gates, triggers
from keepfit.data.read import read

HISTORY = Path(__file__).resolve().parents[2] / "shared" / "data" / "agrawal_abrupt" / "agr_a_20k.csv"
FIRST = 2000


def first():
    """What is known before the first question."""
    return read(HISTORY).slice(0, FIRST)


loans = Service(
    name="agrawal",
    estimator=HistGradientBoostingClassifier(max_iter=50),
    data=first,
    label="class",
    metric="accuracy",
    recipe=Recipe(window=Window(rows=1000), holdout=200, refit=True),
    monitors=(
        Monitor(
            name="loss",
            on=Subject.LOSS,
            detector=detectors.CUSUM(),
            reference=Reference.RELEASE,
            window=Window(rows=20_000),
            stride=100,
            cooldown=timedelta(minutes=200),
        ),
    ),
    triggers=(triggers.Decayed(), triggers.Labels(1000)),
    gates=(gates.Contract(), gates.Golden(), gates.Better()),
    rollout=Rollout(confirm_labels=0),
)
