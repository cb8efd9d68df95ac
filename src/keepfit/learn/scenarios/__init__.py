"""Scenarios: in which order, and in which pieces, a learner gets to see the same data; one kind a file."""

from keepfit.learn.scenarios.classes import ClassIncremental, TaskIncremental
from keepfit.learn.scenarios.domains import DomainIncremental
from keepfit.learn.scenarios.images import Permuted, Rotated
from keepfit.learn.scenarios.mixed import Blurry, Recurring
from keepfit.learn.scenarios.parts import Examples, Experience, Rows, Scenario
from keepfit.learn.scenarios.times import DataIncremental, TimeIncremental

__all__ = [
    "Blurry",
    "ClassIncremental",
    "DataIncremental",
    "DomainIncremental",
    "Examples",
    "Experience",
    "Permuted",
    "Recurring",
    "Rotated",
    "Rows",
    "Scenario",
    "TaskIncremental",
    "TimeIncremental",
]
