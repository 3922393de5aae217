"""A part of the audit chain as a file that anybody can verify without the database.

JSON lines, ASCII. The first is the header: {"format": "insight-audit-extract", "schema": 1,
"chain", "project", "name", "made_at", "since", "before", "person"}. Then every entry of the chain
in order: {"place", "table", "id", "row_hash", "behind", "at", "hash"}, with "row" (the content that
the hash covers) for the rows that were asked for: the others are hashes only. The last line is
{"end": true, "place", "hash", "entries", "rows", "people": {id: name now}}.

Who checks it works every hash out anew, from the first entry on. That proves that these rows stood
in this chain; that the chain itself is the one of that day is proved by its last hash, which the
workspace's anchors, other extracts and signed reports state as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from core.errors import InputError
from dashboard.services.progress import Progress, silent
from dashboard.viewmodels.audit import ExtractCheck
from db.chain import TAG, canonical, entry_hash, genesis, moment, row_hash
from db.chain_records import ChainedRow
from db.people import people_in
from db.records import utc_now
from db.unit_of_work import UnitOfWork

FORMAT, SCHEMA = "insight-audit-extract", 1
LISTED = 200  # problems that a check names; all are counted
MAX_LINE = 1 << 26  # characters; a longer line is no line of an extract


@dataclass(frozen=True)
class Wanted:
    """Which rows an extract holds; of the others it has the hashes."""

    project_id: str
    since: datetime | None = None
    before: datetime | None = None  # the first moment after the period
    person_id: str | None = None

    def __call__(self, row: ChainedRow) -> bool:
        at = row.entry.at
        if row.content is None or (self.since is not None and at < self.since):
            return False
        if self.before is not None and at >= self.before:
            return False
        return self.person_id is None or self.person_id in canonical(row.content)


@dataclass
class Written:
    """What went into an extract."""

    entries: int = 0
    rows: int = 0
    place: int = 0
    hash: str = ""


def write(
    uow: UnitOfWork, wanted: Wanted, name: str, target: Path, progress: Progress = silent
) -> Written:
    """Write the extract of a project's chain to a file, a batch of entries at a time."""
    uow.chain_check.freeze()
    head = uow.chain.head(wanted.project_id)
    total = head.place if head else 0
    done = Written(hash=genesis(wanted.project_id))
    names = {row.id: row.name for row in uow.reviewers.list()}
    people: set[str] = set()
    with target.open("w", encoding="ascii", newline="\n") as out:
        out.write(_line(_header(wanted, name)))
        for row in uow.chain.rows(wanted.project_id):
            body = _entry(row)
            if wanted(row):
                body["row"] = row.content
                people |= _people(row, names)
                done.rows += 1
            out.write(_line(body))
            done.entries += 1
            done.place, done.hash = row.entry.place, row.entry.hash
            if done.entries % 1000 == 0:
                progress(done.entries / max(total, 1), "writing the extract")
        out.write(
            _line({"end": True, "place": done.place, "hash": done.hash, "entries": done.entries,
                   "rows": done.rows, "people": {each: names[each] for each in sorted(people)}})
        )  # fmt: skip
    progress(1.0, "done")
    return done


def check(path: Path, progress: Progress = silent) -> ExtractCheck:
    """Verify an extract by itself. Raises InputError for a file that is none."""
    size = max(path.stat().st_size, 1) if path.exists() else 1
    try:
        with path.open(encoding="ascii", newline="\n") as lines:
            walk = _Walk.begin(path.name, _read(path.name, 1, lines.readline(MAX_LINE)))
            number, read = 1, 0
            while line := lines.readline(MAX_LINE):
                number, read = number + 1, read + len(line)
                walk.take(number, _read(path.name, number, line))
                if number % 1000 == 0:
                    progress(min(read / size, 1.0), "checking")
    except UnicodeDecodeError as error:
        raise InputError(path.name, f"not an audit extract: {error}") from error
    except OSError as error:
        raise InputError(path.name, f"cannot be read: {error.strerror}") from error
    progress(1.0, "done")
    return walk.told()


