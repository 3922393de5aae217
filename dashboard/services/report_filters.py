"""How a report's template writes times, figures and other people's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from unicodedata import bidirectional

from markupsafe import Markup, escape

from dashboard.services.card import PALETTE
from dashboard.viewmodels.report_content import SaidOfCue

# Control characters, lone surrogates, what turns the direction of text round, and the code points
# that stand for no character: none may stand in HTML, or they make text look like another one.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]"
    "|[" + "".join(chr(plane * 0x10000 + end) for plane in range(1, 17) for end in (0xFFFE, 0xFFFF))
    + "]"
)  # fmt: skip
MINUS: Final = "\u2212"
MOST: Final = 3200  # characters of any text on a page: nothing may fill pages
WORD: Final = 70  # characters after which a word may be broken; a hash has 64
_LONG_WORD: Final = re.compile(rf"\S{{{WORD}}}(?=\S)")
LONGEST: Final = 700  # characters of one remark on a page; the data forms hold all of it


def printable(value: Any) -> Any:
    """What is written into the page: text without characters that HTML forbids, of sane length.

    A word without an end is given places to break at: finding them costs a layout minutes.
    """
    if isinstance(value, str) and not isinstance(value, Markup):
        return _breakable(_UNPRINTABLE.sub("\ufffd", value))
    return value


def _breakable(text: str) -> str:
    text = text if len(text) <= MOST else f"{text[:MOST]} \u2026"
    return _LONG_WORD.sub("\\g<0>\u200b", text)


def signed(value: float | None, digits: int = 2) -> str:
    """A figure with its sign.

    >>> signed(0.5), signed(-1.25), signed(None)
    ('+0.50', '−1.25', 'not known')
    """
    if value is None:
        return "not known"
    return f"{value:+.{digits}f}".replace("-", MINUS)


def percent(value: float | None, digits: int = 0) -> str:
    """A share; never rounded up to certainty.

    >>> percent(0.42), percent(0.9996), percent(1.0), percent(None)
    ('42 %', 'over 99 %', '100 %', 'not known')
    """
    if value is None:
        return "not known"
    if digits == 0 and 0.99 < value < 1:
        return "over 99 %"
    if digits == 0 and 0 < value < 0.01:
        return "under 1 %"
    return f"{100 * value:.{digits}f} %".replace("-", MINUS)


def moment(value: datetime | None) -> str:
    """A time, in UTC."""
    return "" if value is None else value.strftime("%Y-%m-%d %H:%M UTC")


def day(value: date | datetime | None) -> str:
    """A day."""
    return "" if value is None else value.strftime("%Y-%m-%d")


def remark(value: str | None, most: int = LONGEST) -> str:
    """What somebody wrote, shortened where it would fill pages; it says so.

    >>> remark("abcdef", 3)
    'abc … (3 more characters: see the data forms)'
    """
    text = value or ""
    if len(text) <= most:
        return text
    return f"{text[:most]} \u2026 ({len(text) - most} more characters: see the data forms)"


def isolated(value: str | None) -> Markup:
    """Somebody's word set apart from the text around it, where it may run from right to left.

    An element of its own costs more than the word: it is spared where all is plain.

    >>> isolated("a < b"), isolated("\u05d0")
    (Markup('a &lt; b'), Markup('<bdi>\u05d0</bdi>'))
    """
    text = _breakable(_UNPRINTABLE.sub(_kept_isolate, value or ""))
    if not _turns(text):
        return escape(text)
    return Markup("<bdi>{}</bdi>").format(text)


def words_on(verdicts: Sequence[SaidOfCue]) -> Markup:
    """Everybody's verdicts on a cue as one line, those who say the same together."""
    by_word: dict[str, list[str]] = {}
    for row in verdicts:
        by_word.setdefault(row.value, []).append(_who(row))
    return Markup("; ").join(
        isolated(f"{word}: {', '.join(people)}") for word, people in sorted(by_word.items())
    )


def _kept_isolate(found: re.Match[str]) -> str:
    return found[0] if found[0] in "\u2068\u2069" else "\ufffd"


def _who(row: SaidOfCue) -> str:
    """A person, and what they added."""
    name = str(printable(row.reviewer))
    name = f"\u2068{name}\u2069" if _turns(name) else name
    more = ", ".join(filter(None, (row.scope if row.scope != "here" else "", row.reason)))
    told = ": ".join(filter(None, (more, remark(row.comment))))
    return f"{name} ({told})" if told else name


def _turns(text: str) -> bool:
    """Whether some of it runs from right to left."""
    return not text.isascii() and any(bidirectional(char) in ("R", "AL", "AN") for char in text)


def ink_class(letter: str) -> str:
    """The style of a cue's letter: one of eight, as in its picture.

    >>> ink_class("A"), ink_class("I")
    ('k0', 'k0')
    """
    return f"k{(ord(letter[:1] or 'A') - ord('A')) % len(PALETTE)}"


def count(value: int) -> str:
    """A whole number with separators."""
    return f"{value:,}"


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "signed": signed,
    "percent": percent,
    "moment": moment,
    "day": day,
    "remark": remark,
    "ink_class": ink_class,
    "isolated": isolated,
    "words_on": words_on,
    "count_of": count,
}
