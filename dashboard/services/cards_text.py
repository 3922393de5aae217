"""YAML front matter and Markdown in which a hostile name stays a name.

The front matter is YAML in its JSON-like form: every string is double-quoted, so that no text can
end a value, begin a key or be read as a number or a date. In Markdown every character with a
meaning is escaped, and what cannot be seen is replaced.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Control, formatting (bidirectional, zero width), surrogate, private, unset, line ends."""
MARKED = frozenset("\\`*_{}[]()#+-.!|~$:@^=\"'/")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_WORDS = frozenset({"yes", "no", "true", "false", "on", "off", "null", "y", "n"})
"""What YAML 1.1 takes for something else than text."""
LONGEST = 300  # characters of one text


def seen(text: str, limit: int = LONGEST) -> str:
    """The text on one line, with "?" for what cannot be seen.

    >>> seen("a\\nb\\u202ec")
    'a b?c'
    """
    line = " ".join(text.split())
    shown = "".join("?" if unicodedata.category(char) in HIDDEN else char for char in line)
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def inline(text: str, limit: int = LONGEST) -> str:
    """A text in a paragraph, a heading or a table cell.

    >>> inline("a|b <script> [x](y)")
    'a\\\\|b &lt;script&gt; \\\\[x\\\\]\\\\(y\\\\)'
    """
    return "".join(
        _ENTITIES.get(char) or (f"\\{char}" if char in MARKED else char)
        for char in seen(text, limit)
    )


def code(text: str) -> str:
    """A hash or another plain word as code; only letters, digits and . _ + / - stay."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._+/-:?=&") else "?" for c in text)
    return f"`{kept}`" if kept else "none"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table; the cells are Markdown already."""
    lines = [f"| {' | '.join(titles)} |", f"|{'|'.join('---' for _ in titles)}|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return [*lines, ""]


def front_matter(fields: Mapping[str, Any]) -> str:
    """The fields between two lines of dashes, in the order given."""
    lines = ["---"]
    for name, value in fields.items():
        lines += _lines(name, value, 0)
    return "\n".join([*lines, "---", ""])


def _lines(name: str, value: Any, depth: int) -> list[str]:
    """One field: plain names are written as they are, all other text is quoted."""
    pad = "  " * depth
    if isinstance(value, Mapping):
        if not value:
            return [f"{pad}{name}: {{}}"]
        inner = [line for key, item in value.items() for line in _lines(_key(key), item, depth + 1)]
        return [f"{pad}{name}:", *inner]
    if isinstance(value, (list, tuple)):
        if not value:
            return [f"{pad}{name}: []"]
        return [f"{pad}{name}:", *(line for item in value for line in _item(item, depth))]
    return [f"{pad}{name}: {scalar(value)}"]


def _item(value: Any, depth: int) -> list[str]:
    pad = "  " * depth
    if not isinstance(value, Mapping):
        return [f"{pad}- {scalar(value)}"]
    inner = [line for key, item in value.items() for line in _lines(_key(key), item, depth + 1)]
    return [f"{pad}- {inner[0].lstrip()}", *inner[1:]]


def _key(name: Any) -> str:
    text = str(name)
    plain = text.replace("_", "").replace("-", "").isalpha() and text.isascii()
    return text if plain and text.lower() not in _WORDS else scalar(text)


def scalar(value: Any) -> str:
    """A number, true, false, null, or a double-quoted string.

    >>> scalar("no"), scalar('a" #b'), scalar(0.5), scalar(None)
    ('"no"', '"a\\\\" #b"', '0.5', 'null')
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    escaped = "".join(f"\\{char}" if char in '\\"' else char for char in seen(str(value)))
    return f'"{escaped}"'


def slug(text: str) -> str:
    """A name as the Hub takes one: ASCII letters, digits, dots, dashes and underscores.

    >>> slug("Mole & nevus: 2nd réview")
    'mole-nevus-2nd-review'
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").lower()
    words = "".join(char if char.isalnum() else " " for char in plain).split()
    return "-".join(words)[:90] or "project"
