"""Check: data held against a Schema. An ERROR means that nothing may be learnt from it."""

from keepfit.data.check.checking import ROWS, check, compare, examine, quarantine
from keepfit.data.check.requests import Checker, checker

__all__ = ["ROWS", "Checker", "check", "checker", "compare", "examine", "quarantine"]
