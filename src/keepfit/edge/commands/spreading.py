"""--workers and --ray: the options by which work over many files is spread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from keepfit.edge.commands.bars import counted

if TYPE_CHECKING:
    from keepfit.data.spread import Spread

LOCAL = "local"


def spread(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options; `spread_of` reads them."""
    options = (
        click.option("--workers", default=1, show_default=True, help="So many processes share the files of DATA."),
        click.option("--ray", default="", metavar="ADDRESS", help="A Ray cluster shares them (local: one for now)."),
        click.option("--ray-without-token", is_flag=True, help="Join it though it asks for no token."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def spread_of(given: dict[str, Any]) -> Spread | None:
    """Where the work goes; None for this very process."""
    from keepfit.data.spread import Processes, Ray

    if given["ray"]:
        address = "" if given["ray"] == LOCAL else given["ray"]
        return counted(Ray(address, forced=given["ray_without_token"]))
    return counted(Processes(given["workers"])) if given["workers"] > 1 else None
