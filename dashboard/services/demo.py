"""The embedded demo: dermoscopy phantoms with planted shortcuts and the shipped model version.

The phantoms are drawn into the workspace as an ordinary folder with a labels table and ingested
like real data. Everything is a function of the plan, so that a call goes on where an earlier one
was killed, and a call on a finished demo changes nothing.
"""

from __future__ import annotations

import csv
import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import BundleError, InputError
from dashboard.services.discovery import DiscoveryService
from dashboard.services.explaining import ExplainService
from dashboard.services.ingest import IngestService
from dashboard.services.progress import Progress, part, silent
from dashboard.services.projects import project_view
from dashboard.settings import Settings
from dashboard.viewmodels import ProjectView
from db.records import ProjectRecord
from db.unit_of_work import UnitOfWorkFactory

if TYPE_CHECKING:
    from core.phantoms.dataset import Row, Split

PROJECT = "demo"
BATCH = 24  # phantoms between two saves of the table
READY = 4  # first cases that are explained at once
BUNDLE = Path(__file__).resolve().parents[2] / "core" / "phantoms" / "demo_version"


@dataclass(frozen=True)
class DemoPlan:
    """What the demo holds: how many phantoms of which split, of which series.

    train and test have each shortcut in 95 % of its class, reversed in 5 %.
    """

    train: int = 600
    test: int = 200
    reversed: int = 200
    quick: int = 72  # phantoms of the quick first part, from train
    seed: int = 0
    size: int = 192  # pixels

    @property
    def total(self) -> int:
        """Phantoms of the finished demo."""
        return self.train + self.test + self.reversed


class DemoService:
    """Builds the demo project."""

    def __init__(
        self,
        uow_factory: UnitOfWorkFactory,
        ingest: IngestService,
        discovery: DiscoveryService,
        explain: ExplainService,
        settings: Settings,
        *,
        plan: DemoPlan | None = None,
        bundle: Path = BUNDLE,
    ) -> None:
        self._uow = uow_factory
        self._ingest = ingest
        self._discovery = discovery
        self._explain = explain
        self._folder = settings.workspace / "demo"
        self._plan = plan or DemoPlan()
        self._bundle = bundle

    def build(self, quick: bool = False, progress: Progress = silent) -> ProjectView:
        """Draw, ingest and register the demo; idempotent.

        Args:
            quick: only the first training phantoms, enough to look at cases; the rest is left to
                a later call.

        Raises BundleError where the shipped model version is missing or damaged.
        """
        if not (self._bundle / "manifest.json").is_file():
            reason = "the shipped demo model is missing; make it with core.phantoms.build_demo"
            raise BundleError(str(self._bundle.name), reason)
        count = min(self._plan.quick, self._plan.train) if quick else self._plan.total
        with _alone(self._folder):
            if not self._has(count):
                self._fill(count, progress)
        progress(1.0, "done")
        with self._uow(read_only=True) as uow:
            return project_view(uow, uow.projects.find(PROJECT))

    def _fill(self, count: int, progress: Progress) -> None:
        """Draw, ingest and register the first `count` phantoms."""
        from core.phantoms.spec import CLASSES, NOTICE

        report = self._ingest.ingest(
            self._folder,
            PROJECT,
            labels=self._draw(count, part(progress, 0.0, 0.6)),
            mask_column="mask",
            split_column="split",
            group_column="group",
            classes=CLASSES,
            notice=NOTICE,
            progress=part(progress, 0.6, 0.7),
        )
        if report.problems:
            first = report.problems[0]
            raise InputError(first.file, f"{first.reason}; delete {self._folder} and build again")
        project = self._find()
        assert project is not None  # just ingested
        self._set_vocabulary(project)
        registering = part(progress, 0.7, 0.97)
        self._discovery.register_bundle(project.id, self._bundle, progress=registering)
        self._explain_first(project.id)

    def incomplete(self) -> bool:
        """True where a demo project exists that `build` has not finished."""
        return self._find() is not None and not self._has(self._plan.total)

    def _find(self) -> ProjectRecord | None:
        with self._uow(read_only=True) as uow:
            return uow.projects.by_name(PROJECT)

    def _has(self, count: int) -> bool:
        """True where so many cases of the shipped version are registered."""
        from core.manifest import read_manifest

        project = self._find()
        if project is None:
            return False
        with self._uow(read_only=True) as uow:
            version = uow.versions.by_hash(project.id, read_manifest(self._bundle).version_hash)
            return version is not None and uow.cases.counts(version.id).total >= count

    def _draw(self, count: int, progress: Progress) -> Path:
        """Draw the first `count` phantoms that are not there yet; the path of the table."""
        from core.phantoms.dataset import prepare_folder, write_phantom

        prepare_folder(self._folder)
        table = self._folder / "labels.csv"
        jobs = self._jobs()[:count]
        rows: list[Row] = list(_read_rows(table))
        start = len(rows)
        for job, row in zip(jobs, rows, strict=False):
            if not (self._folder / str(row[0])).is_file():  # someone cleaned up
                write_phantom(self._folder, self._plan.seed, self._plan.size, job)
        for job in jobs[start:]:
            progress((job[0] - start) / (count - start), "drawing phantoms")
            rows.append(write_phantom(self._folder, self._plan.seed, self._plan.size, job))
            if len(rows) % BATCH == 0:
                _write_rows(table, rows)
        if len(rows) > start:
            _write_rows(table, rows)
        return table

    def _jobs(self) -> list[tuple[int, Split]]:
        """(number, split) of every phantom, in drawing order."""
        from core.phantoms.dataset import Split

        plan = self._plan
        splits = (
            Split("train", plan.train),
            Split("test", plan.test),
            Split("reversed", plan.reversed, strength=0.05),
        )
        return list(enumerate(split for split in splits for _ in range(split.count)))

    def _set_vocabulary(self, project: ProjectRecord) -> None:
        """The phantoms' own words, for the names that a reviewer is offered."""
        from core.vocabulary import load_vocabulary

        if project.vocabulary.get("terms"):
            return
        words = load_vocabulary(self._folder / "vocabulary.csv")
        with self._uow() as uow:
            uow.projects.update(project.id, vocabulary={"terms": words.as_json()})
            uow.commit()

    def _explain_first(self, project_id: str) -> None:
        """Explain the first cases, so that the screen has something to show at once."""
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
            cases = uow.cases.list(version.id, limit=READY) if version is not None else ()
        for case in cases:
            if case.explanation is None:
                self._explain.explain_case(case.id)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: the worker and a command line may build the demo at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _read_rows(table: Path) -> Iterator[Row]:
    """The rows that an earlier call saved, without the header."""
    if table.is_file():
        with table.open(newline="", encoding="utf-8") as stream:
            yield from (tuple(row) for row in list(csv.reader(stream))[1:])


def _write_rows(table: Path, rows: Sequence[Row]) -> None:
    """Replace the table as a whole: a kill leaves the former one."""
    from core.phantoms.dataset import COLUMNS

    draft = table.with_suffix(".tmp")
    with draft.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    draft.replace(table)
