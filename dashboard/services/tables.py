"""CSV that is safe to open in a spreadsheet, and that comes back unchanged.

A cell that starts with one of = + - @ tab or carriage return can run as a formula in a
spreadsheet (CWE-1236). Such a cell gets a leading apostrophe on export. A cell that already
starts with an apostrophe and then such a character gets one more, so that the import can take
exactly one away and find the original.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence

_RISKY = re.compile(r"'*[=+\-@\t\r]")


def quote_cell(value: object) -> str:
    """The text of a cell with a formula made harmless; numbers and None are rendered plainly.

    >>> quote_cell("=1+1")
    "'=1+1"
    >>> quote_cell(-0.5)
    '-0.5'
    """
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return str(value)
    text = str(value)
    return f"'{text}" if _RISKY.match(text) else text


def unquote_cell(text: str) -> str:
    """Undoes `quote_cell`: takes one apostrophe off a cell that was made harmless."""
    return text[1:] if text.startswith("'") and _RISKY.match(text[1:]) else text


def write_csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> bytes:
    """A UTF-8 table with a header, CRLF line ends and every risky cell quoted."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([quote_cell(row.get(column)) for column in columns])
    return out.getvalue().encode("utf-8")
