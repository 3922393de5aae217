"""Read a labels table: untrusted input, so every row is kept, refused or noted by name and reason.

Rules: UTF-8 (a byte-order mark is fine), comma, semicolon or tab between cells, a header line.
File names are relative to the folder that is ingested. A file named twice with the same content is
noted; with different content both rows are refused. An empty label means "unlabelled".
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from core.errors import TableError

MAX_BYTES = 256_000_000
MAX_CELL = 500  # characters
SPLITS = {
    "train": ("train", "training", "tr"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "held-out", "holdout"),
}
_SPLIT_OF = {alias: name for name, aliases in SPLITS.items() for alias in aliases}


@dataclass(frozen=True)
class Problem:
    """Something that was refused: its name, why, and the table's line where there is one."""

    file: str
    reason: str
    row: int | None = None


@dataclass(frozen=True)
class Columns:
    """Which column of the table holds what; None where the table has no such column."""

    file: str = "file"
    label: str | None = "label"
    mask: str | None = None
    split: str | None = None
    group: str | None = None

    def named(self) -> tuple[str, ...]:
        """The columns that the table must have."""
        every = (self.file, self.label, self.mask, self.split, self.group)
        return tuple(name for name in every if name is not None)


@dataclass(frozen=True)
class LabelRow:
    """One accepted row; paths are relative, with forward slashes; None where a cell is empty."""

    row: int  # line number in the file, the header is line 1
    file: str
    label: str | None
    mask: str | None
    split: str | None
    group: str | None
    meta: tuple[tuple[str, str], ...] = ()  # the other columns

    def same_as(self, other: LabelRow) -> bool:
        """True where both rows say the same of the image; other columns do not count."""
        mine = (self.label, self.mask, self.split, self.group)
        return mine == (other.label, other.mask, other.split, other.group)


@dataclass(frozen=True)
class LabelTable:
    """The table as far as it is usable.

    rows      by file name (NFC form), in the table's order
    problems  rows that were refused
    notices   things worth saying that refuse nothing
    refused   file names (NFC) whose rows contradict each other: their images are not ingested
    """

    rows: dict[str, LabelRow] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    notices: tuple[str, ...] = ()
    refused: frozenset[str] = frozenset()


def canonical(name: str) -> str:
    """The form under which file names are compared: Unicode NFC (macOS writes NFD)."""
    return unicodedata.normalize("NFC", name)


def normalise_split(value: str) -> str:
    """ "Training" -> "train", "dev" -> "val"; other words are kept in lower case."""
    word = value.strip().lower()
    return _SPLIT_OF.get(word, word)


def clean_path(raw: str) -> str:
    """A relative path with forward slashes; ValueError with the reason for any other."""
    text = raw.strip()
    if "\0" in text:
        raise ValueError("the file name holds a null byte")
    if PureWindowsPath(text).anchor:
        raise ValueError("absolute paths are refused: name the file relative to the folder")
    parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError("the path leads out of the folder")
    if not parts:
        raise ValueError("the row names no file")
    return "/".join(parts)


def read_labels(path: Path, columns: Columns) -> LabelTable:
    """Read a labels table.

    Raises TableError where the table as a whole cannot be used: unreadable, not UTF-8 (with the
    line of the first bad byte), no header, missing or repeated columns. Single bad rows are
    collected in `problems` instead.
    """
    text = _decode(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=False)
    try:
        header = [cell.strip() for cell in next(reader)]
        _check_header(path, header, columns)
        return _collect(list(_parse(reader, header, columns)))
    except StopIteration:
        raise TableError(path.name, "the table is empty: it needs a header line") from None
    except csv.Error as error:
        raise TableError(path.name, f"line {reader.line_num}: {error}") from None


