"""Anomalies: everything that can be out of line in a Dataset, by name, and how each is found."""

from keepfit.data.anomalies.case import Case
from keepfit.data.anomalies.kinds import TFDV, Anomaly

__all__ = ["TFDV", "Anomaly", "Case"]
