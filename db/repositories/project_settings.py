"""How a project is reviewed: its settings, each change a revision."""

from typing import Any

from db.desk_records import SettingsRecord
from db.errors import StaleWrite
from db.models import Project, ProjectSettings, Reviewer
from db.records import utc_now
from db.repositories.base import checked_id
from db.repositories.event_reads import Events


class ProjectSettingsRepository(Events):
    """Append-only; the highest revision stands."""

    def append(
        self,
        *,
        id: str,
        project_id: str,
        reviewer_id: str,
        settings: dict[str, Any],
        based_on: int,
    ) -> SettingsRecord:
        """Settings that stand from now on; idempotent by id, StaleWrite, Conflict, NotFound."""
        content = {"project_id": project_id, "reviewer_id": reviewer_id, "settings": settings}
        event_id = checked_id(id)
        self._require(Project, project_id, "project", lock=True)
        if self._known(ProjectSettings, event_id, content) is None:
            self._require(Reviewer, reviewer_id, "reviewer")
            standing = self.standing(project_id)
            current = 0 if standing is None else standing.revision
            if based_on != current:
                raise StaleWrite("project's settings", based_on, current)
            self._insert_event(
                ProjectSettings(id=event_id, revision=current + 1, created_at=utc_now(), **content)
            )
        return self._read(SettingsRecord, ProjectSettings, ProjectSettings.id == event_id)[0]

    def standing(self, project_id: str) -> SettingsRecord | None:
        """The settings that stand; None where nothing was ever set."""
        return self._latest(
            SettingsRecord, ProjectSettings, ProjectSettings.project_id == project_id
        )

    def history(self, project_id: str) -> tuple[SettingsRecord, ...]:
        """Every change, oldest first."""
        return self._read(SettingsRecord, ProjectSettings, ProjectSettings.project_id == project_id)
