"""The check of an audit chain: what was edited, removed, put in, moved or cut off, by name.

One pass over the entries in batches; memory does not grow with the chain. It finds what differs
from the chain, not a chain that was forged as a whole together with every anchor: no hash without
a secret can.
"""

from bisect import bisect_right, insort
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy import select, union

from db.chain import WORKSPACE, entry_hash, genesis, row_hash
from db.chain_pending import Clock, clock_of
from db.chain_records import (
    ChainEntryRecord,
    ChainHeadRecord,
    ChainReport,
    Finding,
    FindingKind,
)
from db.models import CHAINED, ChainEntry, ChainHead, Project
from db.repositories.base import Repository, batches
from db.repositories.chain import ChainRepository
from db.repositories.chain_rows import ChainRows, StoredRow

LISTED = 1000  # findings kept per chain; all are counted
WINDOW = 10_000  # rows that may be chained between two that were said in the other order
_CLOCKS = {model.__tablename__: clock_of(model) for model in CHAINED}
Told = Callable[[int], None]  # entries checked so far


@dataclass
class _Walk:
    """Where the check of one chain is."""

    project_id: str
    place: int = 0
    hash: str = ""  # as the last entry states it
    made: str = ""  # as it is worked out from the last entry
    last: str = "the start"
    entries: int = 0
    removed: int = 0
    lost: int = 0  # rows that are gone: the order of the rest is then known less exactly
    seen: dict[Clock, list[tuple[int, str]]] = field(
        default_factory=lambda: {"event": [], "line": []}
    )
    findings: list[Finding] = field(default_factory=list)
    found: int = 0

    def find(
        self, kind: FindingKind, sentence: str, entry: ChainEntryRecord | None = None,
        place: int | None = None, row: tuple[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.found += 1
        if len(self.findings) >= LISTED:
            return
        table, row_id = (entry.table_name, entry.row_id) if entry else row or (None, None)
        at = entry.place if entry else place
        self.findings.append(Finding(kind, self.project_id, at, table, row_id, sentence))


class ChainCheck(Repository):
    """Reads only. `freeze` first, so that writers at work are no findings."""

    def freeze(self) -> None:
        """See the store as it is at this moment; the first call in a unit of work."""
        if self._session.get_bind().dialect.name == "postgresql":
            self._session.connection(execution_options={"isolation_level": "REPEATABLE READ"})

    def run(
        self, project_id: str, anchors: Mapping[int, str] | None = None, told: Told | None = None
    ) -> ChainReport:
        """Check one chain.

        Args:
            anchors: place -> hash, as they were written down outside the database.
            told: called with the number of entries checked, a batch at a time.
        """
        chain, rows = ChainRepository(self._session), ChainRows(self._session)
        start = genesis(project_id)
        walk = _Walk(project_id, hash=start, made=start)
        anchors = anchors or {}
        for batch in batches(chain.read(project_id)):
            stored = rows.stored(batch)
            for entry in batch:
                _follow(walk, entry)
                _anchored(walk, entry, anchors)
                _compare(walk, entry, stored.get((entry.table_name, entry.row_id)), rows)
            if told is not None:
                told(walk.entries)
        head = chain.head(project_id)
        _end(walk, head, anchors)
        _kept(walk, rows.removed(project_id))
        for table, row_id in rows.unchained(project_id):
            walk.find(
                "row inserted", f"{table} {row_id} has no entry in the chain: it was put in past "
                "the program, or its entry was removed", row=(table, row_id),
            )  # fmt: skip
        return ChainReport(
            project_id, walk.entries, walk.removed, head, tuple(walk.findings), walk.found
        )

    def projects(self) -> Iterator[str]:
        """Every project that has or should have a chain, and the workspace."""
        query = union(
            select(Project.id), select(ChainHead.project_id), select(ChainEntry.project_id)
        )
        yield from sorted({*self._session.scalars(query), WORKSPACE})


def _follow(walk: _Walk, entry: ChainEntryRecord) -> None:
    """Is this the entry that comes next, and is it as it was written?"""
    walk.entries += 1
    what = f"{entry.table_name} {entry.row_id}"
    expected = walk.place + 1
    gap = entry.place != expected
    if gap:
        gone = str(expected) if entry.place == expected + 1 else f"{expected} to {entry.place - 1}"
        walk.find("entry deleted", f"place {gone} of the chain is gone", place=expected)
    made = [_made(entry, former) for former in (walk.hash, walk.made)]
    if entry.hash not in made and not gap:
        walk.find(
            "entry edited",
            f"the entry at place {entry.place} ({what}) does not follow the one before it "
            f"({walk.last}): it was edited, or another one stood there",
            entry,
        )
    walk.place, walk.hash, walk.made, walk.last = entry.place, entry.hash, made[0], what


def _made(entry: ChainEntryRecord, former: str) -> str:
    return entry_hash(
        project=entry.project_id, place=entry.place, former=former, table=entry.table_name,
        row_id=entry.row_id, row_hash=entry.row_hash, behind=entry.behind, at=entry.at,
    )  # fmt: skip


def _anchored(walk: _Walk, entry: ChainEntryRecord, anchors: Mapping[int, str]) -> None:
    if anchors.get(entry.place, entry.hash) != entry.hash:
        walk.find(
            "anchor missed", f"place {entry.place} of the chain is another one than when it was "
            "last checked or exported: the chain was written anew", entry,
        )  # fmt: skip


def _compare(walk: _Walk, entry: ChainEntryRecord, row: StoredRow | None, rows: ChainRows) -> None:
    """Is the row as it was when its entry was written?"""
    what = f"{entry.table_name} {entry.row_id} (place {entry.place})"
    if row is None:
        walk.lost += 1
        if rows.is_retained(entry):
            walk.removed += 1
        else:
            walk.find("row deleted", f"{what} was removed", entry)
        return
    if not row.readable:
        walk.find("row unreadable", f"{what} holds what the program cannot have written", entry)
        return
    if row_hash(entry.table_name, row.content) != entry.row_hash:
        walk.find("row edited", f"{what} is not what was written", entry)
    _in_order(walk, entry, row)


def _in_order(walk: _Walk, entry: ChainEntryRecord, row: StoredRow) -> None:
    """Does the row stand where it stood among the others in the order of the database?"""
    clock = _CLOCKS.get(entry.table_name)
    if clock is None or row.order is None:
        return
    seen = walk.seen[clock]
    later = len(seen) - bisect_right(seen, (row.order, "￿"))
    if later > entry.behind or (later < entry.behind and not walk.lost):
        other = seen[-1][1] if seen else "others"
        walk.find(
            "row moved", f"{entry.table_name} {entry.row_id} (place {entry.place}) stands in "
            f"another order than it was said; see also {other}", entry,
        )  # fmt: skip
    insort(seen, (row.order, f"{entry.table_name} {entry.row_id}"))
    if len(seen) > 2 * WINDOW:
        del seen[:WINDOW]


def _end(walk: _Walk, head: ChainHeadRecord | None, anchors: Mapping[int, str]) -> None:
    """Does the chain end where its head, and what is known outside, say?"""
    if head is None and walk.entries:
        walk.find("end cut off", "the head of the chain is gone", place=walk.place)
    elif head is not None and (head.place, head.hash) != (walk.place, walk.hash):
        walk.find(
            "end cut off", f"the chain ends at place {walk.place}, its head says {head.place}: "
            "entries were cut off, or the head was edited", place=min(head.place, walk.place + 1),
        )  # fmt: skip
    beyond = max((place for place in anchors if place > walk.place), default=None)
    if beyond is not None:
        walk.find(
            "end cut off", f"places {walk.place + 1} to {beyond} were there when the chain was "
            "last checked or exported, and are gone", place=walk.place + 1,
        )  # fmt: skip


def _kept(walk: _Walk, allowed: int) -> None:
    if walk.removed > allowed:
        walk.find(
            "row deleted", f"{walk.removed} old audit lines are gone, but retentions removed "
            f"only {allowed}",
        )  # fmt: skip
