"""Model versions: immutable but for their state."""

from collections.abc import Iterable

from sqlalchemy import select

from db.errors import Conflict, IllegalTransition
from db.models import ModelVersion, Project
from db.records import NewVersion, VersionRecord, VersionState, new_id, utc_now
from db.repositories.base import (
    Repository,
    batches,
    build,
    checked_word,
    same_content,
    values_of,
)

# What a content address stands for; metrics, folder and run may be told differently.
_IDENTITY = ("parent_hash", "kind", "dictionary_hash", "encoder_hash", "seed", "classes")


class VersionRepository(Repository):
    """Registered model bundles of a project."""

    def add(self, project_id: str, version: NewVersion) -> VersionRecord:
        """Register a version as a candidate; the same hash again returns the stored one.

        Raises Conflict where that hash is known with another parent, dictionary or seed.
        """
        self._require(Project, project_id, "project", lock=True)
        known = self.by_hash(project_id, version.hash)
        if known is not None:
            expected = {name: getattr(version, name) for name in _IDENTITY}
            if not same_content(known, expected):
                raise Conflict(f"model version {version.hash} is known with other content")
            return known
        row = ModelVersion(
            **values_of(version),
            id=new_id(),
            project_id=project_id,
            state="candidate",
            created_at=utc_now(),
        )
        return build(VersionRecord, self._insert(row))

    def get(self, version_id: str) -> VersionRecord:
        """The version of that id, or NotFound."""
        return build(VersionRecord, self._require(ModelVersion, version_id, "model version"))

    def by_hash(self, project_id: str, hash: str) -> VersionRecord | None:
        """The version of that content hash, if the project has it."""
        query = select(ModelVersion).where(
            ModelVersion.project_id == project_id, ModelVersion.hash == hash
        )
        row = self._session.scalars(query).one_or_none()
        return None if row is None else build(VersionRecord, row)

    def by_ids(self, ids: Iterable[str]) -> dict[str, VersionRecord]:
        """The versions of those ids that exist."""
        found: dict[str, VersionRecord] = {}
        for batch in batches(set(ids)):
            query = select(ModelVersion).where(ModelVersion.id.in_(batch))
            found |= {row.id: build(VersionRecord, row) for row in self._session.scalars(query)}
        return found

    def active(self, project_id: str) -> VersionRecord | None:
        """The version that decides in this project, if any."""
        query = select(ModelVersion).where(
            ModelVersion.project_id == project_id, ModelVersion.state == "active"
        )
        row = self._session.scalars(query).one_or_none()
        return None if row is None else build(VersionRecord, row)

    def set_state(self, version_id: str, state: VersionState) -> VersionRecord:
        """Move a version to another state.

        "active" also moves the project's pointer and makes the former active one a candidate.
        Raises IllegalTransition: a discarded version cannot become active, the active one
        leaves that state only by another one taking its place.
        """
        checked_word(state, VersionState, "version state")
        project_id = self.get(version_id).project_id
        project = self._require(Project, project_id, "project", lock=True)
        row = self._require(ModelVersion, version_id, "model version", lock=True)
        if state == row.state:
            return build(VersionRecord, row)
        if state == "active":
            self._activate(project, row)
        elif row.state == "active":
            raise IllegalTransition("the active version cannot be given up: activate another first")
        row.state = state
        self._flush()
        return build(VersionRecord, row)

    def _activate(self, project: Project, row: ModelVersion) -> None:
        if row.state == "discarded":
            raise IllegalTransition("a discarded version cannot become active")
        if project.active_version_id is not None:
            former = self._require(ModelVersion, project.active_version_id, "model version")
            former.state = "candidate"
            self._flush()  # before the new one: only one may be active at any moment
        project.active_version_id = row.id

    def list(self, project_id: str) -> tuple[VersionRecord, ...]:
        """Every version of a project, newest first."""
        query = (
            select(ModelVersion)
            .where(ModelVersion.project_id == project_id)
            .order_by(ModelVersion.created_at.desc(), ModelVersion.id)
        )
        return tuple(build(VersionRecord, row) for row in self._session.scalars(query))
