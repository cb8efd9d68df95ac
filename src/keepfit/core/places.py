"""Places: where everything lies inside one store directory (`.keepfit`)."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """The layout of a store; pure arithmetic on paths, nothing is created."""

    root: Path

    @property
    def ledger(self) -> Path:
        """The SQLite file of facts."""
        return self.root / "ledger.db"

    @property
    def blobs(self) -> Path:
        """Content-addressed files."""
        return self.root / "blobs"

    @property
    def trees(self) -> Path:
        """Content-addressed directories: Bundles and code snapshots."""
        return self.root / "trees"

    @property
    def control(self) -> Path:
        """What the running control process says of itself: address, pid, token."""
        return self.root / "control.json"

    @property
    def token(self) -> Path:
        """What callers of the control API have to show; stays until the file is removed."""
        return self.root / "token"

    @property
    def lock(self) -> Path:
        """Held by the one process which writes the ledger."""
        return self.root / "control.lock"

    def stream(self, service: str) -> Path:
        """The segments and labels of one Service."""
        return self.root / "streams" / service

    def shadow(self, service: str) -> Path:
        """What the Version in a Service's shadow Slot answered."""
        return self.root / "shadows" / service

    def deployment(self, service: str) -> Path:
        """What a Deployment has committed (`committed.json`) and the runner's own `runner.json` and log."""
        return self.root / "deployments" / service

    def run(self, run: str) -> Path:
        """The request, log and result of one Run."""
        return self.root / "runs" / run

    def checkpoint(self, key: str) -> Path:
        """How far the work of that key came before it was interrupted."""
        return self.root / "checkpoints" / key


def admin_socket(deployment: Path) -> Path:
    """The Unix socket on which a runner takes orders.

    It lies outside the store because a socket's path may have at most 107 bytes and a store may lie anywhere; the
    directory around it is the user's alone.
    """
    mark = hashlib.sha256(os.fsencode(deployment.resolve())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"keepfit-{os.getuid()}" / f"{mark}.sock"
