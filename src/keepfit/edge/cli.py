"""The command line: one command per verb, each a client of the control API where there is one to ask.

Imports stand inside the commands, because `keepfit --help` must answer at once. Exit codes: 0 done, 1 refused or
failed, 2 wrong input.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from keepfit.core.errors import Invalid, KeepfitError
from keepfit.edge.commands import bench, check, models, schema, slots
from keepfit.edge.commands.drift import drift
from keepfit.edge.commands.forget import forget
from keepfit.edge.commands.interference import interference
from keepfit.edge.commands.options import client_of, end, places_of, stored
from keepfit.edge.commands.profile import profile
from keepfit.edge.commands.serve import serve
from keepfit.edge.commands.thresholds import thresholds

_PASSED_ON = {"ignore_unknown_options": True, "help_option_names": []}


_ORDER = (
    "demo", "init", "apply", "up", "down", "status", "versions", "runs", "logs", "onboard", "bundle",
    "serve", "swap", "promote", "abort", "rollback", "update", "approve", "profile", "schema", "check", "drift",
    "thresholds", "replay", "forget", "interference", "bench", "experiments", "runner",
)  # fmt: skip
"""The commands as somebody comes to need them; others follow."""


class _Commands(click.Group):
    """Turns keepfit's errors into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.commands, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeepfitError as error:
            click.echo(f"keepfit: {error}", err=True)
            ctx.exit(2 if isinstance(error, Invalid) else 1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="keepfit")
def main() -> None:
    """Keep machine-learning models fit in production: serve, record, watch, update, judge, swap, swap back."""


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
def init(folder: Path) -> None:
    """Make a service file that runs, with its data, in FOLDER."""
    from keepfit.edge.scaffold import scaffold

    for path in scaffold(folder):
        click.echo(f"wrote {path}")
    click.echo(f"next: keepfit up {folder / 'service.py'}")


@main.command("apply")
@click.argument("file", type=click.Path(path_type=Path))
@stored
def apply_(file: Path, store: Path | None) -> None:
    """Check the services that FILE declares, show what changes, and put them in force."""
    from keepfit.edge.apply import apply

    for one in apply(file, places_of(store, file), actor=getpass.getuser()):
        told = "applied" if one.first else "changed" if one.changed else "nothing changed"
        click.echo(f"{one.service}: {told} (specification {one.specification[:12]})")
        for line in (*one.changes, *one.notes):
            click.echo(f"  {line}")


@main.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@stored
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=0, help="The control API's port; 0 takes a free one.")
@click.option("--runner-port", default=0, help="The runner's port; 0 takes a free one and keeps it.")
@click.option("--grpc-port", default=0, help="The runner's gRPC port, for services with Serving(grpc=True); likewise.")
@click.option("--workers", default=1, show_default=True, help="Front workers per runner.")
@click.option("--clock", default="", help="A shared clock's file, for demonstrations and tests.")
@click.option("--ray", default="", metavar="ADDRESS", help="The Ray cluster where Runs run; it has to see the store.")
@click.option("--ray-without-token", is_flag=True, help="Join it though it asks for no token.")
def up(file: Path | None, store: Path | None, **given: Any) -> None:
    """Apply FILE and start everything: control, loop, and a runner per service. Ctrl-C stops it."""
    from keepfit.edge.control import Settings
    from keepfit.edge.control import up as run

    def tell(line: str) -> None:
        click.echo(line)
        sys.stdout.flush()

    run(places_of(store, file), Settings(file=file, actor=getpass.getuser(), **given), tell)
    sys.stderr.flush()
    os._exit(0)  # all is put away; now and then a thread of granian's aborts an interpreter that ends (its issue 693)


@main.command()
@stored
def down(store: Path | None) -> None:
    """Stop the control process of the store, and its runners, also those that outlived their control process."""
    from keepfit.edge.down import down as stop

    for line in stop(places_of(store)):
        click.echo(line)


