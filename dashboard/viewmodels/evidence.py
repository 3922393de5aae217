"""What a run started now would learn from."""

from dataclasses import dataclass

from dashboard.viewmodels.runs import NoticeView


@dataclass(frozen=True)
class ConceptEvidence:
    """What people said of one concept, as one probability."""

    concept: int  # number in the dictionary
    name: str
    class_name: str | None  # None: of all classes
    scope: str  # "here", "class" or "everywhere"
    probability: float  # that it is spurious, [0, 1]
    weight: float  # how much it counts, [0, 1]; disagreement lowers it
    words: int  # verdicts behind it
    people: int  # who gave them
    marks: int  # regions marked spurious


@dataclass(frozen=True)
class ColumnEvidence:
    """What people said of one metadata column."""

    column: str
    probability: float  # that it is spurious, [0, 1]
    people: int  # whose word stands on it


@dataclass(frozen=True)
class RaterEvidence:
    """How far one person's words can be relied on."""

    name: str
    words: int
    reliability: float | None  # 1 always right, 0.5 a coin, 0 always wrong; None: unknown
    weight: float  # how much the words count, [0, 1]; 0 where they are not counted
    counted: bool  # False: their words reach no run
    said: str  # in words; empty where nothing is amiss


@dataclass(frozen=True)
class EvidenceView:
    """The evidence as it stands: what goes into a run that is started now."""

    verdicts: int
    spurious: int
    correct: int
    unsure: int
    people: int
    regions: int  # drawn by hand
    concepts: tuple[ConceptEvidence, ...] = ()  # most probably spurious first
    columns: tuple[ColumnEvidence, ...] = ()
    raters: tuple[RaterEvidence, ...] = ()
    notices: tuple[NoticeView, ...] = ()
    ready: bool = False
    why_not: str = ""  # where not ready: what to do
    places: int = 0  # drawn, shown by no cue, and rejected clearly enough to be learnt from
