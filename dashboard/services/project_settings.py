"""What a project fixes in advance: reasons, criteria, what is hidden, in which order, how many.

Settings are plain JSON, kept as append-only revisions. A revision that lacks a field has its
default, so that older ones stay readable. This file is free of the store; `settings_of.py` keeps
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from typing import Any, Literal, cast, get_args

from core.errors import ConfigError
from dashboard.services.names import clean_name
from dashboard.viewmodels import REASONS, CriterionView

Hidden = Literal["model", "prediction", "labels", "peers"]
Order = Literal["priority", "random"]
Strategy = Literal["uncertain", "explanation", "experts", "shortcut", "teach", "diverse"]
HIDDEN: tuple[Hidden, ...] = get_args(Hidden)
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

MAX_REASONS, MAX_CRITERIA = 12, 8
MAX_SEED = 2**31 - 1
CRITERIA = (
    CriterionView(
        "clarity", "Clarity",
        "1: I cannot tell what the explanation claims. 5: I see at once what it claims and where.",
    ),
    CriterionView(
        "relevance", "Relevance",
        "1: the cues have nothing to do with the question. 5: they are what I would look at.",
    ),
    CriterionView(
        "actionability", "Actionability",
        "1: I could do nothing with it. 5: it tells me what to do next.",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class ProjectSettings:
    """One project's rules of review.

    reasons          why a cue may be spurious; offered in this order, by key
    criteria         what every case is rated by, 1 to 5; fixed once anybody rated by them
    blind            what is hidden from a reviewer until their own word on the case is in
    order            "priority": the queue's plan; "random": each reviewer an order of their own
    seed             of the plan and of the random orders
    weights          of each strategy in the plan: shares of the places it may fill, >= 0
    control_share    of the places filled by chance, so that there is something to compare with
    overlap_share    of the cases wanted by more than one person, so that agreement can be measured
    reviews_wanted   how many people are to judge each of those
    replan_words     verdicts after which the cases that nobody has begun are ordered anew while
                     people review, 0: only by a run or a lead; never in blind or random order
    lease_minutes    how long an opened case is kept for whoever opened it, since their last act
    near_miss_margin probability by which the decision led below which a right one is a near miss
    tolerance        share of held-out accuracy, and of worst-group accuracy, that a new version may
                     lose and still become active without a written reason
    cluster_column   column of the images' table that says which of them belong together (patient,
                     plate, scene), so that intervals are drawn over those; "": each stands alone
    """

    reasons: tuple[str, ...] = REASONS
    criteria: tuple[CriterionView, ...] = CRITERIA
    blind: frozenset[Hidden] = frozenset()
    order: Order = "priority"
    seed: int = 0
    weights: Mapping[Strategy, float] = field(
        default_factory=lambda: {
            "uncertain": 2.0, "explanation": 1.0, "experts": 1.0, "shortcut": 2.0, "teach": 3.0,
            "diverse": 1.0,
        }
    )  # fmt: skip
    control_share: float = 0.1
    overlap_share: float = 0.2
    reviews_wanted: int = 2
    replan_words: int = 10
    lease_minutes: int = 10
    near_miss_margin: float = 0.2
    tolerance: float = 0.03
    cluster_column: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON of all fields, sets sorted, so that equal settings are equal text."""
        return {
            **asdict(self),
            "reasons": list(self.reasons),
            "criteria": [asdict(each) for each in self.criteria],
            "blind": [word for word in HIDDEN if word in self.blind],
            "weights": {name: float(self.weights.get(name, 0.0)) for name in STRATEGIES},
        }


PLANNED_BY = ("seed", "weights", "control_share", "overlap_share", "reviews_wanted")
"""Fields that the plan of the queue depends on."""


def parse(raw: Mapping[str, Any]) -> ProjectSettings:
    """Settings from JSON; what is not given has its default.

    Raises ConfigError, which names the field, for an unknown one or a value out of range.
    """
    known = {each.name for each in fields(ProjectSettings)}
    unknown = sorted(set(raw) - known)
    if unknown:
        names = ", ".join(sorted(known))
        raise ConfigError(f"there is no setting {unknown[0]!r}; there are {names}")
    readers: dict[str, Callable[[Any], Any]] = {
        "reasons": _reasons,
        "criteria": _criteria,
        "blind": _blind,
        "order": _order,
        "seed": partial(_whole, "seed", 0, MAX_SEED),
        "weights": _weights,
        "control_share": partial(_share, "control_share"),
        "overlap_share": partial(_share, "overlap_share"),
        "reviews_wanted": partial(_whole, "reviews_wanted", 1, 10),
        "replan_words": partial(_whole, "replan_words", 0, 1000),
        "lease_minutes": partial(_whole, "lease_minutes", 1, 24 * 60),
        "near_miss_margin": partial(_share, "near_miss_margin"),
        "tolerance": partial(_share, "tolerance"),
        "cluster_column": _column,
    }
    return ProjectSettings(**{name: readers[name](value) for name, value in raw.items()})


