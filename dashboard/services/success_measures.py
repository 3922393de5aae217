"""What a success criterion can be put on, how a threshold is written, and presets. Pure: no store.

Shares are kept in 0..1 and shown in per cent, differences of shares in points. The keys are stable:
criteria are kept by them for good.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from core.errors import ConfigError
from dashboard.viewmodels.success import Group, MeasureView, PresetView, Unit

Comparator = Literal[">=", "<="]
AT_LEAST: Final[Comparator] = ">="
AT_MOST: Final[Comparator] = "<="
WORDS: Final[Mapping[str, str]] = {AT_LEAST: "at least", AT_MOST: "at most"}
MOST_COUNT: Final = 1_000_000


@dataclass(frozen=True)
class Reading:
    """What a measure says now.

    value None: it cannot be said, and `why` says why.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    of: str = "cases"
    why: str = ""
    note: str = ""  # what to keep in mind beside the value
    screen: str = ""
    query: tuple[tuple[str, str], ...] = ()


def _measure(
    key: str, label: str, group: Group, unit: Unit, comparator: Comparator, about: str,
    low: float = 0.0, high: float | None = None,
) -> MeasureView:  # fmt: skip
    top = {"count": float(MOST_COUNT), "people": 100.0}.get(unit, 1.0)
    return MeasureView(
        key, label, group, unit, comparator, low, top if high is None else high, about
    )


MEASURES: Final[Mapping[str, MeasureView]] = {
    each.key: each
    for each in (
        _measure(
            "kappa", "Agreement, kappa", "review", "score", AT_LEAST,
            "chance-corrected agreement on cues: Cohen's kappa of two people, Fleiss' of more; 1 "
            "is perfect, 0 is chance", low=-1.0,
        ),
        _measure(
            "krippendorff_alpha", "Agreement, Krippendorff's alpha", "review", "score", AT_LEAST,
            "chance-corrected agreement on cues of any number of people, with gaps; 1 is perfect, "
            "0 is chance", low=-1.0,
        ),
        _measure(
            "case_alpha", "Agreement on the class", "review", "score", AT_LEAST,
            "Krippendorff's alpha of the classes that people give the same case", low=-1.0,
        ),
        _measure(
            "coverage", "Coverage", "work", "share", AT_LEAST,
            "share of the active version's cases on which as many people as wanted gave a word",
        ),
        _measure(
            "least_coverage", "Coverage of the least covered class", "work", "share", AT_LEAST,
            "the same share within the class, by label, where it is lowest",
        ),
        _measure(
            "reviewers_per_case", "People per reviewed case", "work", "people", AT_LEAST,
            "mean number of people who gave a word on a case, over the cases with any word",
        ),
        _measure(
            "overlap", "Judged by two or more", "work", "share", AT_LEAST,
            "share of the reviewed cases on which two or more people gave a word",
        ),
        _measure(
            "accuracy", "Accuracy", "model", "share", AT_LEAST,
            "share of the held-out cases whose decision is their label",
        ),
        _measure(
            "worst_group", "Worst-group accuracy", "model", "share", AT_LEAST,
            "lowest accuracy among the groups of at least 5 held-out cases",
        ),
        _measure(
            "average_group", "Average-group accuracy", "model", "share", AT_LEAST,
            "plain mean of the groups' accuracies, every group counting the same",
        ),
        _measure(
            "shortcut_gap", "Shortcut gap", "model", "points", AT_MOST,
            "accuracy where the shortcut goes with the label less accuracy where it misleads",
        ),
        _measure(
            "ece", "Calibration error", "model", "share", AT_MOST,
            "mean gap between stated confidence and accuracy on held-out cases (ECE, 15 bins)",
        ),
        _measure(
            "spurious_share", "Share of spurious cues", "review", "share", AT_MOST,
            "share of the standing verdicts, correct or spurious, that say spurious",
        ),
        _measure(
            "reliance_on_rejected", "Reliance on rejected concepts", "model", "share", AT_MOST,
            "share of all contributions to held-out decisions that lies on concepts called "
            "spurious",
        ),
        _measure(
            "disagreements_open", "Open disagreements", "review", "count", AT_MOST,
            "cues on which people differ and nobody has decided yet",
        ),
        _measure(
            "escalations_open", "Open escalations", "work", "count", AT_MOST,
            "cases that somebody escalated and nobody resolved",
        ),
        _measure(
            "flags_open", "Open flags", "work", "count", AT_MOST,
            "cases that somebody flagged and nobody resolved",
        ),
        _measure(
            "names_confirmed", "Names given by people", "review", "share", AT_LEAST,
            "share of the judged concepts whose name a person gave or confirmed",
        ),
        _measure(
            "drift_alerts", "Concepts that drifted", "model", "count", AT_MOST,
            "concepts with an alert in the latest drift check of the version",
        ),
    )
}  # fmt: skip

