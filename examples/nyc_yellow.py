"""Will the passenger of a yellow cab tip a fifth or more? New York, 2018: a quiet year with a few broken meters.

python examples/nyc_yellow.py yellow.parquet && keepfit replay examples/nyc_yellow.py yellow.parquet --chunk month
"""

import sys
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn.ensemble import HistGradientBoostingClassifier

from keepfit import Monitor, Recipe, Reference, Service, Subject, Window, detectors, gates, triggers

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "nyc_yellow_2018"
FEATURES = (
    "vendor_id",
    "passenger_count",
    "trip_distance",
    "rate_code_id",
    "pickup_location_id",
    "dropoff_location_id",
    "payment_type",
    "fare_amount",
    "tolls_amount",
    "hour",
    "minutes",
)


def month(path):
    """One file: 10,000 trips, less those picked up in another month than the file's."""
    trips = pd.read_csv(path, parse_dates=["pickup_datetime", "dropoff_datetime"])
    picked = trips["pickup_datetime"]
    trips["hour"] = picked.dt.hour
    trips["minutes"] = (trips["dropoff_datetime"] - picked).dt.total_seconds() / 60
    trips["generous"] = (trips["fare_amount"] > 0) & (trips["tip_amount"] >= 0.2 * trips["fare_amount"])
    inside = picked.dt.strftime("%Y-%m") == path.stem[-7:]
    return trips.loc[inside, ["pickup_datetime", *FEATURES, "generous"]]


def history():
    """The whole year."""
    months = pd.concat([month(path) for path in sorted(FOLDER.glob("yellow*.csv"))], ignore_index=True)
    return pa.Table.from_pandas(months.sort_values("pickup_datetime", kind="stable"), preserve_index=False)


def january():
    """What is known before the first question."""
    rows = history()
    return rows.filter(pc.less(rows["pickup_datetime"], pa.scalar(pd.Timestamp("2018-02-01"))))


tips = Service(
    name="nyc-yellow",
    estimator=HistGradientBoostingClassifier(max_iter=60),
    data=january,
    label="generous",
    label_delay=timedelta(hours=1),
    features=FEATURES,
    time="pickup_datetime",
    metric="auc",
    recipe=Recipe(window=Window(rows=20_000)),
    monitors=(
        Monitor(
            name="inputs",
            on=Subject.INPUTS,
            detector=detectors.Auto(),
            reference=Reference.TRAINING,
            window=Window(rows=9_900),
        ),
        Monitor(
            name="loss",
            on=Subject.LOSS,
            detector=detectors.CUSUM(),
            reference=Reference.RELEASE,
            window=Window(rows=120_000),
            stride=5_000,
        ),
    ),
    triggers=(triggers.Drifted(), triggers.Decayed()),
    gates=(gates.Contract(), gates.Golden(), gates.Better()),
)

if __name__ == "__main__":
    pq.write_table(history(), sys.argv[1])
