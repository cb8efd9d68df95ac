"""Survival functions in closed form, so that watching needs no more than numpy."""

from __future__ import annotations

from math import cosh, erfc, exp, expm1, lgamma, log, pi, sqrt

_TINY = 1e-300


def kolmogorov(x: float) -> float:
    """The chance that Kolmogorov's limit variable is above `x` (Smirnov 1948; the theta form for small `x`).

    >>> round(kolmogorov(1.3581), 4)
    0.05
    """
    if x <= 0:
        return 1.0
    if x < 1.0:
        below = sum(exp(-((2 * k - 1) ** 2) * pi**2 / (8 * x * x)) for k in range(1, 8))
        return min(1.0, max(0.0, 1.0 - sqrt(2 * pi) / x * below))
    above = sum((1, -1)[k % 2 == 0] * exp(-2 * k * k * x * x) for k in range(1, 12))
    return min(1.0, 2 * above)


def chi_square(x: float, freedom: float) -> float:
    """The chance that a chi-square variable of `freedom` degrees is above `x`: the upper regularised gamma function.

    Series below the mean and Lentz's continued fraction above it (Abramowitz and Stegun 6.5.29, 6.5.31).

    >>> round(chi_square(3.841458820694124, 1), 12)
    0.05
    """
    if freedom <= 0 or x <= 0:
        return 1.0
    a, half = freedom / 2, x / 2
    front = exp(a * log(half) - half - lgamma(a))
    if half < a + 1:
        return min(1.0, max(0.0, 1.0 - front * _lower_series(a, half)))
    return min(1.0, front * _upper_fraction(a, half))


def _lower_series(a: float, x: float) -> float:
    term = total = 1 / a
    n = a
    while term > total * 1e-17:
        n += 1
        term *= x / n
        total += term
    return total


def _upper_fraction(a: float, x: float) -> float:
    b = x + 1 - a
    c, d = 1 / _TINY, 1 / b
    h = d
    for i in range(1, 100_000):
        step = -i * (i - a)
        b += 2
        d = 1 / (step * d + b or _TINY)
        c = b + step / c or _TINY
        h *= d * c
        if abs(d * c - 1) < 1e-16:
            break
    return h


def all_on_one_side(odd: int, here: int, there: int) -> float:
    """The chance that `odd` rows, dealt blindly over samples of `here` and `there` rows, all fall `here`.

    Fisher's exact test of a value that only one of two samples has.

    >>> round(all_on_one_side(7, 100, 100), 4)
    0.007
    """
    if odd > here:
        return 0.0
    whole = here + there
    return exp(lgamma(here + 1) - lgamma(here - odd + 1) - lgamma(whole + 1) + lgamma(whole - odd + 1))


def cramer_von_mises(x: float) -> float:
    """The chance that Cramér and von Mises' limit variable is above `x` (Csörgő & Faraway 1996, formula 1.3).

    Far out, where one less the series has no digits left, the first term of its tail (Zolotarev 1961).

    >>> round(cramer_von_mises(0.46136), 4)
    0.05
    """
    if x <= 0.01:
        return 1.0
    if x > 3:
        return sqrt(2) * erfc(pi * sqrt(x / 2))
    below = 0.0
    for k in range(200):
        y = 4 * k + 1
        q = y * y / (16 * x)
        front = exp(lgamma(k + 0.5) - lgamma(k + 1) - 2 * q) * sqrt(y) / (pi**1.5 * sqrt(x))
        term = front * _scaled_bessel(q)
        below += term
        if term < 1e-17:
            break
    return min(1.0, max(0.0, 1.0 - below))


def _scaled_bessel(q: float) -> float:
    """exp(q) times the modified Bessel function K of order 1/4: the trapezoid rule on its integral (DLMF 10.32.9)."""
    step = 0.05
    total = 0.5
    for i in range(1, 400):
        t = i * step
        term = exp(-q * (cosh(t) - 1)) * cosh(t / 4)
        total += term
        if term < 1e-18:
            break
    return total * step


def anderson_darling(x: float) -> float:
    """The chance that Anderson and Darling's limit variable is above `x` (Marsaglia & Marsaglia 2004, to 2e-6).

    Far out the first term of its tail (Zolotarev 1961).

    >>> round(anderson_darling(2.492), 3)
    0.05
    """
    if x <= 0.05:
        return 1.0
    if x > 8:
        return sqrt(3) * erfc(sqrt(x))
    if x < 2:
        rest = 0.0347962 - (0.011672 - 0.00168691 * x) * x
        inner = 2.00012 + (0.247105 - (0.0649821 - rest * x) * x) * x
        return 1.0 - exp(-1.2337141 / x) / sqrt(x) * inner
    rest = 0.082433 - (0.008056 - 0.0003146 * x) * x
    return -expm1(-exp(1.0776 - (2.30695 - (0.43424 - rest * x) * x) * x))
