"""GEM: gradient episodic memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keepfit.core.nouns import Memory
from keepfit.learn.learners.fine_tune import FineTune

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from keepfit.learn.deep.study import Batch, Study


@dataclass(frozen=True)
class GEM(FineTune):
    """Turn every step that would raise the loss on an earlier lesson's remembered rows, as little as needed.

    Lopez-Paz and Ranzato, Gradient episodic memory for continual learning, 2017, eq. 8 to 11, with their `margin`. At
    most `rows` are remembered, equally many of each of the last `lessons` lessons.

    A step learns from new rows alone. With `rehearses` remembered ones are passed over beside them, so often that they
    are about as many, as Hsu et al. do it (Re-evaluating continual learning scenarios, 2018).
    """

    rows: int = 1000
    margin: float = 0.5
    lessons: int = 20
    rehearses: bool = False

    def passed(self, study: Study) -> NDArray[np.int64]:
        """The Lesson's own rows, and remembered ones where they are rehearsed."""
        import numpy as np

        if not (self.rehearses and study.old):
            return study.fresh
        times = max(1, len(study.fresh) // self.rows)
        return np.concatenate([np.tile(np.arange(study.old), times), study.fresh])

    def begin(self, study: Study) -> None:
        """Gather the remembered rows by lesson."""
        import numpy as np
        import torch

        of = study.column("_lesson")
        for number in np.unique(of):
            places = torch.from_numpy(np.flatnonzero(of == number)).to(study.x.device)
            study.kept[f"lesson {int(number)}"] = places

    def correct(self, study: Study, batch: Batch) -> None:
        """The gradient nearest to this one that has no negative product with any lesson's."""
        import torch

        from keepfit.learn.deep.projection import nearest

        earlier = [places for name, places in study.kept.items() if name.startswith("lesson")]
        if not earlier:
            return
        own, found = study.gradient.clone(), []
        for places in earlier:
            study.gradient.zero_()
            study.loss(study.outputs(places), places).backward()
            found.append(study.gradient.clone())
        study.gradient.copy_(nearest(own, torch.stack(found), self.margin))

    def remember(self, study: Study) -> Memory:
        """Rows drawn at random, by lesson."""
        import numpy as np

        from keepfit.learn.deep import keeping

        keys = np.concatenate([study.column("_key"), study.random(_DRAWN).random(len(study.fresh))])
        of = np.concatenate([study.column("_lesson"), np.full(len(study.fresh), study.number)]).astype(np.int64)
        recent = np.flatnonzero(of > study.number - self.lessons)
        _, among = np.unique(of[recent], return_inverse=True)
        places = recent[keeping.balanced(keys[recent], among, self.rows)]
        return study.remembered(type(self).__name__, places, {"_key": keys[places], "_lesson": of[places]})


_DRAWN = 10**9 + 5
"""A purpose of random numbers that is no epoch."""
