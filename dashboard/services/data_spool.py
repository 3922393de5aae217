"""Tables on their way into a file: rows come mixed, each table's own file grows on disk."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Final, Protocol, Self

from core.files import file_blocks
from dashboard.services.archive_zip import Packer
from dashboard.services.data_forms import TABLES, Column, Row
from dashboard.services.tables import quote_cell

if TYPE_CHECKING:
    import pyarrow as pa

GROUP: Final = 5000  # rows of a Parquet row group


def json_text(value: Any) -> str:
    """Compact JSON with a fixed order of keys, on one line."""
    return json.dumps(
        value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )


class Sheet(Protocol):
    """One table's file."""

    def add(self, row: Row) -> None:
        """Append a row."""

    def close(self) -> None:
        """Finish the file."""


class JsonSheet:
    """One JSON object a line."""

    def __init__(self, path: Path, columns: tuple[Column, ...]) -> None:
        self._file: IO[str] = path.open("w", encoding="utf-8", newline="")

    def add(self, row: Row) -> None:
        """Append a row."""
        self._file.write(json_text(dict(row)) + "\n")

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class CsvSheet:
    """UTF-8 with a header and CRLF line ends, safe to open in a spreadsheet."""

    def __init__(self, path: Path, columns: tuple[Column, ...]) -> None:
        self._columns = columns
        self._file: IO[str] = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\r\n")
        self._writer.writerow([column.name for column in columns])

    def add(self, row: Row) -> None:
        """Append a row."""
        self._writer.writerow([_cell(column, row[column.name]) for column in self._columns])

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class ParquetSheet:
    """Typed columns; lists and objects are JSON text."""

    def __init__(self, path: Path, columns: tuple[Column, ...]) -> None:
        import pyarrow.parquet as pq

        self._columns, self._schema = columns, arrow_schema(columns)
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def add(self, row: Row) -> None:
        """Append a row."""
        self._rows.append({c.name: _typed(c, row[c.name]) for c in self._columns})
        if len(self._rows) == GROUP:
            self._flush()

    def close(self) -> None:
        """Finish the file."""
        if self._rows:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()


class Spool:
    """A folder of sheets, one per table; use it in a `with` block."""

    def __init__(self, folder: Path, kind: type[Any], suffix: str) -> None:
        self._folder, self._suffix = folder, suffix
        self._sheets: dict[str, Sheet] = {
            name: kind(self.path(name), columns) for name, columns in TABLES.items()
        }
        self.counts = dict.fromkeys(TABLES, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def path(self, table: str) -> Path:
        """The file of a table."""
        return self._folder / f"{table}{self._suffix}"

    def add(self, rows: Iterable[tuple[str, Row]]) -> None:
        """Append rows to their tables."""
        for table, row in rows:
            self._sheets[table].add(row)
            self.counts[table] += 1

    def close(self) -> None:
        """Finish every file."""
        for sheet in self._sheets.values():
            sheet.close()

    def pack(self, packer: Packer, *, squeeze: bool) -> None:
        """Put every table into a zip file."""
        for table in TABLES:
            packer.add(self.path(table).name, file_blocks(self.path(table)), squeeze=squeeze)

    def lines(self, table: str) -> Iterator[str]:
        """The rows of a table, each as JSON text."""
        with self.path(table).open(encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.rstrip("\n")


def arrow_schema(columns: tuple[Column, ...]) -> pa.Schema:
    """The types of a table's columns in Parquet."""
    import pyarrow as pa

    kinds: Mapping[str, Any] = {
        "text": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"), "json": pa.string(),
    }  # fmt: skip
    return pa.schema(
        [
            pa.field(c.name, kinds[c.kind], nullable=c.optional, metadata={"about": c.about})
            for c in columns
        ]
    )


def _cell(column: Column, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return quote_cell(json_text(value) if column.kind == "json" and value is not None else value)


def _typed(column: Column, value: Any) -> Any:
    from datetime import datetime

    if value is None:
        return None
    if column.kind == "json":
        return json_text(value)
    return datetime.fromisoformat(value) if column.kind == "time" else value
