"""The composition root: the one place where services are made and joined."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dashboard.services.attributing import AttributeService
from dashboard.services.concepts import ConceptService
from dashboard.services.demo import BUNDLE, DemoPlan, DemoService
from dashboard.services.discovery import DiscoveryService
from dashboard.services.doctor import DoctorService
from dashboard.services.engines import Engines
from dashboard.services.explaining import ExplainService
from dashboard.services.ingest import IngestService
from dashboard.services.known_attributes import KnownAttributeService
from dashboard.services.projects import ProjectService
from dashboard.services.publishing import Publisher
from dashboard.services.reports import ReportService
from dashboard.services.review import ReviewService
from dashboard.services.run_work import RunWork
from dashboard.services.runs import RunService
from dashboard.services.tasks import TaskService
from dashboard.services.verdict_io import VerdictIO
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
    review: ReviewService
    concepts: ConceptService
    runs: RunService
    work: RunWork
    reports: ReportService
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
    publisher = Publisher(uow, engines)
    discovery = DiscoveryService(uow, engines, publisher, settings)
    explain = ExplainService(uow, engines)
    ingest = IngestService(uow, settings.workspace)
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
        attribute=AttributeService(uow, engines, settings),
        review=ReviewService(uow, explain),
        concepts=ConceptService(uow, engines),
        runs=RunService(uow, settings, activated=publisher.carry_names),
        work=RunWork(uow, settings, engines, publisher, discovery, demo),
        reports=ReportService(uow),
        tasks=TaskService(uow, engines),
        attributes=KnownAttributeService(uow, engines),
        verdicts=VerdictIO(uow, explain),
        demo=demo,
        doctor=DoctorService(uow, engines, settings),
    )
