"""A project's rules of review and its people: kept as revisions, asked by every other service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from core.errors import ConfigError
from dashboard.services.project_settings import (
    PLANNED_BY,
    STRATEGIES,
    ProjectSettings,
    changed,
    parse,
)
from dashboard.services.queue_plan import REASONS as STRATEGY_WORDS
from dashboard.services.roles import Forbidden, Role, allows, as_role, is_open, role_of
from dashboard.viewmodels.settings import (
    ChangeView,
    MembersView,
    MemberView,
    SettingsView,
    WeightView,
)
from db.desk_records import MemberRecord, SettingsRecord
from db.people import person_key
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

REMOVED = "removed"
ABOUT = {
    "uncertain": "Decisions on the border of two classes",
    "explanation": "Explanations whose figures contradict each other or leave much out",
    "experts": "Cues on which people differ",
    "shortcut": "Decisions that rest on concepts called artefacts, judged spurious, or found to "
    "lead wrong decisions",
    "teach": "Cases on whose concepts a word is expected to change the next run most",
    "diverse": "Cases unlike those before them, so that every kind is met early",
}


class SettingsService:
    """Reads and changes what a project fixes in advance."""

    def __init__(
        self, uow: UnitOfWorkFactory, planned_anew: Callable[[str, str], object] | None = None
    ) -> None:
        """`planned_anew(project_id, reviewer_id)` is called after a change of the plan's rules."""
        self._uow = uow
        self._planned_anew = planned_anew

    def of(self, project_id: str) -> ProjectSettings:
        """The rules that stand; the defaults where none were set."""
        with self._uow(read_only=True) as uow:
            return settings_in(uow, project_id)

    def view(self, project_id: str) -> SettingsView:
        """The rules that stand, to be shown and changed."""
        with self._uow(read_only=True) as uow:
            record = uow.settings.standing(project_id)
            rated = uow.plan.is_rated(project_id)
        return _view(record, rated)

    def history(self, project_id: str) -> tuple[ChangeView, ...]:
        """Every revision, newest first, with what it changed."""
        with self._uow(read_only=True) as uow:
            records = uow.settings.history(project_id)
        found, before = [], ProjectSettings()
        for record in records:
            now = parse(record.settings)
            found.append(
                ChangeView(
                    record.revision, record.reviewer, record.created_at, changed(before, now),
                    record.settings,
                )
            )  # fmt: skip
            before = now
        return tuple(reversed(found))

    def save(
        self,
        *,
        id: str,
        project_id: str,
        reviewer_id: str,
        changes: Mapping[str, Any],
        based_on: int,
    ) -> SettingsView:
        """Sets some of the rules; the others stay. Leads only.

        Where the plan of the queue depends on what changed, the queue is planned anew.

        Raises:
            ConfigError: a value out of range, or criteria that somebody has rated by.
            StaleWrite: somebody else changed the rules meanwhile. Forbidden: not a lead.
        """
        with self._uow() as uow:
            require(uow, project_id, reviewer_id, "lead")
            before = settings_in(uow, project_id)
            after = parse({**before.as_json(), **changes})
            differ = changed(before, after)
            if "criteria" in differ:
                _refuse_where_rated(uow, project_id)
            known = {row.id for row in uow.settings.history(project_id)}
            record = uow.settings.append(
                id=id, project_id=project_id, reviewer_id=reviewer_id,
                settings=after.as_json(), based_on=based_on,
            )  # fmt: skip
            if record.id not in known:
                uow.audit.append(
                    actor=record.reviewer, action="settings.changed", entity="project",
                    entity_id=project_id,
                    detail={"revision": record.revision, "fields": list(differ)},
                    project_id=project_id,
                )  # fmt: skip
            uow.commit()
        if self._planned_anew is not None and set(differ) & set(PLANNED_BY):
            self._planned_anew(project_id, reviewer_id)
        return self.view(project_id)

    def role(self, project_id: str, reviewer_id: str) -> Role:
        """What someone may do in a project."""
        with self._uow(read_only=True) as uow:
            return role_of(reviewer_id, roles_in(uow, project_id))

    def require(self, project_id: str, reviewer_id: str, role: str) -> None:
        """Raises Forbidden for someone whose role does not allow what that role may do."""
        with self._uow(read_only=True) as uow:
            require(uow, project_id, reviewer_id, as_role(role))

    def members(self, project_id: str, reviewer_id: str) -> MembersView:
        """Everybody who signed in at this workspace, with the role each has here."""
        with self._uow(read_only=True) as uow:
            given = {row.reviewer_id: row for row in uow.members.history(project_id)}  # latest
            people = uow.reviewers.list()
        roles = _roles(given.values())
        members = tuple(
            _member(person.id, person.name, given.get(person.id), roles) for person in people
        )
        return MembersView(members, role_of(reviewer_id, roles), is_open(roles))

    def set_role(
        self, *, id: str, project_id: str, reviewer_id: str, role: str, by_id: str, based_on: int
    ) -> None:
        """Gives a role, or takes it away (role "removed"). Leads only.

        Raises:
            ConfigError: an unknown role, or the last lead would go.
            StaleWrite: it was changed meanwhile. Forbidden: not a lead.
        """
        word: Role | Literal["removed"] = "removed" if role == REMOVED else as_role(role)
        with self._uow() as uow:
            require(uow, project_id, by_id, "lead")
            roles = roles_in(uow, project_id)
            after = {**roles, reviewer_id: word}
            if not is_open(roles) and "lead" not in after.values():
                raise ConfigError("a project keeps at least one lead: make someone else lead first")
            known = uow.members.of(project_id, reviewer_id)
            row = uow.members.append(
                id=id, project_id=project_id, reviewer_id=reviewer_id, role=word, by_id=by_id,
                based_on=based_on,
            )  # fmt: skip
            if known is None or known.id != row.id:
                uow.audit.append(
                    actor=row.by, action="member.role", entity="project", entity_id=project_id,
                    detail={"reviewer": person_key(row.reviewer_id), "role": word,
                            "revision": row.revision},
                    project_id=project_id,
                )  # fmt: skip
            uow.commit()


