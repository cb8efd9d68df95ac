"""Some of the classes after the others."""

from __future__ import annotations

from dataclasses import dataclass, replace

from keepfit.learn.scenarios.parts import Class, Examples, Experience, groups, numbered, parted


@dataclass(frozen=True)
class ClassIncremental:
    """Every experience brings new classes, and the model is asked about all of them without a hint.

    The class-incremental scenario of van de Ven and Tolias, "Three scenarios for continual learning" (2019). The
    classes are spread over `count` experiences in their order, or with `shuffle` in an order drawn by the seed.
    """

    count: int = 5
    shuffle: bool = False

    def experiences(self, examples: Examples, seed: int) -> tuple[Experience, ...]:
        """One experience per group of classes."""
        train, test = parted(examples, seed)
        chosen = groups(examples.classes, self.count, seed=seed if self.shuffle else None)
        return numbered(
            [Experience(name=named(one), task=0, train=train.of(one), test=test.of(one), seen=()) for one in chosen]
        )


@dataclass(frozen=True)
class TaskIncremental:
    """As ClassIncremental, but the model is told, when it is asked, which experience the row is from.

    The task-incremental scenario of van de Ven and Tolias (2019): its answer is the likeliest of that experience's
    classes, so the model needs `predict_proba`.
    """

    count: int = 5
    shuffle: bool = False

    def experiences(self, examples: Examples, seed: int) -> tuple[Experience, ...]:
        """One experience per group of classes, each asked about within its group."""
        chosen = groups(examples.classes, self.count, seed=seed if self.shuffle else None)
        found = ClassIncremental(self.count, self.shuffle).experiences(examples, seed)
        return tuple(replace(one, within=tuple(sorted(group))) for one, group in zip(found, chosen, strict=True))


def named(classes: tuple[Class, ...]) -> str:
    """A group of classes as one says it.

    >>> named((0, 1)), named(tuple(range(10)))
    ('0, 1', '0, 1, 2 and 7 more')
    """
    if len(classes) <= 4:
        return ", ".join(map(str, classes))
    return f"{', '.join(map(str, classes[:3]))} and {len(classes) - 3} more"
