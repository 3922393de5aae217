"""The audit log over a few lists: a chain that is whole, or one with a row that was edited."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp

from dashboard.services.progress import Progress, silent
from dashboard.viewmodels.audit import (
    AuditLineView,
    AuditPage,
    ChainState,
    ChainView,
    ExtractView,
    FindingRow,
    LineFilter,
)
from tests.fakes.cases import HOSTILE, START, Book
from tests.fakes.settings import FakeSettings

HASH = "5e" * 32


class FakeAudit:
    """What the Audit screen asks; `broken` makes the check find something."""

    def __init__(self, book: Book, rules: FakeSettings) -> None:
        self._book, self._rules = book, rules
        self.broken = False
        self.checks = 0
        self.taken: list[LineFilter] = []
        name = HOSTILE if book.hostile else "Ada"
        self._lines = tuple(
            AuditLineView(
                START + timedelta(minutes=number), name if number % 2 else "worker", action, what,
                "value: spurious; revision: 1",
            )
            for number, (action, what) in enumerate(
                [("run.started", "run 1f"), ("verdict.given", "verdict 9a"),
                 ("run.succeeded", "run 1f"), ("concept.renamed", "concept 41")]
            )
        )  # fmt: skip

    def state(self, project_id: str) -> ChainState:
        said = "last found whole at place 12" if self.checks else "never checked yet"
        return ChainState(12, HASH, None, None, f"12 entries; {said}")

    def verify(
        self, project_id: str | None = None, progress: Progress = silent
    ) -> tuple[ChainView, ...]:
        self.checks += 1
        progress(0.5, "checking demo")
        if not self.broken:
            return (ChainView("p", "demo", 12, 0, 12, HASH, 0, (), "demo: whole: 12 entries"),)
        row = FindingRow(
            "row edited", 7, "verdicts", "9a7c", "verdicts 9a7c (place 7) is not what was written"
        )
        said = "demo: BROKEN: 1 finding in 12 entries"
        return (ChainView("p", "demo", 12, 0, 12, HASH, 1, (row,), said),)

    def lines(
        self, project_id: str, asked: LineFilter, reviewer_id: str | None = None, limit: int = 200
    ) -> AuditPage:
        if reviewer_id is not None and self._rules.role(project_id, reviewer_id) != "lead":
            return AuditPage((), False, (), (), (), "The lines of the log are for leads.")
        found = [
            line
            for line in reversed(self._lines)
            if (not asked.person or line.who == asked.person)
            and (not asked.action or line.action == asked.action)
            and (not asked.table or line.what.startswith(asked.table))
            and (asked.since is None or line.at.date() >= asked.since)
            and (asked.until is None or line.at.date() <= asked.until)
        ]
        people = tuple(sorted({line.who for line in self._lines}))
        actions = tuple(sorted({line.action for line in self._lines}))
        return AuditPage(tuple(found), False, people, actions, ("concept", "run", "verdict"), "")

    def extract(
        self, *, id: str, project_id: str, reviewer_id: str, since: object = None,
        until: object = None, person: str = "", progress: Progress = silent,
    ) -> ExtractView:  # fmt: skip
        self._rules.require(project_id, reviewer_id, "lead")
        self.taken.append(LineFilter(person=person))
        path = Path(mkdtemp()) / f"audit-{id[:8]}.jsonl"
        path.write_text("{}\n")
        return ExtractView(path, 12, 4, 12, HASH, "ab" * 32, 3, "12 entries, 4 with their rows")
