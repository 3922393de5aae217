"""The queue over the fakes' phantoms: planned, claimed and marked in dicts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from dashboard.services.blinding import image_name
from dashboard.services.queue_plan import REASONS, in_words
from dashboard.viewmodels import QueueRow
from dashboard.viewmodels.queue import (
    ClaimView,
    FacetsView,
    PlanView,
    ProgressView,
    QueueFilter,
    QueuePage,
)
from tests.fakes.cases import START, Book, case_view, uid
from tests.fakes.settings import FakeSettings

PAGE = 20
STRATEGIES = ("uncertain", "shortcut", "diverse", "control", "explanation", "experts")


@dataclass
class FakeQueue:
    """The queue of one project."""

    book: Book
    rules: FakeSettings
    held: dict[str, str] = field(default_factory=dict)  # case id, the name of who has it
    marks: dict[str, set[str]] = field(default_factory=dict)
    assigned: dict[str, set[str]] = field(default_factory=dict)  # case id, names
    acts: set[str] = field(default_factory=set)
    planned: int = 0

    def progress(self, project_id: str, reviewer_id: str) -> ProgressView:
        rows = self._rows(reviewer_id)
        mine = sum(row.done for row in rows)
        team = sum(row.reviewers >= row.wanted for row in rows)
        people = tuple((name, self._done(id)) for name, id in self.book.reviewers.items())
        return ProgressView(mine, team, len(rows), tuple(p for p in people if p[1]))

    def plan_of(self, project_id: str) -> PlanView:
        counts = dict.fromkeys(REASONS, 0)
        for at in range(self.book.cases):
            counts[STRATEGIES[at % len(STRATEGIES)]] += 1
        listed = tuple((key, REASONS[key], count) for key, count in counts.items())
        return PlanView(self.book.cases, listed, self.rules.now.seed, "Dr Example", START)

    def plan(self, project_id: str, by: str | None = None, **_: Any) -> PlanView:
        if by is not None:
            self.rules.require(project_id, by, "lead")
        self.planned += 1
        return self.plan_of(project_id)

    def catch_up(self, project_id: str, *, at_most: int | None = None) -> bool:
        return False

    def facets(self, project_id: str) -> FacetsView:
        rows = self._rows("")
        return FacetsView(
            tuple((key, REASONS[key]) for key in STRATEGIES),
            tuple((each, each) for each in sorted({row.prediction for row in rows})),
            tuple((each, each) for each in sorted({row.label or "" for row in rows})),
            (("train", "train"),),
        )

    def page(self, project_id: str, reviewer_id: str, filters: QueueFilter) -> QueuePage:
        rows = [row for row in self._rows(reviewer_id) if _fits(row, filters)]
        pages = max(1, -(-len(rows) // PAGE))
        at = min(max(filters.page, 1), pages)
        return QueuePage(
            tuple(rows[(at - 1) * PAGE : at * PAGE]), len(rows), at, pages, PAGE,
            self.rules.now.blind, self.rules.now.order,
        )  # fmt: skip

    def claim(self, case_id: str, reviewer_id: str, or_next: bool = False) -> ClaimView:
        until = START + timedelta(minutes=self.rules.now.lease_minutes)
        name = self.held.get(case_id)
        if name is None or not or_next:
            return ClaimView(case_id, name is None, name, until)
        free = (uid("case", at) for at in range(self.book.cases))
        return ClaimView(next(id for id in free if id not in self.held), True, None, until)

    def mark(self, *, id: str, case_id: str, reviewer_id: str, kind: str, reason: str = "") -> None:
        if id in self.acts:
            return
        self.acts.add(id)
        if kind == "resolve":
            self.marks.pop(case_id, None)
        else:
            self.marks.setdefault(case_id, set()).add(kind)

    def assign_next(
        self, *, id: str, project_id: str, assignee_id: str, by_id: str, count: int
    ) -> int:
        self.rules.require(project_id, by_id, "lead")
        free = [row for row in self._rows("") if not row.reviewers and not row.assigned_to][:count]
        name = next(n for n, who in self.book.reviewers.items() if who == assignee_id)
        for row in free:
            self.assigned.setdefault(row.case_id, set()).add(name)
        return len(free)

    def _rows(self, reviewer_id: str) -> list[QueueRow]:
        ids = [uid("case", at) for at in range(self.book.cases)]
        return [self._row(at, ids, reviewer_id) for at in range(self.book.cases)]

    def _row(self, at: int, ids: list[str], reviewer_id: str) -> QueueRow:
        case = case_view(self.book, at, ids, reviewer_id)
        done = any(cue.mine for cue in case.cues) or case.assessment is not None
        hidden = frozenset() if case.assessment else self.rules.now.blind
        unseen = "prediction" in hidden
        words = {who for cue, who, v in self.book.verdicts if cue in {c.id for c in case.cues}} | {
            who for case_id, who in self.book.assessments if case_id == case.id
        }
        return QueueRow(
            case.id, case.position, image_name(case.image_name, case.image_id, hidden),
            None if "labels" in hidden else case.label, case.split,
            "" if unseen else case.prediction, 0.0 if unseen else case.confidence, done,
            "" if unseen else in_words(STRATEGIES[at % len(STRATEGIES)]),
            self.held.get(case.id), tuple(sorted(self.marks.get(case.id, ()))),
            tuple(sorted(self.assigned.get(case.id, ()))), len(words), 2 if at % 5 == 2 else 1,
        )  # fmt: skip

    def _done(self, reviewer_id: str) -> int:
        return sum(row.done for row in self._rows(reviewer_id))


def _fits(row: QueueRow, wanted: QueueFilter) -> bool:
    state = {
        "all": True, "open": not row.done and not row.held_by, "mine": row.done,
        "assigned": bool(row.assigned_to), "held": bool(row.held_by),
        "flagged": "flag" in row.marks, "escalated": "escalate" in row.marks,
        "skipped": "skip" in row.marks, "done": row.reviewers >= row.wanted,
    }[wanted.status]  # fmt: skip
    return (
        state
        and wanted.search.lower() in row.image_name.lower()
        and row.reason.startswith(wanted.reason)
        and (not wanted.prediction or row.prediction == wanted.prediction)
        and (not wanted.label or row.label == wanted.label)
        and (not wanted.split or row.split == wanted.split)
    )
