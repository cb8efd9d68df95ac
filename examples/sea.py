"""SEA concepts: a made-up stream whose rule changes three times, with one label in ten wrong (Street & Kim 2001).

python examples/sea.py sea.parquet && keepfit replay examples/sea.py sea.parquet --chunk 100
"""

import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keepfit import Monitor, Recipe, Reference, Rollout, Service, Subject, Window, detectors, gates, triggers

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "sea"
FIRST = 3000


def history():
    """All 50,000 rows."""
    rows = np.loadtxt(FOLDER / "SEA_training_data.csv", delimiter=",")
    label = np.loadtxt(FOLDER / "SEA_training_class.csv", dtype=np.int64)
    return pa.table({"x1": rows[:, 0], "x2": rows[:, 1], "x3": rows[:, 2], "class": label})


def first():
    """What is known before the first question."""
    return history().slice(0, FIRST)


concepts = Service(
    name="sea",
    estimator=make_pipeline(StandardScaler(), LogisticRegression()),
    data=first,
    label="class",
    metric="accuracy",
    recipe=Recipe(window=Window(rows=FIRST), holdout=500),
    monitors=(
        Monitor(
            name="loss",
            on=Subject.LOSS,
            detector=detectors.CUSUM(shift=0.2),
            reference=Reference.RELEASE,
            window=Window(rows=50_000),
            stride=100,
            cooldown=timedelta(minutes=500),
        ),
    ),
    triggers=(triggers.Decayed(), triggers.Labels(5000)),
    gates=(gates.Contract(), gates.Golden(), gates.Better()),
    rollout=Rollout(confirm_labels=0),
)

if __name__ == "__main__":
    pq.write_table(history(), sys.argv[1])
