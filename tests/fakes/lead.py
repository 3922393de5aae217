"""A team lead's services over a few lists: home, success criteria, decisions, schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from core.errors import ConfigError
from dashboard.services import success_measures as rules
from dashboard.services.decision_log import _fits
from dashboard.services.schedule_times import Spec, next_due
from dashboard.services.success_measures import MEASURES, PRESETS
from dashboard.viewmodels.decisions import DecisionEntry, DecisionFilter, EvidenceLink
from dashboard.viewmodels.home import (
    AgreementPoint,
    Anew,
    CoveragePart,
    CriteriaView,
    DayOfWork,
    HistoryView,
    HomeAlert,
    HomeView,
    LoadRow,
    QueueHealth,
    RunLine,
    SpuriousCell,
)
from dashboard.viewmodels.judgement import Estimate
from dashboard.viewmodels.schedules import ScheduledRun, ScheduleView
from dashboard.viewmodels.success import (
    CriterionOutcome,
    CriterionRevision,
    MeasureView,
    PresetView,
)
from db.errors import Conflict, StaleWrite
from tests.fakes.cases import HOSTILE, START, Book, uid

TODAY = date(2026, 5, 4)
VALUES: Mapping[str, tuple[float | None, float | None, float | None]] = {
    "coverage": (0.62, None, None), "kappa": (0.66, 0.55, 0.77), "accuracy": (0.93, 0.91, 0.95),
}  # fmt: skip


class FakeSuccess:
    """Criteria in a list; coverage, kappa and accuracy can be said, nothing else."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.rows: list[CriterionRevision] = []

    def measures(self) -> tuple[MeasureView, ...]:
        return tuple(MEASURES.values())

    def presets(self) -> tuple[PresetView, ...]:
        return PRESETS

    def standing(self, project_id: str) -> tuple[CriterionRevision, ...]:
        latest = {row.measure: row for row in self.rows}
        return tuple(row for row in latest.values() if row.threshold is not None)

    def history(self, project_id: str) -> tuple[CriterionRevision, ...]:
        return tuple(reversed(self.rows))

    def revision(self, project_id: str, measure: str) -> int:
        return sum(row.measure == measure for row in self.rows)

    def set(
        self, *, id: str, project_id: str, reviewer_id: str, measure: str, comparator: str,
        threshold: float, reason: str, based_on: int,
    ) -> CriterionRevision:  # fmt: skip
        found = rules.find(measure)
        sign, value = rules.checked(found, comparator, threshold)
        return self._keep(found, sign, value, reason, based_on)

    def withdraw(
        self, *, id: str, project_id: str, reviewer_id: str, measure: str, reason: str,
        based_on: int,
    ) -> CriterionRevision:  # fmt: skip
        return self._keep(rules.find(measure), ">=", None, reason, based_on)

    def _keep(
        self, found: MeasureView, sign: str, value: float | None, reason: str, based_on: int
    ) -> CriterionRevision:
        current = self.revision("", found.key)
        if current != based_on:
            raise StaleWrite("criterion", based_on, current)
        if len(reason.strip()) < 3:
            raise ConfigError("say why: a criterion without a reason convinces nobody later")
        row = CriterionRevision(
            found.key, found.label, found.unit, sign, value,
            rules.text(found.label, found.unit, sign, value), reason, "Ada", START, current + 1,
        )  # fmt: skip
        self.rows.append(row)
        return row

    def outcomes(
        self, project_id: str, version_hash: str | None = None
    ) -> tuple[CriterionOutcome, ...]:
        return tuple(self._outcome(row) for row in self.standing(project_id))

    def _outcome(self, row: CriterionRevision) -> CriterionOutcome:
        measure, threshold = MEASURES[row.measure], row.threshold or 0.0
        value, low, high = VALUES.get(row.measure, (None, None, None))
        why = "" if value is not None else "no cue was judged by two people yet"
        found = rules.Reading(value, low, high, 240, why=why, screen="queue")
        passed = None if value is None else rules.passes(row.comparator, value, threshold)
        return CriterionOutcome(
            row.measure, row.label, row.unit, row.comparator, threshold, value, low, high, 240,
            "cases", passed, why, rules.evidence(measure, row.comparator, threshold, found),
            "queue", (("status", "open"),), row.reason, row.by, row.at, row.revision,
            measure.about,
        )  # fmt: skip


