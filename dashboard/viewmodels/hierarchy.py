"""The project's hierarchy of concepts, and what people propose to change in it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

ProposalKind = Literal["parent", "merge", "split"]
ProposalState = Literal["open", "accepted", "declined"]


@dataclass(frozen=True)
class TreeNodeView:
    """A concept in the tree, under its strongest parent."""

    concept_id: str
    concept: int
    name: str
    named: bool
    frequency: float  # share of images in which it fires, [0, 1]
    kind: str | None  # "is-a" or "part-of"; None at a root
    source: str | None  # "model" or "person"; None at a root
    children: tuple["TreeNodeView", ...] = ()
    artefact: bool = False
    locked: bool = False
    merged: tuple[str, ...] = ()  # names of the concepts that this one stands for
    also: tuple[str, ...] = ()  # names of further parents


@dataclass(frozen=True)
class TreeView:
    """The hierarchy of one dictionary as it stands."""

    revision: int  # decisions so far: give it back as `based_on`
    roots: tuple[TreeNodeView, ...]
    alone: int  # concepts that fire and have no relation
    relations: int
    by_people: int  # of the relations, those that people set
    merged: int  # concepts that another one stands for
    skipped: tuple[str, ...] = ()  # accepted steps that no longer fit, in words


@dataclass(frozen=True)
class DecisionView:
    """One decision on a proposal."""

    accepted: bool
    by: str
    reason: str
    at: datetime
    revision: int


@dataclass(frozen=True)
class ProposalView:
    """A proposed change of the hierarchy."""

    id: str
    kind: ProposalKind
    concept_id: str
    concept: str  # name
    target_id: str | None
    target: str | None  # name
    relation: str | None  # "is-a" or "part-of"
    parts: tuple[str, ...]
    reason: str
    by: str
    at: datetime
    state: ProposalState
    decisions: tuple[DecisionView, ...]  # oldest first
    effect: str  # what accepting it does, in words
    obstacle: str | None = None  # why it cannot be accepted as things stand


@dataclass(frozen=True)
class InboxView:
    """Proposals of one dictionary."""

    revision: int  # give it back as `based_on`
    open: tuple[ProposalView, ...]  # oldest first
    decided: tuple[ProposalView, ...]  # newest decision first
    may_decide: bool