@main.command()
@click.argument("service", required=False)
@stored
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--watch", is_flag=True, help="Show it again every second.")
def status(service: str | None, store: Path | None, as_json: bool, watch: bool) -> None:
    """Show services, versions, slots, what the loop is doing and why."""
    from keepfit.core.registry import to_plain
    from keepfit.edge.show import show, statuses

    while True:
        running, found = statuses(places_of(store), service)
        if as_json:
            click.echo(json.dumps({"control": running, "services": to_plain(found)}, indent=2))
        else:
            if watch:
                click.clear()
            show(running, found)
        if not watch:
            return
        time.sleep(1.0)


@main.command()
@click.argument("service")
@stored
def versions(service: str, store: Path | None) -> None:
    """List the versions of SERVICE with their verdicts."""
    from keepfit.edge.show import show_versions, statuses

    show_versions(statuses(places_of(store), service)[1])


@main.command()
@click.argument("service")
@stored
def runs(service: str, store: Path | None) -> None:
    """List the latest runs of SERVICE."""
    from keepfit.edge.show import show_runs

    with client_of(store) as client:
        show_runs(client.runs(service))


@main.command()
@click.argument("service")
@click.argument("run")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended.")
@stored
def logs(service: str, run: str, follow: bool, store: Path | None) -> None:
    """Print the log of a RUN of SERVICE."""
    with client_of(store) as client:
        for piece in client.log(service, run, follow=follow):
            click.echo(piece, nl=False)


@main.command()
@click.argument("service")
@stored
@click.option("--reason", default="", help="Why; it is recorded.")
@click.option("--data", type=click.Path(path_type=Path), help="Train on this file instead of the recipe's window.")
@click.option("--wait", default=0, help="Seconds to wait for the update's end.")
def update(service: str, store: Path | None, reason: str, data: Path | None, wait: int) -> None:
    """Make a candidate for SERVICE now; the gates decide about it as always."""
    actor = getpass.getuser()
    with client_of(store) as client:
        dataset = ""
        if data is not None:
            from keepfit.edge.declare.given import given

            dataset = given(data, client.status(service).specification, places_of(store))
        told = reason or (f"{actor} gave {data.name}" if data else f"{actor} asked for it")
        end(client.update(service, told, actor=actor, dataset=dataset, wait=wait))


@main.command()
@click.argument("service")
@click.argument("version", type=int)
@stored
@click.option("--reason", required=True, help="Why; it is recorded.")
@click.option("--no", "against", is_flag=True, help="Disapprove.")
def approve(service: str, version: int, store: Path | None, reason: str, against: bool) -> None:
    """Record a person's yes (or --no) to VERSION of SERVICE."""
    with client_of(store) as client:
        found = client.approve(service, version, yes=not against, reason=reason, actor=getpass.getuser())
        click.echo(f"{service} v{found.number}: {found.approved}")


@main.command(context_settings=_PASSED_ON, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def runner(arguments: tuple[str, ...]) -> None:
    """Run the serving process alone (`keepfit up` starts it by itself)."""
    from keepfit.edge.runner import main as run

    sys.exit(run(list(arguments)))


@main.command(context_settings=_PASSED_ON, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def replay(arguments: tuple[str, ...]) -> None:
    """Run the loop over history: keepfit replay SERVICE_FILE DATA."""
    from keepfit.edge.replay.report import main as run

    sys.exit(run(list(arguments)))


@main.command(context_settings=_PASSED_ON, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> None:
    """Replay a year of real flights through the whole loop, and report."""
    from keepfit.edge.demo import main as run

    sys.exit(run(list(arguments)))


for verb in (slots.swap, slots.rollback, slots.promote, slots.abort, serve):
    main.add_command(verb)
main.add_command(forget)
main.add_command(models.onboard)
main.add_command(models.bundle)
main.add_command(interference)
main.add_command(profile)
main.add_command(drift)
main.add_command(thresholds)
main.add_command(check.check)
main.add_command(schema.schema)
main.add_command(bench.bench)
main.add_command(bench.experiments)


if __name__ == "__main__":
    main()
