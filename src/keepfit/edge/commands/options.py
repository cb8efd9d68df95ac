"""Options that several commands take, and how a command reaches the control process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from keepfit.core.places import Places

if TYPE_CHECKING:
    from keepfit.edge.asked import Asked
    from keepfit.edge.client import Client

F = TypeVar("F", bound=Callable[..., Any])


def stored(command: F) -> F:
    """Give a command the option --store."""
    return click.option(
        "--store",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="KEEPFIT_STORE",
        help="The store; by default .keepfit beside the service file, or in this directory.",
    )(command)


def slotted(*slots: str) -> Callable[[F], F]:
    """Give a command the options --slot and --major."""

    def given(command: F) -> F:
        slot = click.option("--slot", type=click.Choice(slots), default=slots[0], show_default=True, help="Which slot.")
        major = click.option(
            "--major",
            type=click.IntRange(1, 999),
            default=1,
            show_default=True,
            help="The contract it is about: 2 is served beside the first as SERVICE@2, and may break its callers.",
        )
        return slot(major(command))

    return given


def shared(command: F) -> F:
    """Give a command the options of a canary's share."""
    percent = click.option(
        "--percent",
        type=click.FloatRange(0, 100),
        default=10.0,
        show_default=True,
        help="The share of the requests that a canary answers.",
    )
    key = click.option("--key", default="", help="An input (or _id) by whose value a canary is chosen, always alike.")
    return percent(key(command))


def places_of(store: Path | None, file: Path | None = None) -> Places:
    beside = file.resolve().parent if file else Path.cwd()
    return Places((store or beside / ".keepfit").resolve())


@contextmanager
def client_of(store: Path | None) -> Iterator[Client]:
    """A client of the running control process; Unavailable says how to start one."""
    from keepfit.core.errors import Unavailable
    from keepfit.edge.client import Client

    places = places_of(store)
    client = Client.of(places)
    if client is None:
        raise Unavailable(f"no control process runs for {places.root}; start one with: keepfit up")
    with client:
        yield client


def end(deed: Asked) -> None:
    """Print how a request ended; exit 1 where it was refused."""
    if deed.done is None:
        click.echo(f"asked (request {deed.request}); `keepfit status` shows what becomes of it")
        return
    click.echo(f"{'done' if deed.done else 'refused'}: {deed.reason}", err=not deed.done)
    if not deed.done:
        sys.exit(1)
