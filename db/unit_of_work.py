"""One user action = one transaction: open, call repositories, commit.

Leaving the `with` block without `commit()` rolls everything back.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from db import chain_pending
from db.archive import ArchiveRows
from db.chain_records import ChainHeadRecord
from db.engine import read_only as reading
from db.log import Log
from db.models import Export
from db.repositories.adjudications import AdjudicationRepository
from db.repositories.agreement import AgreementRepository
from db.repositories.assessments import AssessmentRepository
from db.repositories.audit import AuditRepository
from db.repositories.base import translated
from db.repositories.cases import CaseRepository
from db.repositories.chain import ChainRepository
from db.repositories.chain_check import ChainCheck
from db.repositories.class_verdicts import ClassVerdictRepository
from db.repositories.column_verdicts import ColumnVerdictRepository
from db.repositories.concept_marks import ConceptMarkRepository
from db.repositories.concepts import ConceptRepository
from db.repositories.cues import CueRepository
from db.repositories.drawings import DrawingRepository
from db.repositories.exports import ExportRepository
from db.repositories.governance import (
    CriterionRepository,
    DecisionRepository,
    ScheduleRepository,
)
from db.repositories.hierarchy import HierarchyRepository
from db.repositories.home_queue import HomeQueueReads
from db.repositories.home_reads import HomeReads
from db.repositories.images import ImageRepository
from db.repositories.members import MemberRepository
from db.repositories.mode_reads import ModeReads
from db.repositories.notes import NoteRepository
from db.repositories.plan_reads import PlanReads
from db.repositories.project_settings import ProjectSettingsRepository
from db.repositories.projects import ProjectRepository
from db.repositories.queue import QueueRepository
from db.repositories.redactions import RedactionRepository, RetentionRepository
from db.repositories.relations import RelationRepository
from db.repositories.report_reads import ReportReads
from db.repositories.reviewers import ReviewerRepository
from db.repositories.run_points import RunPointRepository
from db.repositories.runs import RunRepository
from db.repositories.snapshots import SnapshotRepository
from db.repositories.studies import StudyRepository
from db.repositories.trace_reads import TraceReads
from db.repositories.undo import UndoRepository
from db.repositories.verdicts import VerdictRepository
from db.repositories.version_events import VersionEventRepository
from db.repositories.versions import VersionRepository
from db.repositories.word_reads import WordReads

Anchored = Callable[[tuple[ChainHeadRecord, ...]], None]


class UnitOfWork:
    """A transaction with the repositories in it; for one thread, used once."""

    def __init__(self, session: Session, anchored: Anchored | None = None) -> None:
        self._session = session
        self._anchored = anchored
        self.projects = ProjectRepository(session)
        self.images = ImageRepository(session)
        self.versions = VersionRepository(session)
        self.concepts = ConceptRepository(session)
        self.relations = RelationRepository(session)
        self.cases = CaseRepository(session)
        self.cues = CueRepository(session)
        self.verdicts = VerdictRepository(session)
        self.assessments = AssessmentRepository(session)
        self.drawings = DrawingRepository(session)
        self.notes = NoteRepository(session)
        self.queue = QueueRepository(session)
        self.plan = PlanReads(session)
        self.modes = ModeReads(session)
        self.undo = UndoRepository(session)
        self.settings = ProjectSettingsRepository(session)
        self.members = MemberRepository(session)
        self.class_verdicts = ClassVerdictRepository(session)
        self.column_verdicts = ColumnVerdictRepository(session)
        self.concept_marks = ConceptMarkRepository(session)
        self.hierarchy = HierarchyRepository(session)
        self.adjudications = AdjudicationRepository(session)
        self.studies = StudyRepository(session)
        self.agreement = AgreementRepository(session)
        self.report = ReportReads(session)
        self.log = Log(session)
        self.archive = ArchiveRows(session)
        self.words = WordReads(session)
        self.reviewers = ReviewerRepository(session)
        self.snapshots = SnapshotRepository(session)
        self.runs = RunRepository(session)
        self.run_points = RunPointRepository(session)
        self.version_events = VersionEventRepository(session)
        self.criteria = CriterionRepository(session)
        self.decisions = DecisionRepository(session)
        self.schedules = ScheduleRepository(session)
        self.exports = ExportRepository(session)
        self.home = HomeReads(session)
        self.home_queue = HomeQueueReads(session)
        self.trace = TraceReads(session)
        self.audit = AuditRepository(session)
        self.chain = ChainRepository(session)
        self.chain_check = ChainCheck(session)
        self.redactions = RedactionRepository(session)
        self.retentions = RetentionRepository(session)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.close()  # rolls back what was not committed

    def commit(self) -> None:
        """Make everything so far durable, each row that was said with its entry in the chain."""
        with translated():
            self._session.flush()
            heads, tables = self.chain.close()
            self._session.commit()
        if self._anchored is not None and Export.__tablename__ in tables:
            self._anchored(heads)

    def rollback(self) -> None:
        """Forget everything since the start or the last commit."""
        self._session.rollback()

    def flush(self) -> None:
        """Send pending changes to the database, without making them durable."""
        with translated():
            self._session.flush()


class UnitOfWorkFactory:
    """Opens units of work on one engine; share it between threads."""

    def __init__(self, engine: Engine, anchored: Anchored | None = None) -> None:
        self.engine = engine
        self._anchored = anchored
        self._writing = sessionmaker(engine)
        chain_pending.listen(self._writing)
        self._reading = sessionmaker(reading(engine))

    def __call__(self, *, read_only: bool = False) -> UnitOfWork:
        """A unit of work. On SQLite a writing one takes the write lock at its first query;
        a read-only one never waits for writers, and the database refuses writes in it."""
        return UnitOfWork(self._reading() if read_only else self._writing(), self._anchored)


def uow_factory(engine: Engine, anchored: Anchored | None = None) -> UnitOfWorkFactory:
    """A factory of units of work on `engine`.

    Args:
        anchored: told where chains end after a commit with which a file left the app, to write
            it down where the database cannot change it.
    """
    return UnitOfWorkFactory(engine, anchored)