class FakeSchedules:
    """Schedules in a list; nothing is ever made, but one has failed."""

    def __init__(self, book: Book) -> None:
        self.rows: list[ScheduleView] = []
        self.started: list[str] = []
        self.formats: tuple[str, ...] = ("html", "pdf", "json")

    def past(self) -> None:
        """One schedule whose latest export failed."""
        row = self._view(uid("schedule", 0), "weekly", Spec("week", "06:00", ("html", "pdf")))
        failed = ScheduledRun(
            uid("run", "export"), "failed", START, START, "logo.png: is no picture", ()
        )
        self.rows.append(replace(row, runs=(failed,)))

    def list(self, project_id: str) -> tuple[ScheduleView, ...]:
        return tuple(self.rows)

    def add(
        self, *, id: str, project_id: str, reviewer_id: str, spec: Mapping[str, Any],
        name: str = "",
    ) -> ScheduleView:  # fmt: skip
        found = Spec.from_json(spec)
        self.rows.append(self._view(id, name or found.words(), found))
        return self.rows[-1]

    def pause(self, **act: Any) -> ScheduleView:
        return self._change(act["schedule_id"], active=False, next_due=None)

    def resume(self, **act: Any) -> ScheduleView:
        return self._change(act["schedule_id"], active=True)

    def remove(self, **act: Any) -> None:
        self.rows = [row for row in self.rows if row.id != act["schedule_id"]]

    def run_now(self, **act: Any) -> None:
        self.started.append(act["schedule_id"])

    def _change(self, schedule_id: str, **changes: Any) -> ScheduleView:
        at = next(n for n, row in enumerate(self.rows) if row.id == schedule_id)
        row = self.rows[at]
        self.rows[at] = replace(row, revision=row.revision + 1, **changes)
        return self.rows[at]

    def _view(self, key: str, name: str, spec: Spec) -> ScheduleView:
        return ScheduleView(
            key, name, spec.every, spec.at, spec.weekday, spec.day, spec.tz, spec.formats,
            "The whole project.", True, spec.words(), "Ada", START, 1, next_due(spec, START),
        )  # fmt: skip


class FakeDecisions:
    """Decisions in a list, and one that was read from the versions."""

    def __init__(self, book: Book) -> None:
        name = HOSTILE if book.hostile else "it mends the ruler shortcut"
        link = EvidenceLink("run", uid("run", 1), "reweight run of 2026-05-03", "runs",
                            (("run", uid("run", 1)),))  # fmt: skip
        self.rows = [
            DecisionEntry(
                uid("decision", 0), "version", "version", uid("version", 0), "Version 9f3c1ab7",
                "made active instead of 1b2c3d4e", name, (link,), "Dr Before", START,
            )
        ]  # fmt: skip

    def list(self, project_id: str, wanted: DecisionFilter) -> tuple[DecisionEntry, ...]:
        rows = [row for row in self.rows if not wanted.subject or row.subject == wanted.subject]
        return tuple(row for row in reversed(rows) if _fits(row, wanted))

    def timeline(
        self, project_id: str, *, since: date | None = None, until: date | None = None,
        subject: str | None = None,
    ) -> tuple[DecisionEntry, ...]:  # fmt: skip
        return self.list(project_id, DecisionFilter(subject=subject or ""))

    def options(self, project_id: str, case_id: str | None = None) -> tuple[EvidenceLink, ...]:
        return (
            EvidenceLink("version", uid("version", 0), "version 9f3c1ab7", "versions"),
            EvidenceLink("criterion", "kappa", "criterion Agreement, kappa", "home"),
        )

    def add(
        self, *, id: str, project_id: str, reviewer_id: str, subject: Any, title: str, choice: str,
        reason: str, alternatives: str = "", subject_id: str | None = None,
        evidence: Sequence[tuple[str, str]] = (), supersedes: str | None = None,
    ) -> DecisionEntry:  # fmt: skip
        if not title.strip() or not choice.strip() or len(reason.strip()) < 3:
            raise ConfigError("say what was chosen and why")
        for n, row in enumerate(self.rows):
            if row.id == supersedes:
                if row.superseded_by:
                    raise Conflict("superseded already")
                self.rows[n] = replace(row, superseded_by=id)
        offered = {(link.kind, link.id): link for link in self.options(project_id)}
        links = tuple(offered[(kind, key)] for kind, key in evidence if (kind, key) in offered)
        self.rows.append(
            DecisionEntry(id, "written", subject, subject_id, title, choice, reason, links, "Ada",
                          START + timedelta(hours=len(self.rows)), supersedes, None, alternatives)
        )  # fmt: skip
        return self.rows[-1]