def changed(before: ProjectSettings, after: ProjectSettings) -> tuple[str, ...]:
    """Names of the fields that differ, in the order of the fields."""
    old, new = before.as_json(), after.as_json()
    return tuple(name for name in old if old[name] != new[name])


def _reasons(value: object) -> tuple[str, ...]:
    words = tuple(clean_name(str(each), "a reason", limit=40) for each in _list("reasons", value))
    if not 1 <= len(words) <= MAX_REASONS:
        raise ConfigError(f"reasons: give 1 to {MAX_REASONS} of them, not {len(words)}")
    _no_repeats("reasons", [word.casefold() for word in words])
    return words


def _criteria(value: object) -> tuple[CriterionView, ...]:
    found = tuple(_criterion(each) for each in _list("criteria", value))
    if len(found) > MAX_CRITERIA:
        raise ConfigError(f"criteria: at most {MAX_CRITERIA}, not {len(found)}")
    _no_repeats("criteria", [each.key for each in found])
    return found


def _criterion(value: object) -> CriterionView:
    if not isinstance(value, Mapping) or not {"label"} <= set(value) <= {"key", "label", "text"}:
        raise ConfigError("criteria: each has a label and may have a key and a text")
    label = clean_name(str(value["label"]), "a criterion's label", limit=40)
    key = str(value.get("key") or "-".join(label.casefold().split()))
    text = " ".join(str(value.get("text", "")).split())
    if len(text) > 300:
        raise ConfigError(f"criteria: the text of {label!r} is longer than 300 characters")
    return CriterionView(clean_name(key, "a criterion's key", limit=40), label, text)


def _blind(value: object) -> frozenset[Hidden]:
    words = {str(each) for each in _list("blind", value)}
    strange = sorted(words - set(HIDDEN))
    if strange:
        raise ConfigError(f"blind: {strange[0]!r} cannot be hidden; choose of {', '.join(HIDDEN)}")
    return frozenset(cast("set[Hidden]", words))


def _order(value: object) -> Order:
    if value not in get_args(Order):
        raise ConfigError(f"order must be priority or random, not {value!r}")
    return cast("Order", value)


def _weights(value: object) -> dict[Strategy, float]:
    if not isinstance(value, Mapping) or set(value) - set(STRATEGIES):
        raise ConfigError(f"weights: one figure for each of {', '.join(STRATEGIES)}")
    given = {name: _number(f"weights.{name}", value.get(name, 0.0)) for name in STRATEGIES}
    bad = next((name for name, weight in given.items() if not 0 <= weight <= 100), None)
    if bad is not None:
        raise ConfigError(f"weights.{bad} must lie in 0..100, not {given[bad]}")
    return given


def _column(value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"cluster_column must be the name of a column, not {value!r}")
    name = " ".join(value.split())
    return clean_name(name, "a column's name", limit=80) if name else ""


def _share(name: str, value: object) -> float:
    share = _number(name, value)
    if not 0 <= share <= 1:
        raise ConfigError(f"{name} must lie in 0..1, not {share}")
    return share


def _whole(name: str, low: int, high: int, value: object) -> int:
    number = _number(name, value)
    if number != int(number) or not low <= number <= high:
        raise ConfigError(f"{name} must be a whole number in {low}..{high}, not {value!r}")
    return int(number)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise ConfigError(f"{name} must be a number, not {value!r}")
    if value in (float("inf"), float("-inf")):
        raise ConfigError(f"{name} must be finite")
    return float(value)


def _list(name: str, value: object) -> Sequence[Any]:
    if isinstance(value, str) or not isinstance(value, Sequence | frozenset | set):
        raise ConfigError(f"{name} must be a list, not {value!r}")
    return tuple(value)


def _no_repeats(name: str, words: Sequence[str]) -> None:
    twice = next((word for word in words if words.count(word) > 1), None)
    if twice is not None:
        raise ConfigError(f"{name}: {twice!r} is there twice")
