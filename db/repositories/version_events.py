"""Decisions on versions: what was made active, gone back to, discarded, by whom and why."""

from typing import Any

from sqlalchemy import ColumnElement, select

from db.errors import Conflict, InvalidValue, NotFound
from db.models import ModelVersion, Project, Reviewer, Run, VersionEvent
from db.records import VersionState, utc_now
from db.repositories.base import Repository, build, checked_id, checked_word, cleaned
from db.repositories.versions import VersionRepository
from db.run_records import VersionAct, VersionEventRecord

STATES: dict[VersionAct, VersionState] = {
    "activate": "active",
    "rollback": "active",
    "discard": "discarded",
}


class VersionEventRepository(Repository):
    """Append-only. Appending is the act itself: it also moves the version's state."""

    def append(
        self,
        *,
        id: str,
        version_id: str,
        kind: VersionAct,
        former_id: str | None,
        reviewer_id: str | None = None,
        run_id: str | None = None,
        reason: str = "",
    ) -> VersionEventRecord:
        """Decide on a version and move its state (see `versions.set_state`).

        Args:
            id: made by the client; the same id and content again changes nothing and returns
                the stored row.
            former_id: the version that the writer saw active (None: there was none).
            reviewer_id: None where the program itself decides (the first version of a demo).
            run_id: the run that made the version, where one did.

        Raises Conflict where another version became active meanwhile or the id came with other
        content, IllegalTransition (a discarded version cannot become active, the active one
        cannot be discarded), InvalidValue where the version is active already, NotFound.
        """
        content: dict[str, Any] = {
            "version_id": version_id,
            "kind": checked_word(kind, VersionAct, "decision on a version"),
            "former_id": former_id,
            "reviewer_id": reviewer_id,
            "run_id": run_id,
            "reason": cleaned(reason),
        }
        event_id = checked_id(id)
        version = self._require(ModelVersion, version_id, "model version")
        project = self._require(Project, version.project_id, "project", lock=True)
        if self._known(VersionEvent, event_id, content) is None:
            self._check(project, content)
            VersionRepository(self._session).set_state(version_id, STATES[kind])
            self._insert_event(
                VersionEvent(id=event_id, project_id=project.id, created_at=utc_now(), **content)
            )
        return self._read(VersionEvent.id == event_id)[0]

    def of_project(self, project_id: str) -> tuple[VersionEventRecord, ...]:
        """Every decision in a project, oldest first."""
        return self._read(VersionEvent.project_id == project_id)

    def of_version(self, version_id: str) -> tuple[VersionEventRecord, ...]:
        """Every decision on a version, oldest first."""
        return self._read(VersionEvent.version_id == version_id)

    def refold(self, project_id: str) -> None:
        """Give the versions the states that the decisions tell (after a replay).

        Versions that no decision speaks of keep theirs, unless another one became active.
        """
        last: dict[str, VersionState] = {}
        active: str | None = None
        for event in self.of_project(project_id):
            last[event.version_id] = STATES[event.kind]
            if event.kind != "discard":
                active = event.version_id
        project = self._require(Project, project_id, "project", lock=True)
        query = select(ModelVersion).where(ModelVersion.project_id == project_id)
        rows = {row.id: row for row in self._session.scalars(query)}
        for row in rows.values():
            told = last.get(row.id, row.state)
            row.state = "candidate" if told == "active" and active is not None else told
        self._session.flush()  # before the new one: only one may be active at any moment
        if active is not None:
            rows[active].state = "active"
            project.active_version_id = active
        self._session.flush()

    def _check(self, project: Project, content: dict[str, Any]) -> None:
        active, wanted = project.active_version_id, content["version_id"]
        if content["former_id"] != active:
            raise Conflict("another version became active meanwhile: look again before you decide")
        if content["kind"] != "discard" and wanted == active:
            raise InvalidValue("this version is active already")
        if content["reviewer_id"] is not None:
            self._require(Reviewer, content["reviewer_id"], "reviewer")
        if content["run_id"] is not None:
            run = self._require(Run, content["run_id"], "run")
            if run.project_id != project.id:
                raise NotFound("run of this project with id", run.id)

    def _read(self, *where: ColumnElement[bool]) -> tuple[VersionEventRecord, ...]:
        """Events in the order of being decided; nobody need be named."""
        query = (
            select(VersionEvent, Reviewer.name.label("reviewer_name"))
            .outerjoin(Reviewer, Reviewer.id == VersionEvent.reviewer_id)
            .where(*where)
            .order_by(VersionEvent.seq)
        )
        rows = self._session.execute(query)
        return tuple(build(VersionEventRecord, row[0], reviewer=row.reviewer_name) for row in rows)
