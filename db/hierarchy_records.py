"""Frozen records of what people said of the concept hierarchy."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from db.records import RelationKind

ProposalKind = Literal["parent", "merge", "split"]
ConceptMarkKind = Literal["artefact", "locked"]
EdgeSource = Literal["model", "person"]


@dataclass(frozen=True)
class DecisionRecord:
    """One decision on a proposal; the highest revision stands."""

    seq: int
    id: str
    project_id: str
    proposal_id: str
    dictionary_hash: str
    accepted: bool
    reason: str
    reviewer_id: str
    reviewer: str  # name
    revision: int  # of the proposal
    place: int  # of the dictionary: 1 for its first decision
    created_at: datetime


@dataclass(frozen=True)
class ProposalRecord:
    """A change of the hierarchy that an expert proposes.

    parent: `concept` becomes a child of `target` by `relation_kind` (no target: a root).
    merge: `concept` is the same thing as `target`, whose name survives.
    split: `concept` is several things, named in `parts`.
    """

    seq: int
    id: str
    project_id: str
    dictionary_hash: str
    kind: ProposalKind
    concept_id: str
    concept: int  # number
    target_id: str | None
    target: int | None  # number
    relation_kind: RelationKind | None
    parts: tuple[str, ...]
    reason: str
    reviewer_id: str
    reviewer: str  # name
    decision: DecisionRecord | None  # that stands; None while it waits
    created_at: datetime


@dataclass(frozen=True)
class Step:
    """One accepted proposal as the fold takes it: concept numbers only."""

    proposal_id: str
    kind: ProposalKind
    concept: int
    target: int | None
    relation_kind: RelationKind | None
    parts: tuple[str, ...]


@dataclass(frozen=True)
class EdgeRecord:
    """A child and a parent in the folded hierarchy."""

    child: int
    parent: int
    kind: RelationKind
    source: EdgeSource
    weight: float  # of the model's relation; 1 where a person said it
    support: int  # images behind the model's relation; 0 where a person said it
    proposal_id: str | None = None


@dataclass(frozen=True)
class SkippedStep:
    """An accepted proposal that the fold could not apply, and why."""

    proposal_id: str
    why: str


@dataclass(frozen=True)
class HierarchyRecord:
    """The hierarchy of a dictionary as it stands: model relations, then accepted proposals."""

    edges: tuple[EdgeRecord, ...]  # between surviving concepts, by child and parent
    aliases: dict[int, int]  # merged concept -> the one that survives (chains resolved)
    splits: dict[int, tuple[str, ...]]  # concept -> names of its parts
    revision: int  # number of decisions so far; give it back as `based_on`
    skipped: tuple[SkippedStep, ...]

    def survivor(self, number: int) -> int:
        """The concept that stands for `number`: itself unless it was merged away."""
        return self.aliases.get(number, number)


@dataclass(frozen=True)
class ConceptMarkRecord:
    """A mark on a concept; the highest revision per kind stands."""

    seq: int
    id: str
    project_id: str
    concept_id: str
    kind: ConceptMarkKind
    value: bool
    reason: str
    reviewer_id: str
    reviewer: str  # name
    revision: int
    created_at: datetime
