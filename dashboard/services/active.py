"""The model version that a project works with."""

from __future__ import annotations

from core.errors import InsightError
from db.records import VersionRecord
from db.unit_of_work import UnitOfWork


def active_version(uow: UnitOfWork, project: str) -> VersionRecord:
    """The active version of a project, by the project's id or name.

    Raises NotFound for an unknown project, InsightError for one without a version.
    """
    record = uow.projects.find(project)
    version = uow.versions.active(record.id)
    if version is None:
        raise InsightError(f"project {record.name!r} has no model version: run discover")
    return version