PRESETS: Final[tuple[PresetView, ...]] = (
    PresetView(
        "review", "A review that counts",
        "enough cases, seen by more than one person, who agree beyond chance",
        (("coverage", AT_LEAST, 0.8), ("overlap", AT_LEAST, 0.2), ("kappa", AT_LEAST, 0.6),
         ("disagreements_open", AT_MOST, 0.0), ("escalations_open", AT_MOST, 0.0)),
    ),
    PresetView(
        "shortcut", "A model without a shortcut",
        "right for the right reason, in every group alike",
        (("shortcut_gap", AT_MOST, 0.02), ("worst_group", AT_LEAST, 0.75),
         ("reliance_on_rejected", AT_MOST, 0.1), ("spurious_share", AT_MOST, 0.1)),
    ),
    PresetView(
        "release", "Fit to be released",
        "accurate, well calibrated, without drift, and reviewed",
        (("accuracy", AT_LEAST, 0.9), ("ece", AT_MOST, 0.05), ("drift_alerts", AT_MOST, 0.0),
         ("coverage", AT_LEAST, 0.8), ("kappa", AT_LEAST, 0.6)),
    ),
)  # fmt: skip


def find(key: str) -> MeasureView:
    """The measure of that key. Raises ConfigError, which names those that there are."""
    found = MEASURES.get(key.strip().replace("-", "_"))
    if found is None:
        raise ConfigError(f"there is no measure {key!r}; there are {', '.join(MEASURES)}")
    return found


def preset(key: str) -> PresetView:
    """The preset of that key. Raises ConfigError."""
    found = next((each for each in PRESETS if each.key == key), None)
    if found is None:
        known = ", ".join(each.key for each in PRESETS)
        raise ConfigError(f"there is no preset {key!r}; there are {known}")
    return found


def checked(measure: MeasureView, comparator: str, threshold: float) -> tuple[Comparator, float]:
    """A comparison and a threshold that the measure can have. Raises ConfigError."""
    if comparator not in (AT_LEAST, AT_MOST):
        raise ConfigError(f"compare with >= or <=, not {comparator!r}")
    value = float(threshold)
    if not math.isfinite(value) or not measure.low <= value <= measure.high:
        hint = " (shares are written in 0..1 or with %)" if measure.unit == "share" else ""
        raise ConfigError(
            f"{measure.key}: the threshold must lie in {measure.low:g}..{measure.high:g}, "
            f"not {threshold:g}{hint}"
        )
    if measure.unit == "count" and value != int(value):
        raise ConfigError(f"{measure.key} counts: the threshold must be whole, not {threshold:g}")
    return comparator, value


def parse_threshold(measure: MeasureView, text: str) -> float:
    """A threshold as people write it: 0.8, 80%, 2 points.

    Raises ConfigError.
    """
    match = re.fullmatch(r"\s*([+-]?\d+(?:[.,]\d+)?|[+-]?[.,]\d+)\s*(%|points?)?\s*", text)
    if match is None:
        raise ConfigError(f"{measure.key}: {text!r} is no threshold; write 0.8, 80% or 2 points")
    value = float(match[1].replace(",", "."))
    if match[2]:
        if measure.unit not in ("share", "points"):
            raise ConfigError(f"{measure.key} is no share: write the threshold without {match[2]}")
        value /= 100
    return value


def amount(unit: Unit, value: float | None) -> str:
    """A value with its unit.

    >>> amount("share", 0.8), amount("points", 0.02), amount("score", 0.6), amount("count", 3.0)
    ('80.0 %', '2.0 points', '0.60', '3')
    """
    if value is None:
        return "\u2013"
    match unit:
        case "share":
            return f"{100 * value:.1f} %"
        case "points":
            return f"{100 * value:.1f} points"
        case "count":
            return f"{value:,.0f}"
        case "people":
            return f"{value:.2f} people"
        case _:
            return f"{value:.2f}".replace("-", "\u2212")


def text(label: str, unit: Unit, comparator: str, threshold: float | None) -> str:
    """A criterion in words.

    >>> text("Coverage", "share", ">=", 0.8)
    'Coverage at least 80.0 %'
    """
    if threshold is None:
        return f"{label}: withdrawn"
    return f"{label} {WORDS[comparator]} {amount(unit, threshold)}"


def passes(comparator: str, value: float, threshold: float) -> bool:
    """Whether the plain figure reaches the threshold."""
    return value >= threshold if comparator == AT_LEAST else value <= threshold


def straddles(reading: Reading, threshold: float) -> bool:
    """Whether the interval holds values on both sides of the threshold."""
    if reading.low is None or reading.high is None:
        return False
    return reading.low < threshold < reading.high


def evidence(measure: MeasureView, comparator: str, threshold: float, found: Reading) -> str:
    """One sentence: the value, its interval, what it is of, and what was asked."""
    asked = f"{WORDS[comparator]} {amount(measure.unit, threshold)} is asked for"
    if found.value is None:
        return f"{measure.label} cannot be said: {found.why}; {asked}."
    between = ""
    if found.low is not None and found.high is not None:
        low, high = amount(measure.unit, found.low), amount(measure.unit, found.high)
        between = f" (95 % interval {low} to {high})"
    of = f", of {found.n:,} {found.of}" if found.n is not None else ""
    note = f" {found.note}" if found.note else ""
    return f"{measure.label} is {amount(measure.unit, found.value)}{between}{of}; {asked}.{note}"
