"""An Application over real Slots of toy Bundles in this process, and what it answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import toys
from keepfit.core.nouns import Held, Placement
from keepfit.core.service import Serving
from keepfit.core.signature import Signature
from keepfit.serve.messages import Answer, Request
from keepfit.serve.plane import Plane
from keepfit.serve.routes import Application
from keepfit.serve.slot import Slots


class Answering:
    """What answers, and its event loop."""

    def __init__(self, root: Path, serving: Serving) -> None:
        self.loop = asyncio.new_event_loop()
        self.slots = Slots("toy", lambda digest: root / digest, serving)
        self.plane = Plane(self.slots, now=lambda: 0)
        self.application = Application(self.plane)

    def place(self, placed: Placement, major: int = 1) -> None:
        """Have the Slots of a major hold something."""

        async def become() -> None:
            await self.slots.prepare({**self.slots.placements, major: placed})
            self.slots.commit()

        self.loop.run_until_complete(become())

    def ask(self, method: str, path: str, body: Any = b"", **headers: str) -> Answer:
        """The answer to one request; `content_type` and so on become headers."""
        heard = {name.replace("_", "-").encode(): value.encode("latin-1") for name, value in headers.items()}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        found = self.application.respond(Request(method, path, "", heard, data))
        if isinstance(found, Answer):
            return found

        async def waited() -> Answer:
            return await found

        return self.loop.run_until_complete(waited())

    def said(self, method: str, path: str, body: Any = b"", **headers: str) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        answer = self.ask(method, path, body, **headers)
        return answer.status, json.loads(answer.body)


@contextmanager
def answering(
    root: Path, *signatures: Signature, serving: Serving = Serving(), live: bool = True
) -> Iterator[Answering]:
    """A Deployment whose versions 1, 2, … have those Signatures; the last is live, the one before previous."""
    found = Answering(root, serving)
    for number, signature in enumerate(signatures, 1):
        toys.bundle(root / f"d{number}", bias=number / 10, signature=signature)
    held = [Held(number, f"d{number}") for number in range(1, len(signatures) + 1)]
    try:
        if held and live:
            found.place(Placement(held[-1], held[-2] if len(held) > 1 else None))
        yield found
    finally:
        found.plane.close()
        found.loop.run_until_complete(found.slots.close())
        found.loop.close()
