"""What every strategy is given, and what it gives back.

Shape legend: I cases (those to fit on and those held out); N concepts; P patches; D embedding;
C classes; R rejected cues.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.cue_detector import RejectedCue
from core.cue_marks import DetectorConfig, MarkedRegion, TokensOf
from core.drawn import called
from core.errors import ConfigError
from core.heads import Float64Array, IntArray, LinearHead, Pooled, Pooling
from core.notices import Notice as Notice  # everything a strategy needs comes from here
from core.types import BoolArray, FloatArray

Nothing: Mapping[Any, Any] = MappingProxyType({})
FilledTokensOf = Callable[[int, BoolArray], FloatArray]
"""(case number, region bool [P]) -> tokens float32 [P, D] of the picture with the region filled."""
CodesOf = Callable[[FloatArray], FloatArray]
"""Tokens float32 [P, D] -> pooled codes float32 [N], pooled as `FitData.pooling` says."""


@dataclass(frozen=True)
class GroupRow:
    """One group of training cases: a label with or without each rejected cue or column value."""

    label: str
    present: tuple[bool, ...]  # one per rejected cue; empty for groups of a column
    n: int
    weight: float  # share of the total weight after balancing, [0, 1]
    value: str = ""  # of the rejected column, "" where the groups come from cues


@dataclass(frozen=True)
class StrategyScore:
    """How one strategy did on the validation that is built from the verdicts (see `auto`)."""

    strategy: str
    score: float | None  # mean accuracy over its cells, [0, 1]; None where it could not be fitted
    worst: float | None  # lowest accuracy of a cell, [0, 1]
    ordinary: float | None  # plain accuracy on the same held-out cases, [0, 1]
    chosen: bool
    why: str


@dataclass(frozen=True, eq=False)
class Around:
    """Further cases whose column values are known, with or without labels: all images that are
    not held out to measure on. They show what a column changes where labels cannot.

    Raises ConfigError where lengths differ.
    """

    pooled_JN: Pooled  # pooled as FitData.pooled_IN
    columns: Mapping[str, Sequence[object]]  # column -> value of every case, "" or None: unknown

    def __post_init__(self) -> None:
        for name, values in self.columns.items():
            if len(values) != self.pooled_JN.shape[0]:
                raise ConfigError(
                    f"{len(values)} values of the column {name} do not fit "
                    f"{self.pooled_JN.shape[0]} cases around"
                )


@dataclass(frozen=True, eq=False)
class Learnt:
    """Detectors that passed the checks (core.strategies.cues), and what to say about the others."""

    cues: tuple[RejectedCue, ...]
    notes: tuple[Notice, ...]


UNCHANGED = "Nothing was changed."
"""Said by every refusal of words; left out where they are followed all the same."""


@dataclass(frozen=True, eq=False)
class Checked:
    """What the check of the words said (core.strategies.sanity).

    notes    what must be known of them, whatever is done with them
    refusal  why nothing may follow them unless a person chose so; "" where they may be followed
    learnt   the detectors that the check learnt on its way, so that none is learnt twice; None
             where it came to none. Not part of the JSON
    """

    notes: tuple[Notice, ...] = ()
    refusal: str = ""
    learnt: Learnt | None = None

    @property
    def reason(self) -> str:
        """The refusal as a sentence that does not say that nothing was changed."""
        text = self.refusal.replace(UNCHANGED, "").replace("  ", " ").strip()
        return f"{text.rstrip('.')}." if text else ""

    def as_json(self) -> dict[str, Any]:
        """JSON-ready; `from_json` restores it, without `learnt`."""
        return {"notes": [asdict(note) for note in self.notes], "refusal": self.refusal}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Checked":
        """Restore what `as_json` gave."""
        return cls(tuple(Notice(**note) for note in data["notes"]), str(data["refusal"]))


@dataclass(frozen=True, eq=False)
class FitData:
    """The cases, what is known of them, and what people said; plain arrays, no store.

    pooled_IN    pooled codes, csr or dense, >= 0
    labels_I     index into classes
    rows         the number of each case, as `tokens_of` and the marks know it; distinct
    tokens_of    dense tokens float32 [P, D] of a case number; None: strategies that need them are
                 not usable
    grid         rows and columns of the patch grid
    validation_I cases kept out of every fit: only the temperature is fitted on them
    marks        verdicts, several people already merged; each with its weight in [0, 1]. Their
                 rows may lie outside `rows`
    concepts     concept -> probability that it is spurious everywhere, [0, 1]
    concepts_of_class  (concept, class index) -> the same for one class
    columns      column -> value of every case ("" or None: unknown), length I each
    rejected_columns   column -> probability that the whole column is spurious, [0, 1]
    around       see Around; None: `columns` learns from the labelled cases alone
    filled_tokens_of   see FilledTokensOf; None: a token-level fill stands in
    codes_of     see CodesOf; needed by `counterfactual` alone
    prior_N      preference among concepts, see core.heads.fit_head
    names        concept -> name, for messages
    base         the head that people judged, where there is one: results are compared with it
    words        what the check of the words said (an earlier step of a run); None: not checked yet.
                 To be dropped with the marks and concepts that it speaks of
    cues         detectors learnt before (an earlier step of a run); None: learnt from the marks
    presence_IR  which of them shows in which case, where that is known already
    detector     how detectors are learnt
    c            inverse penalty of the heads; None chooses it by cross-validation
    seed         of all sampling

    Raises ConfigError where lengths differ.
    """

    pooled_IN: Pooled
    labels_I: IntArray
    classes: tuple[str, ...]
    rows: tuple[int, ...]
    tokens_of: TokensOf | None = None
    grid: tuple[int, int] | None = None
    validation_I: NDArray[np.bool_] | None = None
    marks: tuple[MarkedRegion, ...] = ()
    concepts: Mapping[int, float] = field(default_factory=lambda: Nothing)
    concepts_of_class: Mapping[tuple[int, int], float] = field(default_factory=lambda: Nothing)
    columns: Mapping[str, Sequence[object]] = field(default_factory=lambda: Nothing)
    rejected_columns: Mapping[str, float] = field(default_factory=lambda: Nothing)
    around: Around | None = None
    filled_tokens_of: FilledTokensOf | None = None
    codes_of: CodesOf | None = None
    prior_N: Float64Array | None = None
    names: Mapping[int, str] = field(default_factory=lambda: Nothing)
    base: LinearHead | None = None
    words: Checked | None = None
    cues: tuple[RejectedCue, ...] | None = None
    presence_IR: NDArray[np.bool_] | None = None
    detector: DetectorConfig | None = None
    pooling: Pooling = "max"
    c: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        count = int(self.pooled_IN.shape[0])
        lengths = {
            "labels": len(self.labels_I),
            "rows": len(self.rows),
            "the validation mask": len(self.held_I),
            **{f"the column {name}": len(values) for name, values in self.columns.items()},
        }
        for what, length in lengths.items():
            if length != count:
                raise ConfigError(f"{length} values of {what} do not fit {count} cases")
        if self.presence_IR is not None and (
            self.cues is None or self.presence_IR.shape != (count, len(self.cues))
        ):
            raise ConfigError("the presence of cues does not fit the cases and the cues")
        missing = sorted(set(self.rejected_columns) - set(self.columns))
        if missing:
            raise ConfigError(f"the rejected column {missing[0]!r} has no values")

    @property
    def held_I(self) -> NDArray[np.bool_]:
        """`validation_I`, all False where there is none."""
        if self.validation_I is None:
            return np.zeros(int(self.pooled_IN.shape[0]), dtype=np.bool_)
        return np.asarray(self.validation_I, dtype=np.bool_)

    def called(self, concept: int) -> str:
        """The name of a concept, "concept 17" where it has none; "marked place" for a place."""
        return called(concept, self.names)


@dataclass(frozen=True, eq=False)
class Outcome:
    """A new head and how it came about; the order of cases is that of the data given.

    weight_I   of the cases in the fit: mean 1 over those fitted on, 0 on validation cases
    presence_IR  which rejected cue shows in which case; None without cues
    groups     what was balanced, empty where nothing was
    scores     of `auto`: all strategies tried, and why one was chosen
    details    further figures, JSON-ready
    """

    strategy: str
    head: LinearHead
    weight_I: Float64Array
    groups: tuple[GroupRow, ...] = ()
    cues: tuple[RejectedCue, ...] = ()
    presence_IR: NDArray[np.bool_] | None = None
    notes: tuple[Notice, ...] = ()
    scores: tuple[StrategyScore, ...] = ()
    details: Mapping[str, Any] = field(default_factory=lambda: Nothing)
