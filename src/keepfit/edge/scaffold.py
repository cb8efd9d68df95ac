"""scaffold: a service file that runs, and its data."""

from __future__ import annotations

import csv
from pathlib import Path

from keepfit.core.errors import Conflict, MissingExtra

SERVICE = '''\
"""Is a tumour malignant? Diagnoses arrive days after the question was answered."""

from datetime import timedelta

from sklearn.ensemble import HistGradientBoostingClassifier

from keepfit import Monitor, Recipe, Service, Subject, detectors, gates, triggers

tumours = Service(
    name="tumours",
    estimator=HistGradientBoostingClassifier(max_iter=50),
    data="tumours.csv",
    label="malignant",
    label_delay=timedelta(days=3),
    id="id",
    metric="log_loss",
    recipe=Recipe(holdout=0.3, seed=7),
    monitors=(Monitor(name="inputs", on=Subject.INPUTS, detector=detectors.Auto()),),
    triggers=(triggers.Labels(500), triggers.Drifted(), triggers.Cron("0 6 * * *", "Europe/Berlin")),
    gates=(gates.Contract(), gates.Golden(), gates.NotWorse(margin=0.05), gates.Floor("auc", 0.9)),
)
'''


def scaffold(folder: Path) -> tuple[Path, ...]:
    """Write `service.py` and `tumours.csv` (569 tumours, Wolberg et al. 1995, from scikit-learn) into `folder`.

    Conflict where one of them exists already: nothing is overwritten.
    """
    try:
        from sklearn.datasets import load_breast_cancer  # the `sklearn` extra
    except ImportError as error:
        raise MissingExtra("sklearn", "sklearn") from error
    folder.mkdir(parents=True, exist_ok=True)
    service, data = folder / "service.py", folder / "tumours.csv"
    for path in (service, data):
        if path.exists():
            raise Conflict(f"{path} exists already, and nothing is overwritten; name another folder")
    bunch = load_breast_cancer()
    names = [name.replace(" ", "_") for name in bunch.feature_names]
    with data.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", *names, "malignant"])
        for number, (values, target) in enumerate(zip(bunch.data.tolist(), bunch.target.tolist(), strict=True)):
            rows.writerow([f"tumour-{number:03d}", *values, "false" if target else "true"])
    service.write_text(SERVICE, encoding="utf-8")
    return service, data
