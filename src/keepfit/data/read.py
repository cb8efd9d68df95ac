"""Read tables: CSV, JSON Lines, Parquet, Arrow, TFRecord, globs of them, databases, and whatever speaks Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from keepfit.data.scan import scan


def read(
    source: Any,
    *,
    columns: Sequence[str] | None = None,
    skip_broken: bool = False,
    spans: tuple[str, str] | None = None,
    query: str = "",
) -> pa.Table:
    """The table behind a path, a folder, a glob (files in order of name), a URL, or what has `__arrow_c_stream__`.

    Files may be CSV (any of `, ; | TAB`, a BOM and padded fields are fine, types are told from all rows), JSON Lines,
    Parquet, Arrow IPC (Feather) or TFRecord of `tf.Example`, also compressed. In CSV an empty field is missing; among
    numbers and times, NA, NaN, null, None, N/A and ? are missing as well. `{DATE}` or `{SPAN}` in a path stands for the
    newest one there is, or for all from the first to the last of `spans`. URLs are opened by fsspec, those of SQLite,
    PostgreSQL and DuckDB are asked the `query`. `columns` are the ones to keep, in this order.
    DataInvalid names the file and the row (counting from 1, without the header) which cannot be read, and why; with
    `skip_broken` such rows are left out (`scan` counts them). NotFound names a file that is not there.
    """
    return scan(source, columns=columns, skip_broken=skip_broken, spans=spans, query=query).table().combine_chunks()
