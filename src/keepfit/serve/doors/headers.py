"""What doors read in headers: the kind of body, and how long the caller waits."""

from __future__ import annotations

from keepfit.core.errors import Invalid
from keepfit.serve.messages import Request

_JSON = frozenset({b"application/json", b"application/octet-stream", b"application/x-www-form-urlencoded", b""})
"""What JSON is taken as. The second is what clients say of raw tensors, and some of everything; the third is what curl
says of every body when it was told nothing."""


def content_type(request: Request) -> bytes:
    """The media type of the body without its parameters, lower-case; empty where nothing was said."""
    return request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def expect_json(request: Request) -> None:
    """Invalid (`unsupported_media_type`) where the body is said to be something else than JSON or raw tensors."""
    said = request.headers.get(b"content-type", b"")
    if said in _JSON:
        return
    kind = content_type(request)
    if kind not in _JSON and not kind.endswith(b"+json"):
        raise unsupported(request, "application/json")
    charset = said.lower().partition(b"charset=")[2].strip(b' "')
    if charset and charset not in (b"utf-8", b"utf8", b"us-ascii"):
        raise Invalid(
            f"the body is JSON in {charset[:40].decode('latin-1')!r}; send UTF-8", code="unsupported_media_type"
        )


def unsupported(request: Request, *taken: str) -> Invalid:
    """The error for a body of another media type."""
    found = request.headers.get(b"content-type", b"")[:80].decode("latin-1")
    return Invalid(
        f"{request.path:.100}: expected content-type {' or '.join(taken)}, found {found!r}",
        code="unsupported_media_type",
    )


def traced(request: Request) -> str:
    """The trace the request belongs to, with our own span, as it was continued before any door saw it; "" for none."""
    return request.headers.get(b"traceparent", b"").decode()


def deadline(request: Request, most: float, micros: int = 0) -> float | None:
    """Seconds that the caller waits, by `X-Request-Timeout` (seconds) and a wire's own microseconds, at most `most`."""
    said = request.headers.get(b"x-request-timeout")
    if said is None:
        return min(micros / 1e6, most) if micros else None
    try:
        seconds = float(said) if said.replace(b".", b"", 1).isdigit() else -1.0
    except ValueError:
        seconds = -1.0
    if not 0.0 < seconds < 1e9:
        raise Invalid(
            f"X-Request-Timeout: expected seconds above 0, found {said[:40].decode('latin-1')!r}",
            code="invalid_timeout",
        )
    return min(seconds, most, *([micros / 1e6] if micros else []))
