"""The rows of what people said, out of any of the four forms, as the file has them.

Nothing is believed here: whether a row means anything is for data_words and data_import to say.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from core.errors import InputError
from core.files import file_blocks
from dashboard.services.archive_zip import Unpacker, parsed
from dashboard.services.data_coco import COCO_TABLES
from dashboard.services.data_csv import read_csv
from dashboard.services.data_forms import ABOUT, FORMAT, SCHEMA, TABLES, WORDS, Column, Form, Row
from dashboard.services.data_json import JsonDocument
from dashboard.services.tables import unquote_cell

MOST_BYTES: Final = 2**34  # of a table, unpacked
MOST_GROUP: Final = 2**29  # bytes of a Parquet row group, unpacked
_PARQUET_BATCH: Final = 1000


@dataclass(frozen=True)
class Found:
    """A row where it was found."""

    table: str
    place: str  # "verdicts.csv line 3": for people
    row: Row


class Reader(Protocol):
    """A file of one of the forms, open."""

    @property
    def form(self) -> Form:
        """Which form it is."""

    def rows(self, table: str) -> Iterator[Found]:
        """The rows of one of WORDS; empty where the form does not hold it."""


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Open a file or folder of any form. Raises InputError for anything else."""
    if path.is_dir():
        yield _tables(_Folder(path), path.name)
        return
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise InputError(path.name, f"cannot be read ({error.strerror})") from None
    if start == b"PK\x03\x04":
        with Unpacker(path) as packed:
            yield _tables(_Zip(packed), path.name)
    else:
        yield _document(path)


def _document(path: Path) -> Reader:
    document = JsonDocument(path)
    about = {key: document.value(key) for key in ("format", "schema")}
    if about["format"] is not None:
        _check_about(about, path.name)
        return _Json(document, path.name)
    about = document.value("insight")
    if about is None and {"images", "annotations"} <= set(document.keys()):
        raise InputError(path.name, "is COCO, but not of this program: it names no people")
    _check_about(about, path.name)
    return _Coco(document, path.name)


def _check_about(about: Any, file: str) -> None:
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise InputError(file, "is not a data file of this program")
    if about.get("schema") != SCHEMA:
        raise InputError(file, f"is of schema {about.get('schema')!r}, this program reads {SCHEMA}")


class _Files(Protocol):
    """Files of a folder or a zip file, by name."""

    def names(self) -> set[str]: ...

    def blocks(self, name: str) -> Iterable[bytes]: ...


@dataclass(frozen=True)
class _Folder:
    path: Path

    def names(self) -> set[str]:
        return {each.name for each in self.path.iterdir() if each.is_file()}

    def blocks(self, name: str) -> Iterable[bytes]:
        return file_blocks(self.path / name)


@dataclass(frozen=True)
class _Zip:
    packed: Unpacker

    def names(self) -> set[str]:
        return set(self.packed.names)

    def blocks(self, name: str) -> Iterable[bytes]:
        if self.packed.size(name) > MOST_BYTES:
            raise InputError(self.packed.file, f"{name} is too large")
        return self.packed.blocks(name)


def _tables(files: _Files, file: str) -> Reader:
    names = files.names()
    if ABOUT in names:
        small = _is_small(files)
        about = parsed(b"".join(files.blocks(ABOUT)), file, ABOUT) if small else None
        _check_about(about, file)
    for form, reader in (("csv", _Csv), ("parquet", _Parquet)):
        if any(f"{table}.{form}" in names for table in WORDS):
            return reader(files, file)
    raise InputError(file, "holds no table of words: neither verdicts.csv nor verdicts.parquet")


@dataclass(frozen=True)
class _Csv:
    files: _Files
    file: str
    form: Form = "csv"

    def rows(self, table: str) -> Iterator[Found]:
        name = f"{table}.csv"
        if name not in self.files.names():
            return
        lines = read_csv(self.files.blocks(name), name)
        header = next(lines, (1, []))[1]
        columns = {column.name: column for column in TABLES[table]}
        for number, cells in lines:
            place = f"{name} line {number}"
            if len(cells) != len(header):
                yield Found(table, place, {"": f"has {len(cells)} cells, not {len(header)}"})
                continue
            named = zip(header, cells, strict=True)
            row = {key: _typed(columns[key], text) for key, text in named if key in columns}
            yield Found(table, place, row)


