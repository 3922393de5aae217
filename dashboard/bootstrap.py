"""The composition root: the one place where services are made and joined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dashboard.services.agreement import AgreementService
from dashboard.services.archive_io import ArchiveService
from dashboard.services.attributing import AttributeService
from dashboard.services.audit import AuditService
from dashboard.services.audit_anchors import Anchors
from dashboard.services.audit_people import ForgetService
from dashboard.services.cards import CardService
from dashboard.services.columns import ColumnService
from dashboard.services.comparing import JudgingService
from dashboard.services.concept_examples import ConceptCodes
from dashboard.services.concepts import ConceptService
from dashboard.services.data_io import DataService
from dashboard.services.decision_log import DecisionService
from dashboard.services.demo import BUNDLE, DemoPlan, DemoService
from dashboard.services.diagnosing import DiagnoseService
from dashboard.services.discovering import DiscoverService
from dashboard.services.discovery import DiscoveryService
from dashboard.services.doctor import DoctorService
from dashboard.services.drift import DriftService
from dashboard.services.drift_steps import TASK as DRIFT
from dashboard.services.drift_steps import DriftSteps
from dashboard.services.engines import Engines
from dashboard.services.explaining import ExplainService
from dashboard.services.export_makers import makers
from dashboard.services.export_steps import TASK as EXPORT
from dashboard.services.export_steps import ExportSteps
from dashboard.services.folded import Folded
from dashboard.services.groups import GroupService
from dashboard.services.hierarchy import HierarchyService
from dashboard.services.home import HomeService
from dashboard.services.image_files import ImageFiles
from dashboard.services.ingest import IngestService
from dashboard.services.known_attributes import KnownAttributeService
from dashboard.services.layers import LayerService
from dashboard.services.notes import NoteService
from dashboard.services.projects import ProjectService
from dashboard.services.publishing import Publisher
from dashboard.services.queue import QueueService
from dashboard.services.queue_learning import QueueLearning
from dashboard.services.report_making import ReportMaking
from dashboard.services.report_render import ReportFiles
from dashboard.services.report_template import ReportTemplates
from dashboard.services.reports import ReportService
from dashboard.services.reproduce import ReproduceService
from dashboard.services.review import ReviewService
from dashboard.services.run_work import RunWork
from dashboard.services.runs import RunService
from dashboard.services.schedules import ScheduleService
from dashboard.services.settings_of import SettingsService
from dashboard.services.similar import DecisionTables
from dashboard.services.studies import StudyService
from dashboard.services.success import SuccessService
from dashboard.services.tasks import TaskService
from dashboard.services.trace import TraceService
from dashboard.services.training import TrainingService
from dashboard.services.validating import ValidateService
from dashboard.services.verdict_io import VerdictIO
from dashboard.services.versions import VersionService
from dashboard.services.what_if import WhatIfService
from dashboard.settings import Settings
from db.engine import create_engine
from db.unit_of_work import UnitOfWorkFactory, uow_factory


@dataclass(frozen=True)
class Governance:
    """What reports on a project, proves where that comes from, and decides about it."""

    reports: ReportService
    report_files: ReportFiles
    report_making: ReportMaking
    data: DataService
    archive: ArchiveService
    audit: AuditService
    forgetting: ForgetService
    trace: TraceService
    reproduce: ReproduceService
    cards: CardService
    home: HomeService
    success: SuccessService
    decision_log: DecisionService
    schedules: ScheduleService


@dataclass(frozen=True)
class Services(Governance):
    """Everything that the app, the worker and the command line can do."""

    settings: Settings
    uow: UnitOfWorkFactory
    engines: Engines
    publisher: Publisher
    projects: ProjectService
    ingest: IngestService
    discovery: DiscoveryService
    explain: ExplainService
    attribute: AttributeService
    layers: LayerService
    images: ImageFiles
    what_if: WhatIfService
    notes: NoteService
    diagnosing: DiagnoseService
    validating: ValidateService
    discovering: DiscoverService
    review: ReviewService
    queue: QueueService
    learning: QueueLearning
    settings_of: SettingsService
    concepts: ConceptService
    hierarchy: HierarchyService
    runs: RunService
    judging: JudgingService
    versions: VersionService
    groups: GroupService
    columns: ColumnService
    drift: DriftService
    work: RunWork
    agreement: AgreementService
    studies: StudyService
    training: TrainingService
    tasks: TaskService
    attributes: KnownAttributeService
    verdicts: VerdictIO
    demo: DemoService
    doctor: DoctorService


@dataclass(frozen=True)
class _Ground:
    """What the other services are made of."""

    settings: Settings
    uow: UnitOfWorkFactory
    engines: Engines
    queue: QueueService
    settings_of: SettingsService
    publisher: Publisher
    discovery: DiscoveryService
    explain: ExplainService
    judging: JudgingService
    versions: VersionService
    runs: RunService
    groups: GroupService
    drift: DriftService
    agreement: AgreementService
    demo: DemoService
    ingest: IngestService
    folded: Folded


def build(
    settings: Settings, *, plan: DemoPlan | None = None, demo_bundle: Path = BUNDLE
) -> Services:
    """Services of a workspace whose database is migrated (`db.migrate.upgrade`).

    Args:
        plan: sizes of the demo; None takes the usual ones.
        demo_bundle: folder of the model version that the demo starts from.
    """
    ground = _ground(settings, plan, demo_bundle)
    uow, engines, rules, explain = ground.uow, ground.engines, ground.settings_of, ground.explain
    governance, exports = _governance(ground, demo_bundle)
    attribute = AttributeService(uow, engines, settings)
    layers, what_if = LayerService(uow, attribute), WhatIfService(engines)
    codes = ConceptCodes(engines)
    tables = DecisionTables(uow, codes)
    tasks = {DRIFT: DriftSteps(engines, ground.publisher).steps, EXPORT: exports.steps}
    work = RunWork(
        uow, settings, engines, ground.publisher, ground.discovery, ground.demo, tasks,
        after_run=ground.queue.after_run,
    )  # fmt: skip
    shared = {name: each for name, each in vars(ground).items() if name != "folded"}
    return Services(
        **shared,
        **vars(governance),
        projects=ProjectService(uow),
        attribute=attribute,
        layers=layers,
        images=ImageFiles(uow),
        what_if=what_if,
        notes=NoteService(uow),
        diagnosing=DiagnoseService(uow, tables, engines),
        validating=ValidateService(uow, tables, engines),
        discovering=DiscoverService(uow, tables, engines),
        review=ReviewService(uow, explain, levers=what_if, layers=layers, folded=ground.folded),
        learning=QueueLearning(uow, engines),
        concepts=ConceptService(uow, engines, rules, ground.folded, codes),
        hierarchy=HierarchyService(uow, rules, ground.folded),
        columns=ColumnService(uow),
        work=work,
        studies=StudyService(uow, rules, explain),
        training=TrainingService(uow, rules),
        tasks=TaskService(uow, engines),
        attributes=KnownAttributeService(uow, engines),
        verdicts=VerdictIO(uow, explain),
        doctor=DoctorService(uow, engines, settings),
    )


def _ground(settings: Settings, plan: DemoPlan | None, demo_bundle: Path) -> _Ground:
    anchors = Anchors(settings.workspace)
    uow = uow_factory(create_engine(settings.database_url), anchors.exported)
    engines, folded = Engines(settings), Folded()
    queue = QueueService(uow, engines)
    rules = SettingsService(uow, planned_anew=queue.plan)
    publisher = Publisher(uow, engines, planned=queue.published)
    discovery = DiscoveryService(uow, engines, publisher, settings)
    explain, ingest = ExplainService(uow, engines), IngestService(uow, settings.workspace)
    judging = JudgingService(uow, engines, folded)
    versions = VersionService(uow, judging, activated=_each(publisher.carry_names, queue.activated))
    runs = RunService(uow, settings, versions)
    return _Ground(
        settings=settings,
        uow=uow,
        engines=engines,
        queue=queue,
        settings_of=rules,
        publisher=publisher,
        discovery=discovery,
        explain=explain,
        judging=judging,
        versions=versions,
        runs=runs,
        groups=GroupService(uow, engines),
        drift=DriftService(uow, engines, runs),
        agreement=AgreementService(uow, rules),
        demo=DemoService(uow, ingest, discovery, explain, settings, plan=plan, bundle=demo_bundle),
        ingest=ingest,
        folded=folded,
    )


def _governance(ground: _Ground, demo_bundle: Path) -> tuple[Governance, ExportSteps]:
    """The services of governance, and the steps of exports that the worker takes."""
    settings, uow, drift = ground.settings, ground.uow, ground.drift
    success = SuccessService(uow, ground.agreement, ground.groups, drift)
    reports = ReportService(uow, ground.groups, drift, success, folded=ground.folded)
    report_files = ReportFiles(uow, reports, ReportTemplates(uow, settings))
    data, archive = DataService(uow, reports, ground.explain), ArchiveService(uow, settings)
    cards = CardService(uow, settings, reports)
    forms = makers(report_files, data, archive, cards)
    exports = ExportSteps(settings, forms, report_files.stamp)
    schedules = ScheduleService(uow, ground.runs, exports.formats)
    made = Governance(
        reports=reports,
        report_files=report_files,
        report_making=ReportMaking(uow, settings, ground.runs, forms, report_files.stamp),
        data=data,
        archive=archive,
        audit=AuditService(uow, settings),
        forgetting=ForgetService(uow),
        trace=TraceService(uow, ground.engines),
        reproduce=ReproduceService(uow, settings, ground.engines, demo_bundle),
        cards=cards,
        home=HomeService(uow, drift, schedules, success),
        success=success,
        decision_log=DecisionService(uow),
        schedules=schedules,
    )
    return made, exports


def _each(*told: Callable[[str], object]) -> Callable[[str], None]:
    """One listener that tells several, in order."""

    def tell(version_id: str) -> None:
        for each in told:
            each(version_id)

    return tell
