"""The one place that knows which keys the screens keep between reruns. Free of Streamlit.

`DeskState` gives typed access to any mutable mapping: the real session, or a dict in a test.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

MAX_ANSWERS = 200

_REVIEWER = "insight.reviewer"
_PROJECT = "insight.project"
_SESSION = "insight.session"
_ANSWERS = "insight.answers"
_LEFT = "insight.signed_out"
_LEASE = "insight.lease"
_LAST = "insight.last_case"


@dataclass(frozen=True)
class Reviewer:
    """Who sits at this desk."""

    id: str
    name: str


@dataclass(frozen=True)
class Answer:
    """What became of one event that the browser sent."""

    ok: bool
    message: str


class DeskState:
    """Typed view of one session's state."""

    def __init__(self, store: MutableMapping[Any, Any]) -> None:
        self._store = store

    @property
    def reviewer(self) -> Reviewer | None:
        """The signed-in reviewer, or None."""
        found = self._store.get(_REVIEWER)
        return Reviewer(*found) if found else None

    def sign_in(self, reviewer: Reviewer) -> None:
        """Seat a reviewer; answers given to the one before are forgotten."""
        # Plain tuples outlive a reload of this module in development; instances would not.
        self._store[_REVIEWER] = (reviewer.id, reviewer.name)
        self._store[_ANSWERS] = {}
        self._store[_LEASE] = None
        self._store[_LEFT] = False

    def sign_out(self) -> None:
        """Free the seat, and do not seat the remembered name again by itself."""
        self._store[_REVIEWER] = None
        self._store[_LEFT] = True

    @property
    def signed_out(self) -> bool:
        """Whether the reviewer left on purpose in this session."""
        return bool(self._store.get(_LEFT, False))

    @property
    def project_id(self) -> str | None:
        """The chosen project, or None before the first choice."""
        found = self._store.get(_PROJECT)
        return str(found) if found else None

    @project_id.setter
    def project_id(self, value: str) -> None:
        self._store[_PROJECT] = value

    def leased(self, case_id: str, *, since: float) -> bool:
        """Whether this case's lease was taken or renewed after `since` (monotonic seconds)."""
        held, at = self._store.get(_LEASE) or ("", 0.0)
        return bool(held == case_id and at > since)

    def lease(self, case_id: str, *, at: float) -> None:
        """Note when a case's lease was taken; only the latest is remembered."""
        self._store[_LEASE] = (case_id, at)

    @property
    def last_case(self) -> str | None:
        """The case that was last on the desk in this session, where other screens go on."""
        found = self._store.get(_LAST)
        return str(found) if found else None

    @last_case.setter
    def last_case(self, case_id: str) -> None:
        self._store[_LAST] = case_id

    @property
    def session(self) -> str:
        """An id that is new with every session, also after a restart of the app."""
        return str(self._store.setdefault(_SESSION, str(uuid4())))

    @property
    def answers(self) -> Mapping[str, Answer]:
        """Answers to recent events, by event id."""
        stored: dict[str, tuple[bool, str]] = self._store.get(_ANSWERS) or {}
        return {key: Answer(*value) for key, value in stored.items()}

    def answered(self, event_id: str) -> bool:
        """Whether this event was answered in this session."""
        return event_id in (self._store.get(_ANSWERS) or {})

    def answer(self, event_id: str, *, ok: bool, message: str = "") -> None:
        """Note the answer to an event; only the latest `MAX_ANSWERS` are kept."""
        stored = dict(self._store.get(_ANSWERS) or {})
        stored[event_id] = (ok, message)
        self._store[_ANSWERS] = dict(list(stored.items())[-MAX_ANSWERS:])
