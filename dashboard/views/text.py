"""Small words for figures: shares, hashes, times. Every figure gets its unit here."""

from datetime import datetime

KINDS = {"reweight": "Reweighting", "discover": "Discovery", "demo": "Demo project"}
STATES = {
    "queued": "waiting for the worker",
    "running": "running",
    "succeeded": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "interrupted": "interrupted",
}


def share(value: float | None, digits: int = 1) -> str:
    """A share as per cent; a dash where there is none.

    >>> share(0.9876), share(None)
    ('98.8 %', '\u2013')
    """
    return "\u2013" if value is None else f"{100 * value:.{digits}f}\u202f%".replace("\u202f", " ")


def change(before: float | None, after: float | None) -> str:
    """The change in percentage points.

    >>> change(0.5, 0.625), change(None, 0.5)
    ('+12.5 points', '\u2013')
    """
    if before is None or after is None:
        return "\u2013"
    points = 100 * (after - before)
    sign = "\u2212" if points < -0.05 else "+" if points > 0.05 else "\u00b1"
    return f"{sign}{abs(points):.1f} points"


def short(digest: str | None) -> str:
    """The first ten characters of a hash; a dash where there is none."""
    return digest[:10] if digest else "\u2013"


def moment(at: datetime | None) -> str:
    """Date and time of day, in the server's own time zone; a dash where there is none."""
    return f"{at.astimezone():%d %b %Y, %H:%M}" if at else "\u2013"


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun.

    >>> plural(1, "case"), plural(2, "case")
    ('1 case', '2 cases')
    """
    return f"{count} {one if count == 1 else many or one + 's'}"
