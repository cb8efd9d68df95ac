"""Migrations: the numbered steps which bring any older ledger to the form `ledger.py` reads.

A migration, once released, is never edited: a change of form is a new one at the end. It declares the tables as they
were then, which is why none are shared with `ledger.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from keepfit.core.errors import StorageFault


@dataclass(frozen=True)
class Migration:
    """One step; `number` is the form of the ledger after it."""

    number: int
    title: str
    run: Callable[[sa.Connection], None]


def _first(connection: sa.Connection) -> None:
    form = sa.MetaData()
    grows = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # only INTEGER counts by itself in SQLite
    facts = sa.Table(
        "facts",
        form,
        sa.Column("seq", grows, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),  # microseconds since 1970
        sa.Column("body", sa.Text, nullable=False),  # JSON
        sqlite_autoincrement=True,
    )
    sa.Index("facts_by_subject", facts.c.service, facts.c.kind, facts.c.subject, facts.c.seq)
    sa.Index("facts_by_kind", facts.c.kind, facts.c.seq)
    sa.Table(
        "artifacts",
        form,
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
    )
    edges = sa.Table(
        "edges",
        form,
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("role", sa.Text, primary_key=True),  # input, output
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
    )
    sa.Index("edges_by_digest", edges.c.digest)
    metrics = sa.Table(
        "metrics",
        form,
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
    )
    sa.Index("metrics_by_name", metrics.c.service, metrics.c.name, metrics.c.time)
    form.create_all(connection, checkfirst=False)


MIGRATIONS: tuple[Migration, ...] = (Migration(1, "facts, artifacts, edges, metrics", _first),)
"""All of them, in order."""

_FORM = sa.Table("form", sa.MetaData(), sa.Column("number", sa.Integer, primary_key=True), sa.Column("title", sa.Text))


def migrate(connection: sa.Connection, migrations: tuple[Migration, ...] = MIGRATIONS) -> int:
    """Run what is missing inside the caller's transaction; how many. StorageFault for a ledger newer than this keepfit.

    The caller's transaction must already keep other writers out.
    """
    _FORM.create(connection, checkfirst=True)
    done = connection.execute(sa.select(sa.func.max(_FORM.c.number))).scalar() or 0
    if done > migrations[-1].number:
        raise StorageFault(
            f"the ledger has form {done}, this keepfit knows forms up to {migrations[-1].number}; "
            "a newer keepfit has written it: install that one",
            code="ledger_newer",
        )
    missing = [migration for migration in migrations if migration.number > done]
    for migration in missing:
        migration.run(connection)
        connection.execute(sa.insert(_FORM).values(number=migration.number, title=migration.title))
    return len(missing)


def current(connection: sa.Connection, migrations: tuple[Migration, ...] = MIGRATIONS) -> bool:
    """Whether the ledger has the form this keepfit reads; nothing is written."""
    if not sa.inspect(connection).has_table(_FORM.name):
        return False
    return connection.execute(sa.select(sa.func.max(_FORM.c.number))).scalar() == migrations[-1].number
