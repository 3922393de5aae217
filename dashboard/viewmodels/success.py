"""Success criteria of a project: what was fixed in advance, and whether it is met."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Unit = Literal["share", "points", "score", "count", "people"]
"""share: shown in %; points: a difference of shares; score: shown as it is; count: whole number."""
Group = Literal["model", "review", "work"]
"""What a measure speaks of: the model's decisions, what people say, how the work stands."""


@dataclass(frozen=True)
class MeasureView:
    """Something that a criterion can be put on."""

    key: str
    label: str
    group: Group
    unit: Unit
    comparator: str  # ">=" or "<=": what usually is asked for
    low: float  # thresholds lie in low..high
    high: float
    about: str  # one line: what is this


@dataclass(frozen=True)
class PresetView:
    """Criteria that are often chosen together; offered, never imposed."""

    key: str
    label: str
    about: str
    criteria: tuple[tuple[str, str, float], ...]  # measure, comparator, threshold


@dataclass(frozen=True)
class CriterionRevision:
    """One revision of a criterion."""

    measure: str
    label: str
    unit: Unit
    comparator: str
    threshold: float | None  # None: withdrawn
    text: str  # "Coverage at least 80 %"
    reason: str
    by: str
    at: datetime
    revision: int  # give it back as `based_on`


@dataclass(frozen=True)
class CriterionOutcome:
    """A criterion that stands, and whether it is met now."""

    measure: str
    label: str
    unit: Unit
    comparator: str
    threshold: float
    value: float | None
    low: float | None  # 95 % interval; None where there is none (a count is no estimate)
    high: float | None
    n: int | None  # what the value is of
    of: str  # what n counts: "cases", "cues that two or more people judged", ...
    passed: bool | None  # None: it cannot be said
    why: str  # why it cannot be said, or how firm the answer is; may be ""
    sentence: str  # the evidence in words
    screen: str  # where the cases behind it are: "agreement", "queue", ...
    query: tuple[tuple[str, str], ...]  # parameters of that screen's address
    reason: str  # why the criterion was set
    by: str
    at: datetime
    revision: int
    about: str = ""  # one line: what is this

    @property
    def verdict(self) -> str:
        """pass, fail or cannot be said."""
        return {True: "pass", False: "fail", None: "cannot be said"}[self.passed]
