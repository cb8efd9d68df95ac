"""Doors: the ways in which callers ask; each is a list of Routes over the one data plane."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from keepfit.serve.messages import JSON, Answer

Found = Answer | Awaitable[Answer]


class Route(NamedTuple):
    """What is answered at a path; `{name}` segments of the pattern are given to the function by name.

    `{model}` stands for a Deployment's name. A pattern without it is also answered behind `/@2` for a second major, and
    its function is given `model="service@2"` there.
    """

    method: str
    pattern: str
    function: Callable[..., Found]


def json(status: int, body: Any, headers: bytes = JSON) -> Answer:
    """An Answer of JSON."""
    return Answer(status, headers, msgspec.json.encode(body))
