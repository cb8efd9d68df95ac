"""Profile: mergeable statistics of a Dataset, column by column."""

from keepfit.data.profile.distinct import HASHES, Distinct
from keepfit.data.profile.frequent import KEPT, Frequent
from keepfit.data.profile.kinds import NUMBERS, Kind, kind_of
from keepfit.data.profile.measuring import profile
from keepfit.data.profile.profiles import Profile, SliceProfile
from keepfit.data.profile.quantiles import POINTS, Quantiles
from keepfit.data.profile.statistics import (
    Lengths,
    Moments,
    Statistics,
    Values,
    Weighted,
    counted_in,
    equal_histogram,
    histogram,
)

__all__ = [
    "HASHES",
    "KEPT",
    "NUMBERS",
    "POINTS",
    "Distinct",
    "Frequent",
    "Kind",
    "Lengths",
    "Moments",
    "Profile",
    "Quantiles",
    "SliceProfile",
    "Statistics",
    "Values",
    "Weighted",
    "counted_in",
    "equal_histogram",
    "histogram",
    "kind_of",
    "profile",
]
