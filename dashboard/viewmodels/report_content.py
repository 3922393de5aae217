"""What a report says: every figure with its interval and how many it is drawn from.

Plain frozen data, made by services.reports; rendered as HTML and PDF, written as JSON and tables.
Times are in UTC. Texts are as people typed them: whoever renders them escapes them.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from dashboard.viewmodels.agreement import AgreementView
from dashboard.viewmodels.drift import DriftView
from dashboard.viewmodels.groups import GroupsView
from dashboard.viewmodels.home import AgreementPoint
from dashboard.viewmodels.judgement import FigureView
from dashboard.viewmodels.report_case import CaseContent as CaseContent
from dashboard.viewmodels.report_case import CueContent as CueContent
from dashboard.viewmodels.report_case import Ruling as Ruling
from dashboard.viewmodels.report_case import SaidOfCase as SaidOfCase
from dashboard.viewmodels.report_case import SaidOfCue as SaidOfCue
from dashboard.viewmodels.runs import NoticeView

FORMAT = "insight-report"
SCHEMA = 2
Unit = Literal["share", "points", "score", "logit", "count"]
"""share: [0, 1], shown in %; points: difference of shares, shown in points; score: as it is."""
CoverageKind = Literal["class", "split", "group"]


@dataclass(frozen=True)
class Figure:
    """One figure with its 95 % interval."""

    key: str
    label: str
    value: float | None  # None: it cannot be said, `text` tells why
    low: float | None  # 95 % interval; None for a count
    high: float | None
    unit: Unit
    n: int  # what it is drawn from
    of: str  # what these are: "labelled cases", "verdicts in 41 cases"
    what_is_this: str  # one line
    text: str  # as shown: "82.1 % (95 % interval 78.0 to 85.5)", "12 of 40", "not measured: ..."


@dataclass(frozen=True)
class Cover:
    """The first page."""

    project: str
    notice: str | None  # what the project says of itself ("not for diagnostic use")
    classes: tuple[str, ...]
    scope: tuple[tuple[str, str], ...]  # field, value; those that are set
    scope_sentence: str
    version: str | None  # hash of the version whose decisions are told
    version_kind: str | None  # discover, reweight, finetune
    since: date | None
    until: date | None
    first_word: datetime | None  # of the words counted
    last_word: datetime | None
    generated_at: datetime
    generated_by: str  # a person's name, or "the program, by a schedule"


@dataclass(frozen=True)
class SplitAccuracy:
    """How often the version is right on one split."""

    split: str | None
    held_out: bool  # the version did not learn from it
    left_out: int  # cases of a held-out split whose verdicts taught the version
    accuracy: Figure


@dataclass(frozen=True)
class ReliabilityBin:
    """Cases whose stated confidence lies in (low, high]."""

    low: float
    high: float
    n: int
    confidence: float | None  # mean stated confidence; None without cases
    accuracy: Figure


@dataclass(frozen=True)
class Reliability:
    """How far the stated confidence can be trusted, on one set of cases."""

    cases: str  # which: "held-out cases", "all labelled cases (the version learnt from some)"
    ece: Figure
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class AgreementPart:
    """How far people agree; the views are those of the Agreement screen."""

    cues: AgreementView | None
    cases: AgreementView | None
    note: str = ""  # why there is nothing, or what to keep in mind
    over_time: tuple[AgreementPoint, ...] = ()  # by month; whole project only


@dataclass(frozen=True)
class SpuriousExample:
    """A cue to be shown beside a concept in the ranking."""

    cue_id: str
    case_id: str
    image_id: str
    image_name: str
    image_sha256: str
    label: str | None
    prediction: str
    causal_effect: float  # logit units
    people: int  # who call it spurious


@dataclass(frozen=True)
class SpuriousConcept:
    """A concept that people judged, by how often they call it spurious."""

    concept_id: str
    concept: int  # number in its dictionary
    dictionary: str  # hash
    name: str
    correct: int
    spurious: int
    unsure: int
    cases: int  # in which it was judged
    people: int
    share: Figure  # spurious among those that say correct or spurious
    mean_causal_effect: float  # logit units
    examples: tuple[SpuriousExample, ...] = ()  # three at most, the first concepts only


@dataclass(frozen=True)
class NameChange:
    """A name that a person gave or changed."""

    concept: int
    former: str
    name: str
    by: str
    at: datetime
    reason: str


@dataclass(frozen=True)
class StructureChange:
    """A change of the concept hierarchy that was decided."""

    kind: str  # merge, split, relation, ...
    sentence: str
    decision: str  # accepted, rejected, ...
    by: str
    at: datetime
    reason: str


@dataclass(frozen=True)
class RunSplit:
    """Before and after on one held-out split."""

    split: str
    n: int  # labelled cases compared
    left_out: int  # cases whose verdicts taught one of the versions
    sentence: str
    figures: tuple[FigureView, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunChange:
    """A run and what came of it."""

    id: str
    kind: str
    strategy: str  # "" for runs that have none
    state: str
    seed: int
    by: str | None
    at: datetime
    base_version: str | None  # hash
    result_version: str | None  # hash
    result_state: str | None
    snapshot: str | None  # hash of the feedback it used
    verdicts: int
    sentence: str
    splits: tuple[RunSplit, ...] = ()
    notices: tuple[NoticeView, ...] = ()


@dataclass(frozen=True)
class VersionStep:
    """A model version, or a decision on one, in the order of time."""

    at: datetime
    what: str  # "made", "activate", "rollback", "discard"
    version: str  # hash
    former: str | None  # hash: its parent, or what was active before
    kind: str  # discover, reweight, finetune
    by: str | None  # None: the program
    reason: str
    seed: int


@dataclass(frozen=True)
class OpenDispute:
    """A cue or case on which people differ and nobody decided."""

    subject: Literal["cue", "case"]
    id: str
    case_id: str
    about: str  # the concept's name, or the predicted class
    said: tuple[tuple[str, int], ...]  # word, people


@dataclass(frozen=True)
class OpenMark:
    """A case that somebody flagged or escalated and nobody resolved."""

    kind: str  # flag, escalate
    case_id: str
    image_name: str
    by: str
    at: datetime
    reason: str


@dataclass(frozen=True)
class OpenPart:
    """What is not decided yet."""

    disputes: tuple[OpenDispute, ...]
    disputes_total: int
    marks: tuple[OpenMark, ...]
    marks_total: int
    note: str = ""


@dataclass(frozen=True)
class CoverageRow:
    """How much of one class, split or group was reviewed."""

    kind: CoverageKind
    name: str | None  # None: the images without one
    cases: int
    reviewed: int
    share: Figure

    @property
    def missing(self) -> int:
        """Cases that nobody judged."""
        return self.cases - self.reviewed


@dataclass(frozen=True)
class NotJudged:
    """A concept that the cases show as a cue and that nobody judged."""

    concept_id: str
    concept: int
    name: str
    cues: int
    largest_effect: float  # |causal effect|, logit units


@dataclass(frozen=True)
class CoveragePart:
    """What was reviewed and what was not."""

    cases: int
    reviewed: int
    share: Figure
    sentence: str
    rows: tuple[CoverageRow, ...]  # per kind, least reviewed first
    not_explained: int  # cases that were never opened: they have no cues yet
    concepts: int  # that appear as cues
    not_judged: int  # of these
    not_judged_first: tuple[NotJudged, ...]  # by |causal effect|
    left_out: tuple[tuple[CoverageKind, int], ...] = ()  # rows beyond those listed


@dataclass(frozen=True)
class RatingFigure:
    """How people rate the explanations by one criterion, 1 to 5."""

    key: str
    label: str
    mean: Figure
    counts: tuple[int, int, int, int, int]  # of 1, 2, 3, 4, 5


@dataclass(frozen=True)
class PersonPart:
    """How much one person said."""

    name: str
    verdicts: int
    assessments: int  # words on whole cases
    cases: int  # with any of these


@dataclass(frozen=True)
class CriterionLine:
    """A predefined success criterion and whether it holds."""

    measure: str
    label: str
    comparator: str  # ">=" or "<="
    threshold: float
    value: float | None
    low: float | None
    high: float | None
    passed: bool | None  # None: cannot be said
    reason: str  # why it was set, or why it cannot be said
    evidence: str  # one sentence


@dataclass(frozen=True)
class DecisionLine:
    """An entry of the decision log."""

    id: str
    at: datetime
    by: str
    subject: str
    title: str
    choice: str
    reason: str
    evidence: tuple[str, ...]
    supersedes: str | None


@dataclass(frozen=True)
class ProvenanceRow:
    """Where something comes from."""

    section: str  # "Images", "Model", "Feedback", "Software", "Store"
    label: str
    value: str


@dataclass(frozen=True)
class SignOff:
    """Who vouches for the report, on paper."""

    statement: str
    lines: tuple[tuple[str, str], ...]  # role, name where one is known


@dataclass(frozen=True)
class ReportContent:
    """A report without its cases, which come one after another (`ReportService.cases`)."""

    cover: Cover
    method: tuple[str, ...]  # paragraphs
    headline: tuple[Figure, ...]
    splits: tuple[SplitAccuracy, ...]
    calibration: tuple[Reliability, ...]
    agreement: AgreementPart
    spurious: tuple[SpuriousConcept, ...]  # most surely spurious first
    ratings: tuple[RatingFigure, ...]
    people: tuple[PersonPart, ...]
    names: tuple[NameChange, ...]
    structure: tuple[StructureChange, ...]
    runs: tuple[RunChange, ...]
    versions: tuple[VersionStep, ...]
    groups: tuple[GroupsView, ...]
    groups_note: str
    drift: DriftView | None
    drift_note: str
    open: OpenPart
    coverage: CoveragePart
    criteria: tuple[CriterionLine, ...]
    decisions: tuple[DecisionLine, ...]
    limits: tuple[str, ...]
    provenance: tuple[ProvenanceRow, ...]
    sign_off: SignOff
    cases: int  # how many follow
    case_words: int  # of these with a word of the selection
    format: str = FORMAT
    schema: int = SCHEMA

    def figure(self, key: str) -> Figure | None:
        """The headline figure of that key."""
        return next((each for each in self.headline if each.key == key), None)
