"""The law suites of what stores facts and bytes."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from keepfit.core.errors import MissingExtra
from keepfit.store.blobs import Blobs
from keepfit.store.ledger import Ledger
from keepfit.testing import check_blobs, check_ledger


def test_blobs(tmp_path: Path) -> None:
    """Files under a directory keep the law of blobs."""
    check_blobs(Blobs(tmp_path))


@pytest.mark.parametrize("form", ["path", "url"])
def test_sqlite(tmp_path: Path, form: str) -> None:
    """An SQLite file keeps the law of ledgers, named by path or by URL."""
    place = tmp_path / "ledger.db"
    ledger = Ledger(place if form == "path" else f"sqlite:///{place}")
    check_ledger(ledger)
    ledger.close()


def test_postgresql() -> None:
    """PostgreSQL keeps the law of ledgers; KEEPFIT_POSTGRES names an empty database, else nothing is tested."""
    url = os.environ.get("KEEPFIT_POSTGRES")
    if not url:
        pytest.skip("KEEPFIT_POSTGRES names no PostgreSQL database")
    ledger = Ledger(url)
    check_ledger(ledger)
    ledger.close()


@pytest.mark.skipif(find_spec("psycopg") is not None, reason="the driver is installed")
def test_a_missing_driver_names_its_extra() -> None:
    """Without the driver, the error says what to install."""
    with pytest.raises(MissingExtra, match=r"keepfit\[postgres\]"):
        Ledger("postgresql+psycopg://localhost/none")