def _header(wanted: Wanted, name: str) -> dict[str, Any]:
    return {
        "format": FORMAT, "schema": SCHEMA, "chain": TAG, "project": wanted.project_id,
        "name": name, "made_at": moment(utc_now()),
        "since": None if wanted.since is None else moment(wanted.since),
        "before": None if wanted.before is None else moment(wanted.before),
        "person": wanted.person_id,
    }  # fmt: skip


def _entry(row: ChainedRow) -> dict[str, Any]:
    entry = row.entry
    return {
        "place": entry.place, "table": entry.table_name, "id": entry.row_id,
        "row_hash": entry.row_hash, "behind": entry.behind, "at": moment(entry.at),
        "hash": entry.hash,
    }  # fmt: skip


def _people(row: ChainedRow, names: Mapping[str, str]) -> set[str]:
    """Ids of the people that a row speaks of."""
    content = row.content or {}
    said = {each for each in content.values() if isinstance(each, str)}
    return (said | set(people_in(content))) & names.keys()


def _line(value: dict[str, Any]) -> str:
    return f"{canonical(value)}\n"


def _read(name: str, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(name, f"line {number} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(name, f"line {number} is not a line of an audit extract")
    return value


@dataclass
class _Walk:
    """Where the check of an extract is."""

    project: str
    name: str
    hash: str
    place: int = 0
    rows: int = 0
    entries: int = 0
    ended: bool = False
    problems: list[str] = field(default_factory=list)
    found: int = 0

    @classmethod
    def begin(cls, name: str, header: dict[str, Any]) -> _Walk:
        if header.get("format") != FORMAT:
            raise InputError(name, "not an audit extract")
        if header.get("schema") != SCHEMA or header.get("chain") != TAG:
            raise InputError(name, "an audit extract of another version of the program")
        project = str(header.get("project"))
        return cls(project, str(header.get("name")), genesis(project))

    def take(self, number: int, body: dict[str, Any]) -> None:
        if self.ended:
            self._say(f"line {number}: something stands behind the end")
        elif body.get("end"):
            self._end(body)
        else:
            self._entry(number, body)

    def _entry(self, number: int, body: dict[str, Any]) -> None:
        self.entries += 1
        what = f"place {body.get('place')} ({body.get('table')} {body.get('id')})"
        try:
            made = entry_hash(
                project=self.project, place=int(body["place"]), former=self.hash,
                table=body["table"], row_id=body["id"], row_hash=body["row_hash"],
                behind=body["behind"], at=datetime.fromisoformat(body["at"]),
            )  # fmt: skip
            stated, place = str(body["hash"]), int(body["place"])
            same = "row" not in body or (
                row_hash(str(body["table"]), dict(body["row"])) == body["row_hash"]
            )
        except (KeyError, ValueError, TypeError) as error:
            self._say(f"line {number}: not an entry ({error})")
            return
        if place != self.place + 1:
            self._say(f"{what}: place {self.place + 1} was expected")
        if made != stated:
            self._say(f"{what}: the entry was edited, or does not follow the one before it")
        if not same:
            self._say(f"{what}: the row is not what was written")
        self.rows += "row" in body
        self.place, self.hash = place, stated

    def _end(self, body: dict[str, Any]) -> None:
        self.ended = True
        told = (body.get("place"), body.get("hash"), body.get("entries"), body.get("rows"))
        if told != (self.place, self.hash, self.entries, self.rows):
            self._say("the end speaks of other entries or rows than those in the file")

    def _say(self, problem: str) -> None:
        self.found += 1
        if len(self.problems) < LISTED:
            self.problems.append(problem)

    def told(self) -> ExtractCheck:
        if not self.ended:
            self._say("the file was cut off: its last line is missing")
        sentence = (
            f"whole: {self.entries} entries, {self.rows} of them with their rows; the chain ends "
            f"at place {self.place} with {self.hash}"
            if not self.found
            else f"not whole: {self.found} "
            f"{'thing does' if self.found == 1 else 'things do'} not fit"
        )
        return ExtractCheck(
            self.name, self.entries, self.rows, self.place, self.hash, self.found,
            tuple(self.problems), sentence,
        )  # fmt: skip
