"""Small words for figures: shares, hashes, times. Every figure gets its unit here."""

from datetime import date, datetime

KINDS = {
    "reweight": "Reweighting", "finetune": "Fine-tuning", "discover": "Discovery",
    "demo": "Demo project", "evaluate": "Check", "drift": "Drift check",
}  # fmt: skip
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


def sure(value: float | None) -> str:
    """A confidence without decimals; it says 0 or 100 % only where it is exactly that.

    >>> sure(0.974), sure(0.9987), sure(0.002), sure(1.0)
    ('97 %', '>99 %', '<1 %', '100 %')
    """
    if value is not None and 0.995 <= value < 1:
        return ">99 %"
    if value is not None and 0 < value <= 0.005:
        return "<1 %"
    return share(value, 0)


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


def points(value: float) -> str:
    """A difference of shares in percentage points, with its sign.

    >>> points(0.125), points(-0.01), points(0.0)
    ('+12.5', '\u22121.0', '0.0')
    """
    text = f"{abs(100 * value):.1f}"
    if float(text) == 0:
        return text
    return f"{'+' if value > 0 else '−'}{text}"


def firm(text: str) -> str:
    """A figure that no line break parts.

    >>> firm("93.2 %")
    '93.2\\xa0%'
    """
    return text.replace(" ", "\u00a0")


def chance(p: float | None) -> str:
    """A p-value in figures; a dash where there is none.

    >>> chance(0.0004), chance(0.031), chance(None)
    ('< 0.001', '0.031', '\u2013')
    """
    if p is None:
        return "\u2013"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def by_chance(p: float | None) -> str:
    """What a p-value says, in words.

    >>> by_chance(0.0004), by_chance(0.2)
    ('hardly by chance (p\\xa0<\\xa00.001)', 'may be chance (p\\xa0=\\xa00.200)')
    """
    if p is None:
        return ""
    figure = firm(f"p {chance(p)}" if p < 0.001 else f"p = {chance(p)}")
    if p < 0.01:
        return f"hardly by chance ({figure})"
    return f"unlikely by chance ({figure})" if p < 0.05 else f"may be chance ({figure})"


def images_of(split: str) -> str:
    """The images of a held-out split, or all of them, in words.

    >>> images_of("test"), images_of("all held-out")
    ('the test images', 'all held-out images')
    """
    return f"{split} images" if split.startswith("all ") else f"the {split} images"


def lasted(seconds: float) -> str:
    """A length of time in words.

    >>> lasted(42), lasted(150), lasted(7300)
    ('42 s', '2 min 30 s', '2 h 1 min')
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def short(digest: str | None) -> str:
    """The first ten characters of a hash; a dash where there is none."""
    return digest[:10] if digest else "\u2013"


def moment(at: datetime | None) -> str:
    """Date and time of day, in the server's own time zone; a dash where there is none."""
    return f"{at.astimezone():%d %b %Y, %H:%M}" if at else "\u2013"


def day(of: date) -> str:
    """A day as `moment` writes it.

    >>> day(date(2026, 11, 2))
    '02 Nov 2026'
    """
    return f"{of:%d %b %Y}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun.

    >>> plural(1, "case"), plural(1200, "case")
    ('1 case', '1,200 cases')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def sized(size: int) -> str:
    """Bytes as people say them.

    >>> sized(900), sized(2_500_000)
    ('900 B', '2.4 MB')
    """
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GB"