def _decode(path: Path) -> str:
    try:
        size = path.stat().st_size
        raw = path.read_bytes() if size <= MAX_BYTES else b""
    except OSError as error:
        raise TableError(path.name, f"cannot be read ({error.strerror})") from None
    if size > MAX_BYTES:
        raise TableError(path.name, f"larger than {MAX_BYTES // 1_000_000} MB")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TableError(path.name, "is UTF-16; save it as UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        byte = raw[error.start]
        reason = f"is not UTF-8: byte 0x{byte:02x} at offset {error.start} (line {line})"
        raise TableError(path.name, f"{reason}; save it as UTF-8") from None


def _delimiter(text: str) -> str:
    """The separator of the header line: comma unless only another one occurs in it."""
    header = text.split("\n", 1)[0]
    if "," not in header:
        for other in (";", "\t"):
            if other in header:
                return other
    return ","


def _check_header(path: Path, header: list[str], columns: Columns) -> None:
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise TableError(path.name, f"column named twice: {', '.join(repeated)}")
    missing = [name for name in columns.named() if name not in header]
    if missing:
        have = ", ".join(name for name in header if name) or "none"
        raise TableError(path.name, f"no column {', '.join(map(repr, missing))}; it has: {have}")


def _parse(
    reader: Iterator[list[str]], header: list[str], columns: Columns
) -> Iterator[LabelRow | Problem]:
    """Each line as an accepted row or a problem; empty lines are skipped."""
    for cells in reader:
        line = int(reader.line_num)  # type: ignore[attr-defined]
        if not any(cell.strip() for cell in cells):
            continue
        name = dict(zip(header, cells, strict=False)).get(columns.file, "").strip()
        if len(cells) != len(header):
            reason = f"the row has {len(cells)} cells, the header {len(header)}"
            yield Problem(name or f"row {line}", reason, line)
            continue
        try:
            yield _row(dict(zip(header, cells, strict=True)), columns, line)
        except ValueError as error:
            yield Problem(name or f"row {line}", str(error), line)


def _row(cells: dict[str, str], columns: Columns, line: int) -> LabelRow:
    for name, cell in cells.items():
        if len(cell) > MAX_CELL:
            raise ValueError(f"the cell {name!r} is longer than {MAX_CELL} characters")
        if "\n" in cell.strip():
            raise ValueError(f"the cell {name!r} runs over a line end: a quote is not closed?")
        if any(unicodedata.category(char) == "Cc" for char in cell.strip()):
            raise ValueError(f"the cell {name!r} holds a control character")
    used = set(columns.named())

    def value(column: str | None) -> str | None:
        return (cells[column].strip() or None) if column is not None else None

    split, mask = value(columns.split), value(columns.mask)
    return LabelRow(
        row=line,
        file=clean_path(cells[columns.file]),
        label=value(columns.label),
        mask=clean_path(mask) if mask is not None else None,
        split=normalise_split(split) if split is not None else None,
        group=value(columns.group),
        meta=tuple((name, cell.strip()) for name, cell in cells.items() if name not in used),
    )


def _collect(parsed: list[LabelRow | Problem]) -> LabelTable:
    """Fold the rows by file: identical repeats are noted, contradictions refuse all of them."""
    problems = [item for item in parsed if isinstance(item, Problem)]
    by_file: dict[str, list[LabelRow]] = {}
    for item in parsed:
        if isinstance(item, LabelRow):
            by_file.setdefault(canonical(item.file), []).append(item)
    rows, notices, refused = {}, [], set()
    for name, group in by_file.items():
        first = group[0]
        lines = ", ".join(str(row.row) for row in group)
        if all(row.same_as(first) for row in group):
            rows[name] = first
            if len(group) > 1:
                notices.append(f"{first.file}: listed {len(group)} times alike (lines {lines})")
            continue
        refused.add(name)
        reason = f"listed with different values on lines {lines}; none of them is used"
        problems += [Problem(row.file, reason, row.row) for row in group]
    problems.sort(key=lambda problem: problem.row or 0)
    return LabelTable(rows, tuple(problems), tuple(notices), frozenset(refused))