def settings_in(uow: UnitOfWork, project_id: str) -> ProjectSettings:
    """The rules that stand, within an open unit of work."""
    record = uow.settings.standing(project_id)
    return parse(record.settings) if record is not None else ProjectSettings()


def reasons_ever(uow: UnitOfWork, project_id: str) -> tuple[str, ...]:
    """Every reason that a verdict of the project may bear: of the rules now and before."""
    found = [*ProjectSettings().reasons]
    for record in uow.settings.history(project_id):
        found += parse(record.settings).reasons
    return tuple(dict.fromkeys(found))


def roles_in(uow: UnitOfWork, project_id: str) -> dict[str, str]:
    """The roles that stand, by reviewer id, within an open unit of work."""
    return _roles(uow.members.standing(project_id))


def require(uow: UnitOfWork, project_id: str, reviewer_id: str, needed: Role) -> None:
    """As `SettingsService.require`, within an open unit of work."""
    has = role_of(reviewer_id, roles_in(uow, project_id))
    if not allows(has, needed):
        raise Forbidden(needed, has)


def _roles(rows: Any) -> dict[str, str]:
    return {row.reviewer_id: row.role for row in rows if row.role != REMOVED}


def _refuse_where_rated(uow: UnitOfWork, project_id: str) -> None:
    if uow.plan.is_rated(project_id):
        raise ConfigError(
            "the criteria are fixed: somebody has rated by them, and other words would make "
            "those ratings mean something else"
        )


def _member(
    reviewer_id: str, name: str, row: MemberRecord | None, roles: Mapping[str, str]
) -> MemberView:
    role = role_of(reviewer_id, roles)
    if row is None:
        return MemberView(reviewer_id, name, role, "", None, 0)
    return MemberView(reviewer_id, name, role, row.by, row.created_at, row.revision)


def _view(record: SettingsRecord | None, rated: bool) -> SettingsView:
    now = parse(record.settings) if record is not None else ProjectSettings()
    return SettingsView(
        revision=record.revision if record else 0,
        by=record.reviewer if record else None,
        at=record.created_at if record else None,
        reasons=now.reasons,
        criteria=now.criteria,
        criteria_fixed=rated,
        blind=tuple(word for word in now.as_json()["blind"]),
        order=now.order,
        seed=now.seed,
        weights=tuple(
            WeightView(key, STRATEGY_WORDS[key], ABOUT[key], float(now.weights.get(key, 0.0)))
            for key in STRATEGIES
        ),
        control_share=now.control_share,
        overlap_share=now.overlap_share,
        reviews_wanted=now.reviews_wanted,
        lease_minutes=now.lease_minutes,
        near_miss_margin=now.near_miss_margin,
        tolerance=now.tolerance,
        cluster_column=now.cluster_column,
        replan_words=now.replan_words,
    )
