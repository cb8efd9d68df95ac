"""Models from outside and Bundles: onboard them, look at them, compare, verify, pack and unpack them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keepfit.edge.commands.bring import known, register
from keepfit.edge.commands.options import places_of, stored
from keepfit.edge.commands.wishes import classes_of, wished, wishes_of

if TYPE_CHECKING:
    from keepfit.edge.onboard.drafts import Onboarded, Wishes

_PATH = click.Path(path_type=Path)
_OPTIONS = {
    "--sample": "sample",
    "--task": "task",
    "--classes": "classes",
    "--entry": "entry",
    "--allow-pickle": "pickle",
    "--signature": "signature",
}
"""Options that a model may lack, and the wish each becomes."""


@click.command()
@click.argument("path", type=_PATH)
@click.option("--name", default="", help="The service's name; by default made of the file's.")
@click.option("--into", type=_PATH, help="The new folder for the Bundle; by default NAME-bundle, here.")
@click.option("--store", type=_PATH, help="Keep the Bundle in this store, beside --into or instead of it.")
@click.option(
    "--service",
    default="",
    help="Make it a version of this running service, judged as a candidate is; it says what the file does not.",
)
@click.option("--wait", default=60, show_default=True, help="Seconds to wait for the verdict, with --service.")
@wished
@click.option("--yes", is_flag=True, help="Ask nothing: list what is missing and end.")
def onboard(path: Path, yes: bool, name: str, into: Path | None, store: Path | None, **given: Any) -> None:
    """Make a Bundle of the model file or folder PATH, prove that it answers, or say why it cannot be served."""
    service, wait = given.pop("service"), given.pop("wait")
    expected = None
    if service:
        told, expected = known(service, store)
        given = {**given, **{key: value for key, value in told.items() if not given[key]}}
        name, store = service, places_of(store).root
    wishes = replace(wishes_of(given, name=name, store=store, into=into), expected=expected)
    if yes:
        wishes = replace(wishes, ask=None)
    made = answered(path, wishes)
    signature = made.bundle.signature
    click.echo(f"{made.bundle.service}: {made.bundle.runtime}, {made.bundle.framework}")
    click.echo(f"  takes   {', '.join(f'{f.name} {f.dtype}{list(f.shape) or str()}' for f in signature.inputs)}")
    click.echo(f"  answers {', '.join(f'{f.name} {f.dtype}{list(f.shape) or str()}' for f in signature.outputs)}")
    for note in (*made.notes, *([made.bundle.note] if made.bundle.note else [])):
        click.echo(f"  note: {note}")
    click.echo(f"Bundle {made.digest} in {made.directory}")
    if service:
        register(service, made.digest, path.name, store=store, wait=wait)


def answered(path: Path, wishes: Wishes) -> Onboarded:
    """The Bundle of a model; what its file does not say is asked where somebody is there."""
    return _asked(path, wishes) if wishes.ask is not None else _made(path, wishes)


def _made(path: Path, wishes: Wishes) -> Onboarded:
    from keepfit.edge.onboard.onboarding import onboard

    return onboard(path, wishes)


def _asked(path: Path, wishes: Wishes) -> Onboarded:
    """Ask for what is missing, one thing after another, until nothing is."""
    from keepfit.edge.onboard.questions import Lacking

    while True:
        try:
            return _made(path, wishes)
        except Lacking as error:
            for missing in error.missing:
                answer = click.prompt(f"{missing.meaning}\n{missing.option}")
                wishes = _with(wishes, _OPTIONS[missing.option], answer)


def _with(wishes: Wishes, name: str, answer: str) -> Wishes:
    from keepfit.core.nouns import Task

    turned: Any = answer
    if name in ("sample", "signature"):
        turned = Path(answer)
    elif name == "task":
        turned = Task(answer)
    elif name == "classes":
        turned = classes_of(answer)
    return replace(wishes, **{name: turned})


@click.group()
def bundle() -> None:
    """Look at Bundles, compare them, verify them, carry them elsewhere.

    REF is a folder, a packed file, a digest in the store or its first 8 digits, or SERVICE@VERSION.
    """


@bundle.command()
@click.argument("reference", metavar="REF")
@stored
def show(reference: str, store: Path | None) -> None:
    """Print the card of the Bundle REF, its files, and the memory it will take."""
    from keepfit.edge.bundles import opened
    from keepfit.edge.bundles import show as shown

    with opened(reference, places_of(store)) as directory:
        found = shown(directory)
    click.echo(found.card or f"# {found.bundle.service}\n\n(no card)\n")
    click.echo(f"Digest: {found.digest}")
    click.echo(f"Runtime: {found.bundle.runtime}; expected to take {found.memory / 2**20:.0f} MB of memory")
    for name, size in found.files:
        click.echo(f"  {size:>12,}  {name}")


@bundle.command()
@click.argument("first", metavar="REF")
@click.argument("second", metavar="REF")
@stored
def diff(first: str, second: str, store: Path | None) -> None:
    """Compare two Bundles: contract, settings, files, and their answers to each other's examples."""
    from keepfit.edge.bundles import diff as differences
    from keepfit.edge.bundles import opened

    with opened(first, places_of(store)) as one, opened(second, places_of(store)) as other:
        found = differences(one, other)
    click.echo(f"contract: {found.contract.kind}")
    for line in found.contract.changes:
        click.echo(f"  {line}")
    for title, lines in (("settings", found.settings), ("files", found.files), ("answers", found.answers)):
        click.echo(f"{title}: {'' if lines else 'the same'}".rstrip())
        for line in lines:
            click.echo(f"  {line}")


@bundle.command()
@click.argument("references", metavar="REF...", nargs=-1, required=True)
@click.option("--digest", default="", help="The digest that it must have.")
@stored
def verify(references: tuple[str, ...], digest: str, store: Path | None) -> None:
    """Check every file of the Bundles REF, their digests, and that their golden examples come out."""
    from keepfit.edge.bundles import opened
    from keepfit.edge.bundles import verify as verified

    for reference in references:
        with opened(reference, places_of(store)) as directory:
            error = verified(directory, digest=digest)
        click.echo(f"{reference}: sound; its golden examples come out within {error:.3g}")


@bundle.command()
@click.argument("reference", metavar="REF")
@click.argument("file", type=_PATH)
@stored
def pack(reference: str, file: Path, store: Path | None) -> None:
    """Write the Bundle REF as one FILE; the same Bundle gives the same bytes."""
    from keepfit.edge.bundles import opened
    from keepfit.edge.packing import pack as packed

    with opened(reference, places_of(store)) as directory:
        click.echo(f"{file}: {packed(directory, file)}")


@bundle.command()
@click.argument("file", type=_PATH)
@click.argument("into", type=_PATH)
@click.option("--allow-pickle", "pickle", default="", metavar="REASON", help="Let a pickle in; it may run anything.")
def unpack(file: Path, into: Path, pickle: str) -> None:
    """Unpack FILE to the new folder INTO, after checking everything in it."""
    from keepfit.edge.packing import unpack as unpacked

    click.echo(f"{into}: {unpacked(file, into, pickle=pickle)}")
