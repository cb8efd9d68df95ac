"""keepfit bench: learners beside each other on a scenario; and what such experiments found so far."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keepfit.core.errors import NotFound
from keepfit.edge.commands.options import places_of, stored

if TYPE_CHECKING:
    from keepfit.core.places import Places
    from keepfit.loop.bench import Experiment
    from keepfit.loop.standings import Benched
    from keepfit.store.ledger import Ledger

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("learners", nargs=-1)
@click.option(
    "--on", default="rotated-digits", show_default=True, metavar="SCENARIO", help="What is learnt, see above."
)
@click.option("--data", type=click.Path(path_type=Path), help="A folder in MNIST's format, or a file of rows.")
@click.option("--label", default="", help="The label's column in a file of rows.")
@click.option("--estimator", default="", metavar="FILE.py:NAME", help="What is trained: an estimator, or a service's.")
@click.option("--seeds", default=5, show_default=True, help="How often each learner is tried.")
@click.option("--workers", default=0, help="Processes at a time; by default one per core.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--html", type=_FILE, help="Write a page with the accuracy matrices.")
@click.option("--then", type=(click.Choice(["deploy"]), str), metavar="deploy SERVICE", help="Give SERVICE the winner.")
@stored
def bench(learners: tuple[str, ...], as_json: bool, html: Path | None, store: Path | None, **given: Any) -> None:
    """Try LEARNERS on a scenario, beside the naive and the joint baseline, and rank them.

    LEARNERS are names (fine-tune, er, ewc), with parameters ("Replay(rows=500)"), or of your own (mine.py:Halves).
    SCENARIO is split, task, domain, rotated, permuted, blurry, recurring, data or time, with parameters if need be
    ("rotated(angles=(0, 90))"), of -digits, -mnist (with --data), or of the rows of --data.

    Where this directory has a store, every run is recorded in it, and what has been run is not run again.
    """
    from keepfit.edge.bench.asked import experiment_of
    from keepfit.edge.bench.screen import live, show

    places = places_of(store)
    experiment = experiment_of(
        learners, on=given["on"], data=given["data"], label=given["label"], seeds=given["seeds"],
        estimator=given["estimator"],
    )  # fmt: skip
    with _ledger(places) as ledger, live(quiet=as_json) as tell:
        found = _benched(experiment, ledger, given["workers"], tell)
    if html is not None:
        from keepfit.edge.bench.page import page

        html.write_text(page(found), encoding="utf-8")
    if as_json:
        _print_json(found)
    else:
        show(found)
        if html is not None:
            click.echo(f"wrote {html}")
    if given["then"] is not None:
        _deploy(experiment, found, learners, given["then"][1], places)
    sys.exit(1 if any(one.failed for one in found.standings if one.name in learners) else 0)


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@stored
def experiments(name: str | None, as_json: bool, store: Path | None) -> None:
    """Show what `keepfit bench` recorded: all experiments, or the one of that NAME."""
    from keepfit.edge.bench.screen import show
    from keepfit.loop.bench import experiments as recorded
    from keepfit.store.ledger import Ledger

    places = places_of(store)
    with closing(Ledger(places.ledger, readonly=True)) as ledger:
        found = [one for one in recorded(ledger) if name in (None, one.name)]
    if name is not None and not found:
        raise NotFound(f"{places.root} has no experiment '{name}'; `keepfit experiments` lists them")
    for one in found:
        if as_json:
            _print_json(one)
        else:
            show(one)


@contextmanager
def _ledger(places: Places) -> Iterator[Ledger | None]:
    """The ledger of the store where there is one. Its facts are appended beside a control process that runs."""
    from keepfit.store.ledger import Ledger

    if not places.ledger.exists():
        yield None
        return
    with closing(Ledger(places.ledger)) as ledger:
        yield ledger


def _benched(experiment: Experiment, ledger: Ledger | None, workers: int, tell: Any) -> Benched:
    from keepfit.core.clock import SystemClock
    from keepfit.loop.bench import bench as run

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return run(experiment, clock=SystemClock(), ledger=ledger, workers=workers or cores, tell=tell)


def _print_json(found: Benched) -> None:
    import msgspec

    from keepfit.core.registry import to_plain

    click.echo(msgspec.json.format(msgspec.json.encode(to_plain(found)), indent=1).decode())


def _deploy(experiment: Experiment, found: Benched, learners: tuple[str, ...], service: str, places: Places) -> None:
    """Give the service the best of the learners that were asked for; baselines that nobody named cannot win."""
    import getpass

    from keepfit.edge.bench.deploy import deploy, winner

    chosen = winner(experiment, found, learners)
    done = deploy(chosen, service, places, experiment=experiment.name, actor=getpass.getuser())
    click.echo(f"{service}: {'changed' if done.changed else 'nothing changed'}, next update by {chosen.name}")
    for line in done.changes:
        click.echo(f"  {line}")
