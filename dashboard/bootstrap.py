"""The composition root: the one place where services are made and joined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dashboard.services.agreement import AgreementService
from dashboard.services.attributing import AttributeService
from dashboard.services.columns import ColumnService
from dashboard.services.comparing import JudgingService
from dashboard.services.concept_examples import ConceptCodes
from dashboard.services.concepts import ConceptService
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
from dashboard.services.folded import Folded
from dashboard.services.groups import GroupService
from dashboard.services.hierarchy import HierarchyService
from dashboard.services.image_files import ImageFiles
from dashboard.services.ingest import IngestService
from dashboard.services.known_attributes import KnownAttributeService
from dashboard.services.layers import LayerService
from dashboard.services.notes import NoteService
from dashboard.services.projects import ProjectService
from dashboard.services.publishing import Publisher
from dashboard.services.queue import QueueService
from dashboard.services.reports import ReportService
from dashboard.services.review import ReviewService
from dashboard.services.run_work import RunWork
from dashboard.services.runs import RunService
from dashboard.services.settings_of import SettingsService
from dashboard.services.similar import DecisionTables
from dashboard.services.studies import StudyService
from dashboard.services.tasks import TaskService
from dashboard.services.training import TrainingService
from dashboard.services.validating import ValidateService
from dashboard.services.verdict_io import VerdictIO
from dashboard.services.versions import VersionService
from dashboard.services.what_if import WhatIfService
from dashboard.settings import Settings
from db.engine import create_engine
from db.unit_of_work import UnitOfWorkFactory, uow_factory


@dataclass(frozen=True)
class Services:
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
    reports: ReportService
    agreement: AgreementService
    studies: StudyService
    training: TrainingService
    tasks: TaskService
    attributes: KnownAttributeService
    verdicts: VerdictIO
    demo: DemoService
    doctor: DoctorService


def build(
    settings: Settings, *, plan: DemoPlan | None = None, demo_bundle: Path = BUNDLE
) -> Services:
    """Services of a workspace whose database is migrated (`db.migrate.upgrade`).

    Args:
        plan: sizes of the demo; None takes the usual ones.
        demo_bundle: folder of the model version that the demo starts from.
    """
    uow = uow_factory(create_engine(settings.database_url))
    engines = Engines(settings)
    queue = QueueService(uow, engines)
    rules = SettingsService(uow, planned_anew=queue.plan)
    publisher = Publisher(uow, engines, planned=queue.published)
    discovery = DiscoveryService(uow, engines, publisher, settings)
    explain = ExplainService(uow, engines)
    ingest = IngestService(uow, settings.workspace)
    attribute = AttributeService(uow, engines, settings)
    layers, what_if = LayerService(uow, attribute), WhatIfService(engines)
    codes, folded = ConceptCodes(engines), Folded()
    tables = DecisionTables(uow, codes)
    judging = JudgingService(uow, engines, folded)
    versions = VersionService(uow, judging, activated=_each(publisher.carry_names, queue.activated))
    runs = RunService(uow, settings, versions)
    tasks = {DRIFT: DriftSteps(engines, publisher).steps}
    demo = DemoService(uow, ingest, discovery, explain, settings, plan=plan, bundle=demo_bundle)
    return Services(
        settings=settings,
        uow=uow,
        engines=engines,
        publisher=publisher,
        projects=ProjectService(uow),
        ingest=ingest,
        discovery=discovery,
        explain=explain,
        attribute=attribute,
        layers=layers,
        images=ImageFiles(uow),
        what_if=what_if,
        notes=NoteService(uow),
        diagnosing=DiagnoseService(uow, tables, engines),
        validating=ValidateService(uow, tables, engines),
        discovering=DiscoverService(uow, tables, engines),
        review=ReviewService(uow, explain, levers=what_if, layers=layers, folded=folded),
        queue=queue,
        settings_of=rules,
        concepts=ConceptService(uow, engines, rules, folded, codes),
        hierarchy=HierarchyService(uow, rules, folded),
        runs=runs,
        judging=judging,
        versions=versions,
        groups=GroupService(uow, engines),
        columns=ColumnService(uow),
        drift=DriftService(uow, engines, runs),
        work=RunWork(
            uow, settings, engines, publisher, discovery, demo, tasks, after_run=queue.after_run
        ),
        reports=ReportService(uow),
        agreement=AgreementService(uow, rules),
        studies=StudyService(uow, rules, explain),
        training=TrainingService(uow, rules),
        tasks=TaskService(uow, engines),
        attributes=KnownAttributeService(uow, engines),
        verdicts=VerdictIO(uow, explain),
        demo=demo,
        doctor=DoctorService(uow, engines, settings),
    )


def _each(*told: Callable[[str], object]) -> Callable[[str], None]:
    """One listener that tells several, in order."""

    def tell(version_id: str) -> None:
        for each in told:
            each(version_id)

    return tell
