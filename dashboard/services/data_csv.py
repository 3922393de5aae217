"""CSV of any size, row by row, without a limit on a cell that the whole process would share."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import Final

from core.errors import InputError

LONGEST: Final = 2**24  # characters of a row
_CELL: Final = re.compile(r'"((?:[^"]|"")*)"|([^",]*)')


def read_csv(blocks: Iterable[bytes], file: str) -> Iterator[tuple[int, list[str]]]:
    """(line of its first cell, cells) of each row; empty lines are passed over.

    Args:
        blocks: the bytes, cut anywhere; UTF-8, with or without a byte order mark.
        file: to be named in errors.

    Raises:
        InputError: not UTF-8, a quote that is not closed or stands in the middle of a cell, or a
            row that is too long; it names the line.
    """
    start, parts, size, quotes = 1, list[str](), 0, 0
    for number, line in enumerate(_lines(blocks, file), 1):
        start = start if parts else number
        parts.append(line)
        size, quotes = size + len(line), quotes + line.count('"')
        if size > LONGEST:
            raise InputError(file, f"line {start}: the row is too long")
        if quotes % 2:
            continue  # inside quotes: the row goes on
        row = "".join(parts).removesuffix("\n").removesuffix("\r")
        if row:
            yield start, _cells(row, file, start)
        parts, size, quotes = [], 0, 0
    if parts:
        raise InputError(file, f"line {start}: a quote is not closed")


def _lines(blocks: Iterable[bytes], file: str) -> Iterator[str]:
    """Lines with their ends."""
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    rest: list[str] = []
    try:
        for block in blocks:
            *whole, last = decode(block).split("\n")
            for line in whole:
                yield "".join(rest) + line + "\n"
                rest = []
            rest.append(last)
            if sum(map(len, rest)) > LONGEST:
                raise InputError(file, "has a line that is too long")
        rest.append(decode(b"", True))
    except UnicodeDecodeError:
        raise InputError(file, "is not UTF-8 text") from None
    if last_line := "".join(rest):
        yield last_line


def _cells(row: str, file: str, line: int) -> list[str]:
    found, at = [], 0
    while True:
        match = _CELL.match(row, at)
        if match is None:  # cannot be: the second way matches nothing as well
            raise InputError(file, f"line {line}: cannot be read")
        quoted, bare = match.groups()
        found.append(quoted.replace('""', '"') if quoted is not None else bare)
        at = match.end()
        if at == len(row):
            return found
        if row[at] != ",":
            raise InputError(file, f"line {line}: a quote stands in the middle of a cell")
        at += 1
