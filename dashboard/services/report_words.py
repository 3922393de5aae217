"""How the figures of a report are called and told. Pure: no store, no screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dashboard.viewmodels.judgement import Estimate
from dashboard.viewmodels.report_content import Figure, Unit

MINUS: Final = "\u2212"
UNKNOWN: Final = "not known"
WHAT: Final[dict[str, str]] = {
    "cases": "images that the version decided and that the report covers",
    "reviewed": "of these, images on which somebody's word counts",
    "coverage": "share of the cases on which somebody's word counts; the rest was not looked at",
    "verdicts": "words on single cues that stand: correct, spurious or unsure",
    "accuracy": "share of the labelled cases whose decision is their label",
    "sensitivity": "of the cases labelled as the class, the share that is decided as it",
    "precision": "of the labelled cases decided as the class, the share that is labelled as it",
    "ece": "mean gap between stated confidence and accuracy (ECE, 15 bins); reads high with few "
    "cases",
    "spurious_share": "of the verdicts that say correct or spurious, the share that says spurious",
    "label_agreement": "of the words on whole cases that agree or disagree, the share that agrees "
    "with the decision",
    "agreement": "Krippendorff's alpha of the verdicts on cues that two or more people judged: 1 "
    "is perfect, 0 is chance",
    "agreement_cases": "Krippendorff's alpha of the classes that two or more people give a case: "
    "1 is perfect, 0 is chance",
    "worst_group": "lowest accuracy among the groups that have enough cases: what the worst served "
    "can expect",
    "reliance": "share of all contributions to the decisions that lies on concepts called spurious",
    "concept": "of the verdicts on this concept that say correct or spurious, the share that says "
    "spurious; the interval counts each case once, however many people judged it",
    "rating": "mean of the ratings from 1 to 5",
    "bin": "share of the cases of this confidence whose decision is their label",
    "covered": "share of these cases on which somebody's word counts",
}  # fmt: skip
DECIMALS: Final = 2  # of a score


def number(value: float, unit: Unit) -> str:
    """A value in the unit's own way.

    >>> number(0.8213, "share"), number(-0.5, "score"), number(12345, "count")
    ('82.1 %', '−0.50', '12,345')
    """
    sign = MINUS if value < 0 and round(abs(value), 6) > 0 else ""
    size = abs(value)
    if unit == "share":
        return f"{sign}{100 * size:.1f} %"
    if unit == "points":
        return f"{sign}{100 * size:.1f} points"
    if unit == "count":
        return f"{sign}{size:,.0f}"
    return f"{sign}{size:.{DECIMALS}f}"


def interval(low: float, high: float, unit: Unit) -> str:
    """The interval in words, without repeating the unit."""
    ends = [number(end, unit).removesuffix(" %").removesuffix(" points") for end in (low, high)]
    return f"95 % interval {ends[0]} to {ends[1]}"


def figure(
    key: str, label: str, found: Estimate, unit: Unit, n: int, of: str,
    *, what: str | None = None, why_not: str = "",
) -> Figure:  # fmt: skip
    """A figure with its text; `why_not` says why there is no value."""
    return Figure(
        key=key,
        label=label,
        value=found.value,
        low=found.low,
        high=found.high,
        unit=unit,
        n=n,
        of=of,
        what_is_this=what if what is not None else WHAT[key],
        text=_text(found, unit, n, of, why_not),
    )


def _text(found: Estimate, unit: Unit, n: int, of: str, why_not: str) -> str:
    if found.value is None:
        return f"{UNKNOWN}: {why_not}" if why_not else UNKNOWN
    told = number(found.value, unit)
    known = [] if found.low is None or found.high is None else [
        interval(found.low, found.high, unit)
    ]  # fmt: skip
    if unit == "count":
        return told
    return f"{told} ({', '.join([*known, f'{n:,} {of}'])})"


def count(key: str, label: str, value: int, of: str) -> Figure:
    """A plain count: no estimate, so no interval."""
    return figure(key, label, Estimate(float(value)), "count", value, of)


def many(count: int, one: str, more: str | None = None) -> str:
    """A count with its noun.

    >>> many(1, "case"), many(2, "case"), many(0, "class", "classes")
    ('1 case', '2 cases', '0 classes')
    """
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def listed(words: Sequence[str], most: int = 5) -> str:
    """Words in a row, the rest as a number.

    >>> listed(["a", "b", "c"]), listed(["a", "b", "c"], most=2), listed([])
    ('a, b and c', 'a, b and 1 more', '')
    """
    shown = list(words[:most])
    if len(words) > most:
        shown.append(f"{len(words) - most} more")
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))
