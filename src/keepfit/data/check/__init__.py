"""Check: data held against a Schema. An ERROR means that nothing may be learnt from it."""

from keepfit.core.rows import Checker
from keepfit.data.check.checking import ROWS, again, check, compare, examine, quarantine
from keepfit.data.check.requests import checker, requirements

__all__ = ["ROWS", "Checker", "again", "check", "checker", "compare", "examine", "quarantine", "requirements"]
