"""The physical limit: a bare granian RSGI application which answers a constant, the request unread."""

from __future__ import annotations

from typing import Any

HEADERS = [("content-type", "application/json")]
ANSWER = b'{"model_name":"bench","outputs":[{"name":"prediction","shape":[1],"datatype":"INT64","data":[1]}]}'


async def app(scope: Any, protocol: Any) -> None:
    """Answer every request the same."""
    protocol.response_bytes(200, HEADERS, ANSWER)
