"""A team lead's home: how the work goes, what people find, what needs a hand.

`now` is what moves from minute to minute and is quickly read; `history` passes over every word ever
given and is kept until more was said. All sums are made by the database.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

from dashboard.services import home_words
from dashboard.services.concept_rows import shown_names
from dashboard.services.home_words import Stretch
from dashboard.services.kept import Kept
from dashboard.viewmodels.drift import DriftRow
from dashboard.viewmodels.home import (
    Anew,
    CoveragePart,
    CriteriaView,
    DayOfWork,
    HistoryView,
    HomeView,
    LoadRow,
    SpuriousCell,
)
from dashboard.viewmodels.schedules import ScheduleView
from dashboard.viewmodels.success import CriterionOutcome
from db.home_records import PartCount
from db.records import VersionRecord, utc_now
from db.repositories.home_reads import Part
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

CONCEPTS: Final = 12  # called spurious most often
RUNS: Final = 8
LOOKED_AT: Final = 60  # latest runs that are searched for trouble
WORDS: Final = 300  # latest words of a person that the pace is of
PARTS: Final = 24  # rows of coverage, at most


class Drift(Protocol):
    """What is needed of DriftService."""

    def list(self, project_id: str) -> tuple[DriftRow, ...]: ...


class Schedules(Protocol):
    """What is needed of ScheduleService."""

    def list(self, project_id: str) -> tuple[ScheduleView, ...]: ...


class Success(Protocol):
    """What is needed of SuccessService."""

    def outcomes(
        self, project_id: str, version_hash: str | None = ...
    ) -> tuple[CriterionOutcome, ...]: ...


class HomeService:
    """Gathers the home screen."""

    def __init__(
        self, uow: UnitOfWorkFactory, drift: Drift, schedules: Schedules, success: Success, *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:  # fmt: skip
        self._uow = uow
        self._drift, self._schedules, self._success = drift, schedules, success
        self._now = now
        self._parts: Kept[tuple[tuple[CoveragePart, ...], ...]] = Kept()
        self._cells: Kept[tuple[SpuriousCell, ...]] = Kept()
        self._pace: Kept[tuple[LoadRow, ...]] = Kept()
        self._anew: Kept[Anew | None] = Kept()
        self._history: Kept[HistoryView] = Kept()
        self._criteria: Kept[tuple[CriterionOutcome, ...]] = Kept()

    def now(self, project_id: str) -> HomeView:
        """How things stand at this moment. Raises NotFound."""
        start, at = time.perf_counter(), self._now()
        with self._uow(read_only=True) as uow:
            uow.projects.get(project_id)
            stamp = uow.home.stamp(project_id)
            version = uow.versions.active(project_id)
            queue = None
            load: tuple[LoadRow, ...] = ()
            coverage: tuple[tuple[CoveragePart, ...], ...] = ((), (), ())
            cells: tuple[SpuriousCell, ...] = ()
            anew: Anew | None = None
            if version is not None:
                queue = home_words.health(uow.home_queue.health(version.id, at))
                key = (project_id, version.id)
                coverage = self._parts.of(key, stamp, lambda: _coverage(uow, version))
                cells = self._cells.of(key, stamp, lambda: _cells(uow, version))
                anew = self._anew.of(key, stamp, lambda: _anew(uow, version))
                # Holds run out by the clock: the minute is part of what it depends on.
                moment = (stamp, f"{at:%Y-%m-%dT%H:%M}")
                load = self._pace.of(key, moment, lambda: _load(uow, version, at))
            started = uow.runs.list(project_id, limit=LOOKED_AT)
        schedules = self._schedules.list(project_id)
        checks = {row.run_id: row for row in self._drift.list(project_id)}
        runs = tuple(
            home_words.run_line(run, checks[run.id].sentence if run.id in checks else "", at)
            for run in started
        )
        alarmed = {key: bool(row.alert) for key, row in checks.items()}
        return HomeView(
            today=at.astimezone(UTC).date(), coverage=coverage[0], by_split=coverage[1],
            by_group=coverage[2], spurious=cells, health=queue, load=load, runs=runs[:RUNS],
            alerts=home_words.alerts(queue, load, runs, alarmed, schedules, at),
            schedules=schedules, as_of=at, took=time.perf_counter() - start,
            anew=anew,
        )  # fmt: skip

    def history(self, project_id: str) -> HistoryView:
        """How it went: throughput, coverage and agreement over time.

        A pass over every word of the project; where that is costly the figures may be a little
        behind.
        """
        with self._uow(read_only=True) as uow:
            stamp = uow.home.stamp(project_id)
            version = uow.versions.active(project_id)
            key = (project_id, version.id if version else "")
            return self._history.of(
                key, stamp, lambda: _history(uow, project_id, version, self._now())
            )

    def criteria(self, project_id: str) -> CriteriaView:
        """The success criteria that stand, each with its answer."""
        with self._uow(read_only=True) as uow:
            stamp = uow.home.stamp(project_id)
            version = uow.versions.active(project_id)
        key = (project_id, version.id if version else "")
        found = self._criteria.of(key, stamp, lambda: self._success.outcomes(project_id))
        said = [each.passed for each in found]
        return CriteriaView(found, said.count(True), said.count(False), said.count(None))


def _anew(uow: UnitOfWork, version: VersionRecord) -> Anew | None:
    """When somebody made the version active, where words stand on the cases of others."""
    acts = [e for e in uow.version_events.of_version(version.id) if e.kind != "discard"]
    kept = uow.home.elsewhere(version.project_id, version.id) if acts else 0
    return Anew(version.hash, acts[-1].created_at, kept) if kept else None


def _coverage(uow: UnitOfWork, version: VersionRecord) -> tuple[tuple[CoveragePart, ...], ...]:
    """By label where there is one (else by decision), by split, by group."""
    by_label = uow.home.coverage(version.id, "label")
    labelled = any(row.name for row in by_label)
    first = by_label if labelled else uow.home.coverage(version.id, "class")
    name: Part = "label" if labelled else "class"
    return (
        _parts(first, name),
        _parts(uow.home.coverage(version.id, "split"), "split"),
        _parts(uow.home.coverage(version.id, "group"), "group"),
    )


def _parts(found: tuple[PartCount, ...], by: Part) -> tuple[CoveragePart, ...]:
    """Parts as listed; a single part without a name is no part at all."""
    if all(row.name is None for row in found):
        return ()
    key = {"class": "prediction", "label": "label", "split": "split"}.get(by, "")
    return tuple(
        CoveragePart(
            row.name or "", row.cases, row.begun, row.done,
            ("queue", ((key, row.name),) if key and row.name else ()),
        )
        for row in found[:PARTS]
    )  # fmt: skip


def _cells(uow: UnitOfWork, version: VersionRecord) -> tuple[SpuriousCell, ...]:
    """What people say of the concepts that are called spurious most often, by decided class."""
    ids = uow.home.most_spurious(version.project_id, version.dictionary_hash, CONCEPTS)
    place = {concept_id: n for n, concept_id in enumerate(ids)}
    names = shown_names(uow, ids)
    return tuple(
        SpuriousCell(
            row.concept_id, names[row.concept_id], row.class_name, row.spurious,
            row.spurious + row.correct,
        )
        for row in sorted(
            uow.home.by_class(ids), key=lambda row: (place[row.concept_id], row.class_name)
        )
        if row.spurious + row.correct
    )  # fmt: skip


def _load(uow: UnitOfWork, version: VersionRecord, at: datetime) -> tuple[LoadRow, ...]:
    found = uow.home_queue.load(version.project_id, version.id, at)
    rows = [
        home_words.load_row(row, uow.home.pace(version.project_id, row.reviewer_id, WORDS))
        for row in found
    ]
    return tuple(sorted(rows, key=lambda row: (-row.open, -row.done, row.person)))


def _history(
    uow: UnitOfWork, project_id: str, version: VersionRecord | None, at: datetime
) -> HistoryView:
    start = time.perf_counter()
    people = {row.id: row.name for row in uow.reviewers.list()}
    days = uow.home.work(project_id)
    work = tuple(
        DayOfWork(row.day, people.get(row.reviewer_id, "?"), row.words, row.cases) for row in days
    )
    today = at.astimezone(UTC).date()
    stretch: Stretch = home_words.stretch_of(days[0].day if days else None, today)
    covered = uow.home.covered(version.id) if version is not None else ()
    return HistoryView(
        work=work, today=today, covered=home_words.running(covered),
        agreement=home_words.points(uow.home.agreement(project_id, stretch)), stretch=stretch,
        as_of=at, took=time.perf_counter() - start,
    )  # fmt: skip
