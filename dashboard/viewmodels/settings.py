"""A project's rules of review and its people, as the Settings screen shows them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from dashboard.viewmodels.marks import CriterionView


@dataclass(frozen=True)
class WeightView:
    """One strategy of the queue's plan."""

    key: str
    label: str
    about: str  # one line: what it brings to the front
    weight: float  # share of the places it may fill, relative to the others


@dataclass(frozen=True)
class SettingsView:
    """The rules that stand."""

    revision: int  # give it back as `based_on`
    by: str | None  # who set it; None for the defaults
    at: datetime | None
    reasons: tuple[str, ...]
    criteria: tuple[CriterionView, ...]
    criteria_fixed: bool  # somebody rated by them: they can no longer change
    blind: tuple[str, ...]
    order: Literal["priority", "random"]
    seed: int
    weights: tuple[WeightView, ...]
    control_share: float  # [0, 1]
    overlap_share: float  # [0, 1]
    reviews_wanted: int  # people
    lease_minutes: int
    near_miss_margin: float  # probability, [0, 1]
    tolerance: float = 0.03  # share of accuracy that a new version may lose, [0, 1]
    cluster_column: str = ""  # says which images belong together; "": none
    replan_words: int = 10  # verdicts between two plans of the open cases; 0: never by themselves


@dataclass(frozen=True)
class MemberView:
    """Someone with a role in the project."""

    reviewer_id: str
    name: str
    role: str
    by: str  # who gave it; "" where nobody did
    at: datetime | None
    revision: int  # give it back as `based_on`


@dataclass(frozen=True)
class MembersView:
    """Everybody who may be given a role, and what I may do."""

    members: tuple[MemberView, ...]
    mine: str  # my role
    open: bool  # nobody was made lead: everybody may do everything


@dataclass(frozen=True)
class ChangeView:
    """One revision of the settings."""

    revision: int
    by: str
    at: datetime
    fields: tuple[str, ...]  # what it changed
    settings: dict[str, Any]
