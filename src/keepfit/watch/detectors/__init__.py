"""Detectors: score a window against a reference, each on its own subject's values.

Those of two samples compare both on shared ground (ranks, shared cells), never each on a histogram of its own, so that
their p-values mean what they say; `TFDV` does otherwise, for comparison. A missing value counts as a value: a change
in what is missing is a change. Those of sequences follow losses in order of arrival and tell since when. Every effect
lies in [0, 1], 0 where nothing but chance is seen, so that one floor holds for all.
"""

from keepfit.watch.detectors.adwin import ADWIN
from keepfit.watch.detectors.anderson_darling import AndersonDarling
from keepfit.watch.detectors.auto import Auto
from keepfit.watch.detectors.chi_square import ChiSquare
from keepfit.watch.detectors.classifier import Classifier
from keepfit.watch.detectors.confidence import Confidence
from keepfit.watch.detectors.cramer_von_mises import CramerVonMises
from keepfit.watch.detectors.cusum import CUSUM
from keepfit.watch.detectors.ddm import DDM
from keepfit.watch.detectors.eddm import EDDM
from keepfit.watch.detectors.hddm_a import HDDMA
from keepfit.watch.detectors.hddm_w import HDDMW
from keepfit.watch.detectors.hellinger import Hellinger
from keepfit.watch.detectors.jensen_shannon import JensenShannon
from keepfit.watch.detectors.ks import KS
from keepfit.watch.detectors.kswin import KSWIN
from keepfit.watch.detectors.l_infinity import LInfinity
from keepfit.watch.detectors.mmd import MMD
from keepfit.watch.detectors.page_hinkley import PageHinkley
from keepfit.watch.detectors.psi import PSI
from keepfit.watch.detectors.tfdv import TFDV
from keepfit.watch.detectors.wasserstein import Wasserstein

__all__ = [
    "ADWIN",
    "CUSUM",
    "DDM",
    "EDDM",
    "HDDMA",
    "HDDMW",
    "KS",
    "KSWIN",
    "MMD",
    "PSI",
    "TFDV",
    "AndersonDarling",
    "Auto",
    "ChiSquare",
    "Classifier",
    "Confidence",
    "CramerVonMises",
    "Hellinger",
    "JensenShannon",
    "LInfinity",
    "PageHinkley",
    "Wasserstein",
]
