"""Will a Chicago taxi ride end with a big tip? 2013 to 2016, a classic of data validation, with little drift.

python examples/chicago.py taxi.parquet && keepfit replay examples/chicago.py taxi.parquet --chunk quarter
"""

import sys
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from keepfit import Monitor, Recipe, Reference, Service, Subject, Window, detectors, gates, triggers

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "chicago_taxi" / "big_tipper_data.csv"
NUMBERS = (
    "pickup_community_area",
    "fare",
    "trip_start_hour",
    "trip_start_day",
    "trip_miles",
    "trip_seconds",
    "dropoff_community_area",
)
WORDS = ("payment_type", "company")


def history():
    """All four years in order of time."""
    rides = pd.read_csv(DATA, skipinitialspace=True)
    rides["start"] = pd.to_datetime(rides["trip_start_timestamp"], unit="s")
    rides[list(NUMBERS)] = rides[list(NUMBERS)].astype(float).fillna(-1.0)  # one is missing, but not in the first year
    rides = rides.sort_values("start", kind="stable")[["start", *NUMBERS, *WORDS, "big_tipper"]]
    return pa.Table.from_pandas(rides, preserve_index=False)


def first_year():
    """2013: what is known before the first question."""
    rows = history()
    return rows.filter(pc.less(rows["start"], pa.scalar(pd.Timestamp("2014-01-01"))))


encode = make_column_transformer(
    (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), list(WORDS)), remainder="passthrough"
)
big_tips = Service(
    name="chicago",
    estimator=make_pipeline(encode, HistGradientBoostingClassifier(max_iter=60)),
    data=first_year,
    label="big_tipper",
    label_delay=timedelta(days=1),
    features=(*NUMBERS, *WORDS),
    time="start",
    metric="auc",
    recipe=Recipe(window=Window()),
    monitors=(
        Monitor(
            name="inputs",
            on=Subject.INPUTS,
            detector=detectors.Auto(),
            reference=Reference.TRAINING,
            window=Window(rows=1_000),
        ),
        Monitor(
            name="loss",
            on=Subject.LOSS,
            detector=detectors.CUSUM(),
            reference=Reference.RELEASE,
            window=Window(rows=20_000),
        ),
    ),
    triggers=(triggers.Drifted(), triggers.Decayed(), triggers.Cron("0 6 1 1,4,7,10 *", "America/Chicago")),
    gates=(gates.Contract(), gates.Golden(), gates.Better(confidence=0.99)),
)

if __name__ == "__main__":
    pq.write_table(history(), sys.argv[1])
