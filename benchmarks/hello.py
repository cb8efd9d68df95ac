"""The physical limit: a bare granian RSGI application which reads the request and answers a constant."""

from __future__ import annotations

from typing import Any

HEADERS = [("content-type", "application/json")]
ANSWER = b'{"model_name":"bench","outputs":[{"name":"prediction","shape":[1],"datatype":"INT64","data":[1]}]}'


async def app(scope: Any, protocol: Any) -> None:
    """Answer every request the same."""
    await protocol()
    protocol.response_bytes(200, HEADERS, ANSWER)
