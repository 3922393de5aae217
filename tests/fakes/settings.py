"""The rules of review over dicts, with the real parser and the real roles."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from core.errors import ConfigError
from dashboard.services.project_settings import ProjectSettings, changed, parse
from dashboard.services.queue_plan import REASONS as STRATEGY_WORDS
from dashboard.services.roles import Forbidden, Role, allows, as_role, is_open, role_of
from dashboard.viewmodels.settings import (
    ChangeView,
    MembersView,
    MemberView,
    SettingsView,
    WeightView,
)
from db.errors import StaleWrite
from tests.fakes.cases import START, Book, uid


class FakeSettings:
    """Project settings and members."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.rated = False
        self.revisions: list[ChangeView] = []
        self.now = ProjectSettings()
        self.roles: dict[str, MemberView] = {}

    def of(self, project_id: str) -> ProjectSettings:
        return self.now

    def view(self, project_id: str) -> SettingsView:
        now, last = self.now, self.revisions[-1] if self.revisions else None
        return SettingsView(
            last.revision if last else 0, last.by if last else None, last.at if last else None,
            now.reasons, now.criteria, self.rated, tuple(now.as_json()["blind"]), now.order,
            now.seed,
            tuple(
                WeightView(key, STRATEGY_WORDS[key], STRATEGY_WORDS[key], weight)
                for key, weight in now.weights.items()
            ),
            now.control_share, now.overlap_share, now.reviews_wanted, now.lease_minutes,
            now.near_miss_margin, now.tolerance, now.cluster_column, now.replan_words,
        )  # fmt: skip

    def history(self, project_id: str) -> tuple[ChangeView, ...]:
        return tuple(reversed(self.revisions))

    def save(
        self, *, id: str, project_id: str, reviewer_id: str, changes: Mapping[str, Any],
        based_on: int,
    ) -> SettingsView:  # fmt: skip
        self.require(project_id, reviewer_id, "lead")
        after = parse({**self.now.as_json(), **changes})
        if based_on != len(self.revisions):
            raise StaleWrite("settings", based_on, len(self.revisions))
        if self.rated and after.criteria != self.now.criteria:
            raise ConfigError("the criteria are fixed")
        when = START + timedelta(minutes=len(self.revisions))
        self.revisions.append(
            ChangeView(
                based_on + 1, self._name(reviewer_id), when, changed(self.now, after),
                after.as_json(),
            )
        )  # fmt: skip
        self.now = after
        return self.view(project_id)

    def role(self, project_id: str, reviewer_id: str) -> Role:
        return role_of(reviewer_id, self._standing())

    def require(self, project_id: str, reviewer_id: str, role: str) -> None:
        has, needed = self.role(project_id, reviewer_id), as_role(role)
        if not allows(has, needed):
            raise Forbidden(needed, has)

    def members(self, project_id: str, reviewer_id: str) -> MembersView:
        roles = self._standing()
        found = tuple(
            self.roles.get(id) or MemberView(id, name, role_of(id, roles), "", None, 0)
            for name, id in sorted(self._book.reviewers.items())
        )
        return MembersView(found, self.role(project_id, reviewer_id), is_open(roles))

    def set_role(
        self, *, id: str, project_id: str, reviewer_id: str, role: str, by_id: str, based_on: int
    ) -> None:
        self.require(project_id, by_id, "lead")
        stands = self.roles.get(reviewer_id)
        revision = stands.revision if stands else 0
        if based_on != revision:
            raise StaleWrite("member", based_on, revision)
        roles = {**self._standing(), reviewer_id: role}
        if not is_open(self._standing()) and "lead" not in roles.values():
            raise ConfigError("a project keeps at least one lead")
        self.roles[reviewer_id] = MemberView(
            reviewer_id, self._name(reviewer_id), role, self._name(by_id), START, revision + 1
        )

    def give(self, name: str, role: str) -> None:
        """Close the project: someone else is lead, this person has that role."""
        for who, word in (("Dr Lead", "lead"), (name, role)):
            key = self._book.reviewers.setdefault(who, uid("reviewer", who))
            self.roles[key] = MemberView(key, who, as_role(word), "Dr Lead", START, 1)

    def _standing(self) -> dict[str, str]:
        return {id: m.role for id, m in self.roles.items() if m.role != "removed"}

    def _name(self, reviewer_id: str) -> str:
        return next((n for n, id in self._book.reviewers.items() if id == reviewer_id), "someone")
