"""What people may do in a project: three roles, each of which may do what the one before may.

expert      looks, judges, notes and proposes
annotator   also decides proposals, renames and locks
lead        also settings, assignment, adjudication, members, and which version decides

A project in which nobody was ever made lead is open: everybody may do everything, as one person
alone needs it. Making someone lead closes it for good: the last lead cannot be taken away. Someone
who was given no role in a closed project is an expert there: whoever signs in may judge.
Runs are open to every role: a run changes nothing that the others see until its version is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from core.errors import ConfigError, InsightError

Role = Literal["expert", "annotator", "lead"]
ROLES: tuple[Role, ...] = get_args(Role)
MAY: dict[Role, str] = {
    "expert": "look, judge, note and propose",
    "annotator": "also decide proposals, rename and lock",
    "lead": "also settings, assignment, adjudication, members, and which version decides",
}
NOT_GIVEN: Role = "expert"


class Forbidden(InsightError):
    """Someone asked for what their role does not allow; nothing was changed."""

    def __init__(self, needed: Role, has: Role) -> None:
        super().__init__(
            f"this needs the role {needed} in this project; yours is {has} "
            "(a lead can change that under Settings, Members)"
        )
        self.needed = needed
        self.has = has

    def __reduce__(self) -> tuple[type[Forbidden], tuple[Role, Role]]:
        return type(self), (self.needed, self.has)


def as_role(word: str) -> Role:
    """The role of that name. Raises ConfigError."""
    for role in ROLES:
        if role == word:
            return role
    raise ConfigError(f"the role must be one of {', '.join(ROLES)}, not {word!r}")


def is_open(roles: Mapping[str, str]) -> bool:
    """Whether everybody may do everything: nobody was made lead."""
    return "lead" not in roles.values()


def role_of(reviewer_id: str, roles: Mapping[str, str]) -> Role:
    """What someone is in a project, from the roles that stand by reviewer id."""
    return "lead" if is_open(roles) else as_role(roles.get(reviewer_id, NOT_GIVEN))


def allows(has: Role, needed: Role) -> bool:
    """Whether a role may do what another may.

    >>> allows("lead", "annotator"), allows("expert", "annotator")
    (True, False)
    """
    return ROLES.index(has) >= ROLES.index(needed)
