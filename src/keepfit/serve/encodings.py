"""Bodies that were sent compressed: unpacked, and never to more than a body may have."""

from __future__ import annotations

import zlib

from keepfit.core.errors import Invalid

_WINDOWS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}  # zlib's names for the formats of RFC 9110, 8.4.1


def unpacked(body: bytes, encoding: bytes, limit: int) -> bytes:
    """The body of a `Content-Encoding`; Invalid for other encodings, damaged data, and more than `limit` bytes.

    >>> unpacked(zlib.compress(b"text"), b"deflate", 100)
    b'text'
    """
    name = encoding.strip().lower()
    if name in (b"", b"identity"):
        return body
    window = _WINDOWS.get(name)
    if window is None:
        raise Invalid(
            f"content-encoding: expected gzip, deflate or none, found {encoding[:40].decode('latin-1')!r}",
            code="unsupported_media_type",
        )
    if name == b"deflate" and body and (body[0] & 15 != 8 or int.from_bytes(body[:2], "big") % 31):
        window = -15  # many send it bare, without the header it should have (RFC 9110, 8.4.1.2)
    unpacking = zlib.decompressobj(window)
    try:
        found = unpacking.decompress(body, limit + 1)
    except zlib.error as error:
        raise Invalid(f"the body is no {name.decode()}: {error}", code="invalid_encoding") from error
    if len(found) > limit:
        raise Invalid(f"the body has more than {limit} bytes when unpacked; send fewer rows", code="body_too_large")
    if not unpacking.eof or unpacking.unused_data:
        ends = "is cut off" if not unpacking.eof else "goes on after its end"
        raise Invalid(f"the body {ends}; send one whole {name.decode()} stream", code="invalid_encoding")
    return found
