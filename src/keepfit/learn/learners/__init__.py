"""Learners: methods of continual learning, one a file."""

from keepfit.learn.learners.refit import Refit
from keepfit.learn.learners.warm_start import WarmStart

__all__ = ["Refit", "WarmStart"]
