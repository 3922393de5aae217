"""The audit log as shown: chains, lines, what a check found, extracts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path


@dataclass(frozen=True)
class FindingRow:
    """One thing that is not as it was written."""

    kind: str
    place: int | None
    table: str | None
    row_id: str | None
    sentence: str


@dataclass(frozen=True)
class ChainView:
    """What the check of one chain found."""

    project_id: str
    name: str
    entries: int
    removed: int  # audit lines that a retention took away
    place: int
    hash: str
    found: int
    findings: tuple[FindingRow, ...]  # the first ones, where there are very many
    sentence: str

    @property
    def is_whole(self) -> bool:
        return self.found == 0


@dataclass(frozen=True)
class ChainState:
    """Where a chain ends, and when it was last found whole."""

    place: int
    hash: str
    checked_at: datetime | None
    checked_place: int | None
    sentence: str


@dataclass(frozen=True)
class LineFilter:
    """Which lines of the log are asked for; days are UTC and inclusive."""

    person: str = ""
    action: str = ""
    table: str = ""  # what the line speaks of: "verdict", "version", ...
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True)
class AuditLineView:
    """One line of the audit log."""

    at: datetime
    who: str
    action: str
    what: str
    detail: str


@dataclass(frozen=True)
class AuditPage:
    """Lines, newest first, and the words to filter by."""

    lines: tuple[AuditLineView, ...]
    more: bool  # older lines are left out
    people: tuple[str, ...]
    actions: tuple[str, ...]
    tables: tuple[str, ...]
    note: str  # why something is not shown; "" where nothing is hidden


@dataclass(frozen=True)
class ExtractView:
    """An extract that was made."""

    path: Path
    entries: int
    rows: int  # entries with their rows; the others are hashes only
    place: int
    hash: str
    sha256: str
    size: int
    sentence: str


@dataclass(frozen=True)
class ExtractCheck:
    """What the check of an extract found, without the database."""

    project: str
    entries: int
    rows: int
    place: int
    hash: str
    found: int
    problems: tuple[str, ...]  # the first ones
    sentence: str

    @property
    def is_whole(self) -> bool:
        return self.found == 0


@dataclass(frozen=True)
class MentionRow:
    """A column in which a name still stands."""

    table: str
    column: str
    count: int
    rows: tuple[str, ...]


@dataclass(frozen=True)
class RedactionView:
    """A name that was replaced, or would be."""

    person_id: str
    pseudonym: str
    projects: tuple[str, ...]
    mentions: tuple[MentionRow, ...]
    done: bool
    sentence: str


@dataclass(frozen=True)
class RetentionView:
    """Audit lines that were removed, or would be."""

    older_than: datetime
    count: int
    done: bool
    sentence: str
