"""Projects as listed, and the ways to find one."""

from __future__ import annotations

from dashboard.viewmodels import ProjectView
from db.records import ProjectRecord
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory


class ProjectService:
    """Reads projects; ingest makes them."""

    def __init__(self, uow_factory: UnitOfWorkFactory) -> None:
        self._uow = uow_factory

    def list(self) -> tuple[ProjectView, ...]:
        """Every project, by name. Every screen asks for this, so nothing is tallied."""
        with self._uow(read_only=True) as uow:
            return tuple(
                project_view(uow, project, tallied=False) for project in uow.projects.list()
            )

    def get(self, id_or_name: str) -> ProjectView:
        """One project by id or name; raises NotFound."""
        with self._uow(read_only=True) as uow:
            return project_view(uow, uow.projects.find(id_or_name))


def project_view(uow: UnitOfWork, project: ProjectRecord, *, tallied: bool = True) -> ProjectView:
    """A project with its active version and, if `tallied`, how far it is reviewed."""
    active = uow.versions.active(project.id)
    reviewed = uow.cases.counts(active.id).reviewed if tallied and active is not None else None
    return ProjectView(
        id=project.id,
        name=project.name,
        classes=project.classes,
        notice=project.notice,
        active_version=active.hash if active is not None else None,
        cases=uow.cases.total(active.id) if active is not None else 0,
        reviewed=reviewed if active is not None else 0,
    )
