"""What a connection hears after it declined to speak another protocol."""

from __future__ import annotations

from typing import Protocol


class Hearer(Protocol):
    """What llhttp calls back."""

    def on_message_begin(self) -> None:
        """A request begins."""
        ...

    def on_url(self, url: bytes) -> None:
        """The target, perhaps in pieces."""
        ...

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        ...

    def on_headers_complete(self) -> None:
        """The body comes next."""
        ...

    def on_body(self, part: bytes) -> None:
        """A piece of the body."""
        ...

    def on_message_complete(self) -> None:
        """A request is complete."""
        ...


class Rest:
    """Has the connection hear only the body of the request that wished, and everything of those that follow."""

    def __init__(self, connection: Hearer) -> None:
        self._connection = connection
        self._begun = 0
        self.on_body = connection.on_body
        self.on_message_complete = connection.on_message_complete

    def on_message_begin(self) -> None:
        """A request begins; of the first one the connection knows."""
        self._begun += 1
        if self._begun > 1:
            self._connection.on_message_begin()

    def on_url(self, url: bytes) -> None:
        """The target."""
        if self._begun > 1:
            self._connection.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if self._begun > 1:
            self._connection.on_header(name, value)

    def on_headers_complete(self) -> None:
        """The end of the headers."""
        if self._begun > 1:
            self._connection.on_headers_complete()
