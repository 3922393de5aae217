"""Where the ends of audit chains are written down outside the database.

`WORKSPACE/audit-anchors.jsonl` gets a line {"project", "place", "hash", "at", "why"} whenever a
chain was found whole and whenever a file left the app. Whoever cuts the end off a chain, or writes
it anew from some place on, would have to change this file as well; a copy of it elsewhere (or the
hash in a signed report) is out of their reach altogether.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from core.errors import InputError
from db.chain_records import ChainHeadRecord
from db.records import utc_now

NAME = "audit-anchors.jsonl"
Why = Literal["verify", "export"]


@dataclass(frozen=True)
class Anchor:
    """A place of a chain as it was at some moment."""

    project: str
    place: int
    hash: str
    at: datetime
    why: str


class Anchors:
    """The anchors of one workspace; only ever added to."""

    def __init__(self, workspace: Path) -> None:
        self.path = workspace / NAME

    def exported(self, heads: Iterable[ChainHeadRecord]) -> None:
        """A file left the app (see db.unit_of_work)."""
        self.append(heads, "export")

    def append(self, heads: Iterable[ChainHeadRecord], why: Why) -> None:
        """Write down where chains end now."""
        at = utc_now().isoformat()
        lines = [
            json.dumps(
                {"project": head.project_id, "place": head.place, "hash": head.hash, "at": at,
                 "why": why}
            )
            for head in heads
        ]  # fmt: skip
        if not lines:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{line}\n" for line in lines)
        if self._is_torn():
            text = f"\n{text}"
        with self.path.open("a", encoding="ascii") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())

    def of(self, project_id: str) -> tuple[Anchor, ...]:
        """The anchors of one chain, oldest first. Raises InputError for a line that is none."""
        return tuple(each for each in self._read() if each.project == project_id)

    def by_project(self) -> dict[str, dict[int, str]]:
        """Project id -> place -> hash. Raises InputError."""
        found: dict[str, dict[int, str]] = {}
        for each in self._read():
            # The first word on a place counts: a later one may have been put there to fit.
            found.setdefault(each.project, {}).setdefault(each.place, each.hash)
        return found

    def _read(self) -> Iterator[Anchor]:
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip() or not line.endswith("\n"):  # a crash while it was written
                    continue
                yield self._parsed(number, line)

    def _parsed(self, number: int, line: str) -> Anchor:
        try:
            told: dict[str, Any] = json.loads(line)
            at = datetime.fromisoformat(told["at"])
            return Anchor(
                str(told["project"]), int(told["place"]), str(told["hash"]), at, str(told["why"])
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(self.path.name, f"line {number} is no anchor ({error})") from error

    def _is_torn(self) -> bool:
        if not self.path.exists() or not self.path.stat().st_size:
            return False
        with self.path.open("rb") as known:
            known.seek(-1, os.SEEK_END)
            return known.read(1) != b"\n"
