"""Projects."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import or_, select

from db.errors import Conflict, NotFound
from db.models import Project
from db.records import ProjectRecord, new_id, utc_now
from db.repositories.base import Repository, build, checked_id, checked_name, cleaned
from db.repositories.versions import VersionRepository


class ProjectRepository(Repository):
    """Datasets with their label set, vocabulary and settings."""

    def add(
        self,
        name: str,
        root: str,
        *,
        classes: Sequence[str] = (),
        vocabulary: dict[str, Any] | None = None,
        notice: str | None = None,
        settings: dict[str, Any] | None = None,
        id: str | None = None,
    ) -> ProjectRecord:
        """Store a new project. Raises Conflict where the name is taken."""
        clean = checked_name(name, "project name")
        if self.by_name(clean) is not None:
            raise Conflict(f"there is a project named {clean!r} already")
        row = Project(
            id=new_id() if id is None else checked_id(id),
            name=clean,
            root=root,
            classes=tuple(classes),
            vocabulary=vocabulary or {},
            notice=notice or None,
            settings=settings or {},
            created_at=utc_now(),
        )
        return build(ProjectRecord, self._insert(row))

    def get(self, project_id: str) -> ProjectRecord:
        """The project of that id, or NotFound."""
        return build(ProjectRecord, self._require(Project, project_id, "project"))

    def by_name(self, name: str) -> ProjectRecord | None:
        """The project of that name, if there is one."""
        query = select(Project).where(Project.name == cleaned(name).strip())
        row = self._session.scalars(query).one_or_none()
        return None if row is None else build(ProjectRecord, row)

    def find(self, id_or_name: str) -> ProjectRecord:
        """The project of that id or name, or NotFound; an id goes before a name."""
        wanted = cleaned(id_or_name).strip()
        query = select(Project).where(or_(Project.id == wanted, Project.name == wanted))
        found = {row.id: row for row in self._session.scalars(query)}
        row = found.get(wanted) or next(iter(found.values()), None)
        if row is None:
            raise NotFound("project", id_or_name)
        return build(ProjectRecord, row)

    def update(
        self,
        project_id: str,
        *,
        classes: Sequence[str] | None = None,
        vocabulary: dict[str, Any] | None = None,
        notice: str | None = None,
        settings: dict[str, Any] | None = None,
        root: str | None = None,
    ) -> ProjectRecord:
        """Replace the parts given; None leaves a part as it is, an empty notice clears it."""
        row = self._require(Project, project_id, "project", lock=True)
        if classes is not None:
            row.classes = tuple(classes)
        if vocabulary is not None:
            row.vocabulary = vocabulary
        if notice is not None:
            row.notice = notice or None
        if settings is not None:
            row.settings = settings
        if root is not None:
            row.root = root
        self._flush()
        return build(ProjectRecord, row)

    def set_active_version(self, project_id: str, version_id: str) -> ProjectRecord:
        """Make a version the one that decides; the former one becomes a candidate again.

        Raises NotFound for a version of another project, IllegalTransition for a discarded one.
        """
        versions = VersionRepository(self._session)
        if versions.get(version_id).project_id != project_id:
            raise NotFound("model version", version_id)
        versions.set_state(version_id, "active")
        return self.get(project_id)

    def list(self) -> tuple[ProjectRecord, ...]:
        """Every project, by name."""
        rows = self._session.scalars(select(Project).order_by(Project.name))
        return tuple(build(ProjectRecord, row) for row in rows)