class FakeHome:
    """Two people, three weeks."""

    def __init__(self, book: Book, success: FakeSuccess, schedules: FakeSchedules) -> None:
        self._book, self._success, self._schedules = book, success, schedules
        self.empty = False  # nobody has done anything

    def now(self, project_id: str) -> HomeView:
        who = HOSTILE if self._book.hostile else "Dr Before"
        health = QueueHealth(240, 100, 20, 120, 2, 1, 3, 1, 4, START, uid("case", 2))
        if self.empty:
            return HomeView(TODAY, (), (), (), (), None, (), (), (), (), START, 0.0)
        classes = ("naevus", "melanoma")
        return HomeView(
            today=TODAY,
            coverage=tuple(
                CoveragePart(name, 120, 60, 50, ("queue", (("label", name),))) for name in classes
            ),
            by_split=(CoveragePart("test", 60, 6, 6, ("queue", (("split", "test"),))),),
            by_group=(),
            spurious=tuple(
                SpuriousCell(uid("concept", 41), who if self._book.hostile else "ruler", name,
                             30 - n, 40)
                for n, name in enumerate(classes)
            ),
            health=health,
            load=(
                LoadRow(who, 20, 5, 60, 1, 12.5, 300, START),
                LoadRow("Dr Idle", 9, 9, 0, 0, None, 0, None),
            ),
            runs=(
                RunLine(uid("run", 1), "reweight", "", "running", 0.4, START, "",
                        ("runs", (("run", uid("run", 1)),))),
                RunLine(uid("drift", 0), "evaluate", "drift", "succeeded", 1.0, START,
                        "The new images differ: ruler fires more.",
                        ("drift", (("check", uid("drift", 0)),))),
            ),
            alerts=(
                HomeAlert("warning", "Drift: The new images differ.",
                          ("drift", (("check", uid("drift", 0)),))),
            ),
            schedules=tuple(self._schedules.rows), as_of=START, took=0.1,
            anew=Anew("ab12cd34ef56ab12", START, 64),
        )  # fmt: skip

    def history(self, project_id: str) -> HistoryView:
        if self.empty:
            return HistoryView((), TODAY, (), (), "day", START, 0.0)
        people = (HOSTILE if self._book.hostile else "Dr Before", "Ada")
        days = [TODAY - timedelta(days=n) for n in range(20, -1, -1)]
        return HistoryView(
            work=tuple(
                DayOfWork(day, who, 10 + n, 4) for day in days for n, who in enumerate(people)
            ),
            today=TODAY,
            covered=tuple((day, 5 * n) for n, day in enumerate(days)),
            agreement=tuple(
                AgreementPoint(day, Estimate(0.5 + n / 40, 0.4 + n / 40, 0.6 + n / 40), 30, 12)
                for n, day in enumerate(days[::7])
            ),
            stretch="week", as_of=START, took=0.2,
        )  # fmt: skip

    def criteria(self, project_id: str) -> CriteriaView:
        found = self._success.outcomes(project_id)
        said = [each.passed for each in found]
        return CriteriaView(found, said.count(True), said.count(False), said.count(None))
