"""Triggers: everything that starts an update, one a file. Each says why, also when it does not.

A trigger sees a Pulse and nothing else: times, counts, findings, and marks of the live Version where it asks for them
with `stride`. The families are those of Modyn (Böther et al. 2025), and what it lacks.
"""

from keepfit.watch.triggers.all_of import AllOf
from keepfit.watch.triggers.any_of import AnyOf
from keepfit.watch.triggers.avoidable import Avoidable
from keepfit.watch.triggers.cost import Cost
from keepfit.watch.triggers.cron import Cron
from keepfit.watch.triggers.decayed import Decayed
from keepfit.watch.triggers.drifted import Drifted
from keepfit.watch.triggers.estimated import Estimated
from keepfit.watch.triggers.every import Every
from keepfit.watch.triggers.labels import Labels
from keepfit.watch.triggers.latency import Latency
from keepfit.watch.triggers.look_ahead import LookAhead
from keepfit.watch.triggers.quantile import Quantile
from keepfit.watch.triggers.rhythm import Rhythm
from keepfit.watch.triggers.rolling import Rolling
from keepfit.watch.triggers.threshold import Threshold
from keepfit.watch.triggers.vote import Vote

__all__ = [
    "AllOf",
    "AnyOf",
    "Avoidable",
    "Cost",
    "Cron",
    "Decayed",
    "Drifted",
    "Estimated",
    "Every",
    "Labels",
    "Latency",
    "LookAhead",
    "Quantile",
    "Rhythm",
    "Rolling",
    "Threshold",
    "Vote",
]