def _typed(column: Column, text: str) -> Any:
    """A cell as the other forms have it; as it is where it does not fit (it is refused later)."""
    plain = unquote_cell(text)
    if text == "":
        return None if column.optional or column.kind != "text" else ""
    match column.kind:
        case "int":
            return int(text) if text.removeprefix("-").isdecimal() and len(text) < 20 else text
        case "bool":
            return {"true": True, "false": False}.get(text.lower(), text)
        case "json":
            try:
                return json.loads(plain)
            except (ValueError, RecursionError):
                return text
    return plain


@dataclass(frozen=True)
class _Parquet:
    files: _Files
    file: str
    form: Form = "parquet"

    def rows(self, table: str) -> Iterator[Found]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        name = f"{table}.parquet"
        if name not in self.files.names():
            return
        columns = {column.name: column for column in TABLES[table]}
        with tempfile.TemporaryDirectory() as folder:  # Parquet is read from its end
            path = Path(folder) / name
            with path.open("wb") as file:
                for block in self.files.blocks(name):
                    file.write(block)
            try:
                with pq.ParquetFile(path) as found:
                    _refuse_huge(found.metadata, self.file, name)
                    wanted = [each for each in found.schema_arrow.names if each in columns]
                    number = 0
                    for batch in found.iter_batches(_PARQUET_BATCH, columns=wanted):
                        for row in batch.to_pylist():
                            number += 1
                            yield Found(table, f"{name} row {number}", {
                                key: _plain(columns[key], value) for key, value in row.items()
                            })  # fmt: skip
            except (pa.ArrowException, OSError, ValueError) as error:
                reason = str(error).splitlines()[0][:200] if str(error) else "damaged"
                raise InputError(self.file, f"{name} cannot be read: {reason}") from None


def _refuse_huge(metadata: Any, file: str, name: str) -> None:
    """A row group is unpacked at once."""
    groups = range(metadata.num_row_groups)
    if any(metadata.row_group(at).total_byte_size > MOST_GROUP for at in groups):
        raise InputError(file, f"{name} has a row group of more than {MOST_GROUP // 2**20} MiB")


def _plain(column: Column, value: Any) -> Any:
    if column.kind == "time" and hasattr(value, "isoformat"):
        return value.isoformat()
    if column.kind == "json" and isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


@dataclass(frozen=True)
class _Json:
    document: JsonDocument
    file: str
    form: Form = "json"

    def rows(self, table: str) -> Iterator[Found]:
        for number, row in enumerate(self.document.items("tables", table), 1):
            yield _object(table, f"{table} row {number}", row)


@dataclass(frozen=True)
class _Coco:
    document: JsonDocument
    file: str
    form: Form = "coco"

    def rows(self, table: str) -> Iterator[Found]:
        if table in COCO_TABLES:
            for number, row in enumerate(self.document.items("tables", table), 1):
                yield _object(table, f"{table} row {number}", row)
        elif table in ("verdicts", "drawings"):
            yield from self._drawn(table)

    def _drawn(self, table: str) -> Iterator[Found]:
        """Verdicts and drawings out of the attributes of annotations."""
        images = {
            each.get("id"): (each.get("sha256"), each.get("file_name"))
            for each in self.document.items("images")
            if isinstance(each, dict) and isinstance(each.get("id"), int)
        }
        for number, mark in enumerate(self.document.items("annotations"), 1):
            place = f"annotation {number}"
            said = mark.get("attributes") if isinstance(mark, dict) else None
            image = mark.get("image_id") if isinstance(mark, dict) else None
            if not isinstance(said, dict) or not isinstance(image, int):
                continue  # not of this program
            sha, name = images.get(image, (None, None))
            about = {key: said.get(key) for key in ("version", "dictionary", "concept")}
            key = about | {"image_sha256": sha, "image": name}
            words = said.get("verdicts") if table == "verdicts" else [said.get("drawing")]
            for word in words if isinstance(words, list) else ():
                if word is not None:
                    yield _object(table, place, word, key)


def _object(table: str, place: str, row: Any, key: Row | None = None) -> Found:
    if not isinstance(row, dict):
        return Found(table, place, {"": "is no object"})
    return Found(table, place, {**row, **(key or {})})


def _is_small(files: _Files) -> bool:
    size = 0
    for block in files.blocks(ABOUT):
        size += len(block)
        if size > 2**24:
            return False
    return True
