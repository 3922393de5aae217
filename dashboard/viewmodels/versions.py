"""Model versions: listed, decided on, and where each came from."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from dashboard.viewmodels.judgement import Estimate, GuardView

EventKind = Literal["activate", "rollback", "discard"]
NodeKind = Literal["data", "snapshot", "run", "version"]


@dataclass(frozen=True)
class VersionRow:
    """A version as listed."""

    id: str
    hash: str
    parent: str | None  # hash
    kind: str  # discover, reweight, finetune
    state: str  # candidate, active, discarded
    seed: int
    created_at: datetime
    run_id: str | None
    run_kind: str | None
    by: str | None  # who asked for the run
    snapshot_hash: str | None
    verdicts: int  # in that snapshot
    accuracy: Estimate  # on held-out images, as measured when it was made
    cases: int  # images behind that accuracy; they need not be in this project
    split: str  # which splits these are, in words
    used_until: datetime | None = None  # when another took its place; None: active, or never used


@dataclass(frozen=True)
class HeldOut:
    """Accuracy on the project's held-out images now, as runs, Groups and reports tell it."""

    accuracy: Estimate
    cases: int  # behind it
    split: str  # which splits these are, in words
    note: str = ""  # why there is none, or what to bear in mind; one sentence


@dataclass(frozen=True)
class VersionEventRow:
    """Something that was decided about a version."""

    id: str
    kind: EventKind
    version_hash: str
    former_hash: str | None  # active before
    by: str | None
    at: datetime
    reason: str


@dataclass(frozen=True)
class VersionDetail:
    """One version with its history."""

    row: VersionRow
    parents: tuple[VersionRow, ...]  # nearest first, up to the first version
    children: tuple[VersionRow, ...]
    events: tuple[VersionEventRow, ...]  # newest first
    guard: GuardView | None  # against the active version; None where it is the active one
    can_activate: bool
    can_discard: bool
    encoder: str
    dictionary: str  # hash
    code_version: str


@dataclass(frozen=True)
class LineageNode:
    """A thing that something was made from."""

    id: str  # "data:...", "snapshot:...", "run:...", "version:..."
    kind: NodeKind
    title: str  # short
    line: str  # one line: what it is
    state: str  # of a run or version; "" else
    at: datetime | None
    column: int  # from the left: 0 is what came first
    row: int  # from the top
    ref: str  # id of the run or version, hash of data or snapshot
    used_until: datetime | None = None  # of a version: as VersionRow.used_until


@dataclass(frozen=True)
class LineageEdge:
    """What was made from what."""

    source: str
    target: str
    label: str  # "learnt from", "verdicts used", "started from", "made"


@dataclass(frozen=True)
class LineageView:
    """The graph from data to versions, laid out, with its text alternative."""

    nodes: tuple[LineageNode, ...]
    edges: tuple[LineageEdge, ...]
    columns: int
    rows: int
    text: tuple[str, ...]  # a line for every version: where it came from
    active: str | None  # node id
