"""What the kept measurements of a Monitor say about its limits."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from keepfit.core.nouns import Measurement


def proposed_effects(
    history: Iterable[Measurement], *, false_alarms: float = 0.01, least: float = 0.05
) -> dict[str, float]:
    """The `minimum_effect` per subject that all but a share of its past looks stayed below.

    A look counts unless it fired; `least` is what no proposal goes below. A subject needs 20 looks: fewer say nothing
    about so rare an event, and it is left out. Above the greatest effect seen there is a tenth of room.
    """
    seen: dict[str, list[float]] = {}
    for one in history:
        if not one.fired and min(one.n_reference, one.n_window) > 0:
            seen.setdefault(one.subject, []).append(one.effect)
    return {
        subject: round(min(1.0, max(least, 1.1 * float(np.quantile(effects, 1 - false_alarms, method="higher")))), 4)
        for subject, effects in sorted(seen.items())
        if len(effects) >= 20
    }
