"""serve: any model at an address, without a control process; called again, it swaps the next one in."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keepfit.edge.commands.models import answered
from keepfit.edge.commands.options import places_of, shared, slotted, stored
from keepfit.edge.commands.wishes import NAMES, wished, wishes_of

if TYPE_CHECKING:
    from keepfit.core.nouns import Bundle, Digest
    from keepfit.core.service import Serving
    from keepfit.edge.onboard.drafts import Wishes
    from keepfit.edge.serving import Standalone

_SETTINGS = (
    click.option("--grpc/--no-grpc", default=None, help="Open a gRPC port too."),
    click.option("--record", "sample_share", type=click.FloatRange(0, 1), help="The share of requests recorded."),
    click.option("--mask", multiple=True, help="A field whose values are never written; may be repeated."),
    click.option("--sink", help="A URL that gets every recorded exchange as CloudEvents."),
    click.option("--batch-delay", type=float, help="Seconds a request may wait to be answered with others."),
    click.option("--queue", type=int, help="Requests that may wait for a model (429)."),
    click.option("--deadline", type=float, help="Seconds a request may take (504)."),
    click.option("--cache", type=int, help="Answers kept to be given again."),
    click.option("--memory", type=int, help="Bytes that the models may have (507)."),
    click.option("--preserve", type=click.Choice(["availability", "resources"]), help="What a swap saves."),
    click.option("--drain", type=float, help="Seconds in which a version that left should be done."),
    click.option("--body", type=int, help="The most bytes of one request (413)."),
)
_FIELDS = ("grpc", "sink", "batch_delay", "queue", "deadline", "cache", "memory", "drain", "body")


def _settled(command: Any) -> Any:
    for option in reversed(_SETTINGS):
        command = option(command)
    return command


@click.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--name", default="", help="The deployment's name, by default the model's.")
@stored
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=0, help="The port; 0 takes a free one, and the same one again next time.")
@click.option("--grpc-port", default=0, help="The gRPC port; likewise.")
@click.option("--workers", default=1, show_default=True, help="Front workers.")
@slotted("live", "canary", "shadow")
@click.option("--shadow", "slot", flag_value="shadow", help="The same as --slot shadow.")
@shared
@click.option("--no-capture", is_flag=True, help="Record nothing.")
@_settled
@wished
def serve(path: Path | None, name: str, store: Path | None, **given: Any) -> None:
    """Serve the model at PATH: a Bundle, or anything that `keepfit onboard` takes.

    Called again with the same name while it runs, it swaps the model at PATH in as the next version, without a lost
    request, and returns; what its file is silent about is taken to be as it is of the live one. Without PATH it starts
    again what was served before. `keepfit status`, `swap`, `rollback`, `promote`, `abort` and `down` take the name.
    """
    from keepfit.core.facts import slot_name
    from keepfit.core.nouns import SlotName
    from keepfit.edge.serving import Standalone
    from keepfit.loop.targets import Local

    places = places_of(store)
    if path is None and not name:
        raise click.UsageError("expected the PATH of a model, or the --name of a deployment that was served before")
    name = name or _name(path)
    listening = {option: given[option] for option in ("host", "port", "grpc_port", "workers")}
    deployment = Standalone(Local(places=places, **listening), name)
    deployment.require_unclaimed()
    serving = _serving(deployment.serving(), given)
    slot, is_canary = slot_name(SlotName(given["slot"]), given["major"]), given["slot"] == "canary"
    model = _kept(path, deployment, given, serving) if path is not None else None

    def take() -> None:
        if model is not None:
            share, key = (given["percent"] / 100, given["key"]) if is_canary else (0.0, "")
            click.echo(f"{name}: {deployment.take(*model, slot=slot, share=share, key=key)}")

    if deployment.running:
        _adjust(deployment, serving, given["port"])
        take()
        return

    def ready() -> None:
        take()
        address = deployment.target.address(name)
        click.echo(f"{name}: {address}/v2/models/{name}/infer (and {address}/openapi.json for every door)")
        if grpc := deployment.target.grpc_address(name):
            click.echo(f"{name}: gRPC at {grpc}")
        sys.stdout.flush()

    sys.exit(deployment.run(serving, ready, capture=not given["no_capture"]))


def _name(path: Path | None) -> str:
    from keepfit.edge.onboard.onboarding import service_name
    from keepfit.serve.manifest import manifest

    assert path is not None  # noqa: S101  # the caller looked
    return manifest(path).service if (path / "bundle.json").is_file() else service_name(path.resolve())


def _serving(before: Serving, given: dict[str, Any]) -> Serving:
    """The settings as they were, with those that were given."""
    from keepfit.core.nouns import Preserve

    changed = {name: given[name] for name in _FIELDS if given[name] is not None}
    if given["grpc_port"]:
        changed.setdefault("grpc", True)
    if given["sample_share"] is not None:
        changed["sample"] = given["sample_share"]
    if given["mask"]:
        changed["mask"] = given["mask"]
    if given["preserve"]:
        changed["preserve"] = Preserve(given["preserve"])
    return replace(before, **changed)


def _kept(path: Path, deployment: Standalone, given: dict[str, Any], serving: Serving) -> tuple[Digest, str]:
    """The Bundle of a path, in the store, and where it came from."""
    from keepfit.core.errors import Conflict
    from keepfit.serve.manifest import manifest
    from keepfit.store.blobs import Trees

    places, name = deployment.target.places, deployment.name
    if (path / "bundle.json").is_file():
        bundle = manifest(path)
        if bundle.service != name:
            raise Conflict(
                f"{path}: the bundle was made for '{bundle.service}', not '{name}'; serve it by that name, or onboard "
                f"its model with --service {name}",
                code="wrong_service",
            )
        _check(bundle, given["key"], serving)
        return Trees(places.trees).put(path), str(path)
    wishes = wishes_of({one: given[one] for one in NAMES}, name=name, store=places.root)
    done = answered(path, _like(deployment.bundle(given["major"]), wishes))
    for note in done.notes:
        click.echo(f"note: {note}", err=True)
    _check(done.bundle, given["key"], serving)
    return done.digest, str(path)


def _like(live: Bundle | None, wishes: Wishes) -> Wishes:
    """The wishes, where they are silent those that the live Bundle shows."""
    if live is None:
        return wishes
    return replace(
        wishes,
        expected=live.signature,
        task=wishes.task or live.task,
        label=wishes.label or (live.label.name if live.label else ""),
        classes=wishes.classes or live.classes,
    )


def _check(bundle: Bundle, key: str, serving: Serving) -> None:
    """Invalid where a mask or a canary's key names no field."""
    from keepfit.core.errors import Invalid
    from keepfit.core.nouns import RECORD_ID

    inputs = [field.name for field in bundle.signature.inputs]
    fields = [*inputs, *(field.name for field in bundle.signature.outputs)]
    for name in serving.mask:
        if name not in fields:
            raise Invalid(f"--mask {name}: is no input or output of the model; there are: {', '.join(fields)}")
    if key and key not in (*inputs, RECORD_ID):
        raise Invalid(f"--key {key}: is no input of the model; there are: {', '.join(inputs)}, {RECORD_ID}")


def _adjust(deployment: Standalone, serving: Serving, port: int) -> None:
    """Have the running deployment serve as was asked, where it does not yet."""
    from keepfit.core.errors import Conflict

    address = deployment.target.address(deployment.name)
    if port and not address.endswith(f":{port}"):
        raise Conflict(f"'{deployment.name}' is served at {address}; end it first to serve it at port {port}")
    if serving != deployment.serving():
        deployment.target.adjust(deployment.name, serving)
        click.echo(f"{deployment.name}: the settings changed, while it went on answering")
