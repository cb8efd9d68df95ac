"""Learners: methods of continual learning, one a file."""

from keepfit.learn.learners.accuracy_weighted import AccuracyWeighted
from keepfit.learn.learners.auto import Auto
from keepfit.learn.learners.learn_nse import LearnNSE
from keepfit.learn.learners.refit import Refit
from keepfit.learn.learners.reuse import Reuse
from keepfit.learn.learners.warm_start import WarmStart

__all__ = ["AccuracyWeighted", "Auto", "LearnNSE", "Refit", "Reuse", "WarmStart"]
