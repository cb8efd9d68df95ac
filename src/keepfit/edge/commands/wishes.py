"""The options by which a person says of a model what its file does not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from keepfit.edge.onboard.drafts import Wishes

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option("--sample", type=_FILE, help="A file of rows as the model takes them, to tell names and types from."),
    click.option("--signature", type=_FILE, help="A JSON file of the Signature, where no sample can tell it."),
    click.option("--task", type=click.Choice(["binary", "multiclass", "regression"]), help="What the model predicts."),
    click.option("--label", default="", help="The column of the sample that is the truth."),
    click.option("--classes", default="", help="The classes in the model's order, separated by commas."),
    click.option("--threshold", type=float, help="The probability from which the last class is predicted."),
    click.option("--entry", default="", help="What of the code is served: module:attribute."),
    click.option("--allow-pickle", default="", metavar="REASON", help="Open a pickle, in a process apart; recorded."),
    click.option("--licence", default="", help="The model's licence."),
)

NAMES = ("sample", "signature", "task", "label", "classes", "threshold", "entry", "allow_pickle", "licence")
"""The arguments that these options give a command."""


def wished(command: F) -> F:
    """Give a command the options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def wishes_of(given: dict[str, Any], *, name: str, store: Path | None = None, into: Path | None = None) -> Wishes:
    """What the options say; questions are asked where somebody is there to answer them."""
    from keepfit.core.nouns import Task
    from keepfit.edge.onboard.drafts import Wishes

    def ask(question: str, otherwise: str) -> str:
        answer: str = click.prompt(question, default=otherwise, err=True)
        return answer

    return Wishes(
        name=name,
        store=store,
        into=into,
        sample=given["sample"],
        signature=given["signature"],
        task=Task(given["task"]) if given["task"] else None,
        label=given["label"],
        classes=classes_of(given["classes"]),
        threshold=given["threshold"],
        entry=given["entry"],
        pickle=given["allow_pickle"],
        licence=given["licence"],
        ask=ask if sys.stdin.isatty() else None,
        tell=lambda line: click.echo(line, err=True),
    )


def classes_of(text: str) -> tuple[str | int | bool, ...]:
    """The classes, written with commas between them."""
    return tuple(_class(word.strip()) for word in text.split(",") if word.strip())


def _class(word: str) -> str | int | bool:
    """A class as one writes it: a whole number, a truth value, else text.

    >>> [_class(word) for word in ("-1", "true", "late")]
    [-1, True, 'late']
    """
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    return int(word) if word.removeprefix("-").isdecimal() else word
