"""Records of the audit chain: entries, heads, what a check finds, redactions, retentions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

FindingKind = Literal[
    "row edited", "row deleted", "row inserted", "row moved", "row unreadable",
    "entry edited", "entry deleted", "entry out of place", "end cut off", "anchor missed",
]  # fmt: skip


@dataclass(frozen=True)
class ChainEntryRecord:
    """One entry of a project's chain; see db.chain for what the hashes cover."""

    project_id: str  # or "workspace"
    place: int  # 1, 2, ...
    table_name: str
    row_id: str
    row_hash: str
    hash: str
    behind: int
    at: datetime  # when the row was said


@dataclass(frozen=True)
class ChainHeadRecord:
    """Where a chain ends."""

    project_id: str
    place: int
    hash: str


@dataclass(frozen=True)
class ChainedRow:
    """An entry with what its row holds now; `content` None where the row is gone."""

    entry: ChainEntryRecord
    content: Mapping[str, Any] | None


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it was written."""

    kind: FindingKind
    project_id: str
    place: int | None
    table: str | None
    row_id: str | None
    sentence: str


@dataclass(frozen=True)
class ChainReport:
    """What the check of one chain found."""

    project_id: str
    entries: int
    removed: int  # audit lines that a retention took away
    head: ChainHeadRecord | None
    findings: tuple[Finding, ...]  # the first ones, where there are very many
    found: int  # all of them

    @property
    def is_whole(self) -> bool:
        return self.found == 0


@dataclass(frozen=True)
class AuditLine:
    """One line of the audit log as it is stored: people by id, in `actor` and `detail` alike."""

    uid: str
    at: datetime
    actor: str
    action: str
    entity: str
    entity_id: str
    detail: dict[str, Any]
    project_id: str | None


@dataclass(frozen=True)
class RedactionRecord:
    """A name that was replaced by a pseudonym."""

    id: str
    project_id: str
    reviewer_id: str  # who did it
    person_id: str  # whose name it was
    pseudonym: str
    reason: str
    created_at: datetime
    reviewer: str  # name of who did it


@dataclass(frozen=True)
class Mention:
    """A column of free text in which a name still stands, and the rows."""

    table: str
    column: str
    rows: tuple[str, ...]  # ids, the first ones
    count: int


@dataclass(frozen=True)
class RetentionRecord:
    """Audit lines older than a moment may be removed, and were: why, by whom, how many."""

    id: str
    project_id: str | None  # None: lines that belong to no project
    reviewer_id: str
    older_than: datetime
    reason: str
    count: int
    created_at: datetime
    reviewer: str
