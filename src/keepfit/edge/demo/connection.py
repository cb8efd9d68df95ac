"""A connection: the least HTTP/1.1 client, so that what is measured is the server and not the client."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Reply:
    """What a server answered; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Connection:
    """One keep-alive connection, one request at a time; opened when first used, and again after an error."""

    address: str
    token: str = ""
    patience: float = 30.0
    _reader: asyncio.StreamReader | None = field(default=None, repr=False)
    _writer: asyncio.StreamWriter | None = field(default=None, repr=False)

    async def ask(self, method: str, path: str, body: bytes = b"") -> Reply:
        """Send a request and read the whole answer; OSError where the connection breaks or nothing comes in time."""
        try:
            return await asyncio.wait_for(self._ask(method, path, body), self.patience)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            self.close()
            raise ConnectionError(f"{method} {path}: {type(error).__name__} {error}") from error

    async def _ask(self, method: str, path: str, body: bytes) -> Reply:
        reader, writer = await self._open()
        host = urlsplit(self.address).netloc
        bearer = f"authorization: Bearer {self.token}\r\n" if self.token else ""
        head = f"{method} {path} HTTP/1.1\r\nhost: {host}\r\n{bearer}content-type: application/json\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        status, headers = _head(await reader.readuntil(b"\r\n\r\n"))
        if headers.get("transfer-encoding", "") == "chunked":
            return Reply(status, headers, await _chunks(reader))
        return Reply(status, headers, await reader.readexactly(int(headers["content-length"])))

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None:
            parts = urlsplit(self.address)
            self._reader, self._writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 22)
        return self._reader, self._writer

    def close(self) -> None:
        """Close it; the next request opens it again."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


def _head(raw: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = raw.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n"))[:-2], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body
