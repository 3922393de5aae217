"""Model versions as people decide on them: which one decides, which are set aside, and why.

One decision is one transaction with its audit row. It carries an id made by the client (a repeat is
harmless) and the version that was active on the screen (a lost update is refused). A version that
loses more on held-out cases than the project allows becomes active only with a written reason, on
the way forward and on the way back. In a project that has a lead, leads alone decide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from core.errors import InsightError
from dashboard.services import version_rows
from dashboard.services.compared import NO_HELD_OUT, ancestors
from dashboard.services.comparing import JudgingService, find_version
from dashboard.services.kept import Kept
from dashboard.services.lineage import lineage_of
from dashboard.services.roles import Forbidden, Role
from dashboard.services.settings_of import require
from dashboard.services.version_figures import VersionFigures, figures_of
from dashboard.viewmodels.judgement import Estimate, GuardView, JudgementView
from dashboard.viewmodels.versions import (
    HeldOut,
    LineageView,
    VersionDetail,
    VersionEventRow,
    VersionRow,
)
from db.errors import Conflict
from db.records import VersionRecord
from db.run_records import VersionEventRecord
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

MOST_REASON: Final = 2000  # characters
LEAST_REASON: Final = 10
DECIDES: Final[Role] = "lead"
ACTIONS: Final = {
    "activate": "version.activated",
    "rollback": "version.rolled_back",
    "discard": "version.discarded",
}


class ReasonNeeded(InsightError):
    """A version that loses too much was to become active without a written reason.

    Args:
        guard: what is lost.
    """

    def __init__(self, guard: GuardView) -> None:
        super().__init__(" ".join(filter(None, [guard.sentence, guard.asks, *guard.breaches])))
        self.guard = guard

    def __reduce__(self) -> tuple[type[ReasonNeeded], tuple[GuardView]]:
        return type(self), (self.guard,)


class VersionService:
    """Lists, compares and decides on versions."""

    def __init__(
        self,
        uow_factory: UnitOfWorkFactory,
        judging: JudgingService,
        *,
        activated: Callable[[str], object] = lambda version_id: None,
    ) -> None:
        """`activated` is told the id of a version that somebody made the active one."""
        self._uow = uow_factory
        self._judging = judging
        self._activated = activated
        self._figures: Kept[VersionFigures] = Kept()

    def list(self, project_id: str) -> tuple[VersionRow, ...]:
        """The versions of a project, newest first."""
        with self._uow(read_only=True) as uow:
            return version_rows.rows(uow, uow.versions.list(project_id))

    def find(self, project_id: str, key: str) -> VersionRow:
        """A version by its id, its hash or the beginning of its hash. Raises NotFound."""
        with self._uow(read_only=True) as uow:
            return version_rows.rows(uow, [find_version(uow, project_id, key)])[0]

    def view(self, version_id: str) -> VersionDetail:
        """One version with its history. Raises NotFound."""
        with self._uow(read_only=True) as uow:
            version = uow.versions.get(version_id)
            every = uow.versions.list(version.project_id)
            children = [each for each in every if each.parent_hash == version.hash]
            events = version_rows.events(uow, uow.version_events.of_version(version_id))
            row = version_rows.rows(uow, [version])[0]
            parents = version_rows.rows(uow, ancestors(uow, version))
            descendants = version_rows.rows(uow, children)
        return VersionDetail(
            row=row,
            parents=parents,
            children=descendants,
            events=events,
            guard=None if version.state != "candidate" else self._judging.guard(version_id),
            can_activate=version.state == "candidate",
            can_discard=version.state == "candidate",
            encoder=version.encoder_spec,
            dictionary=version.dictionary_hash,
            code_version=version.code_version,
        )

    def events(self, project_id: str) -> tuple[VersionEventRow, ...]:
        """Everything that was decided about the versions of a project, newest first."""
        with self._uow(read_only=True) as uow:
            return version_rows.events(uow, uow.version_events.of_project(project_id))

    def compare(self, project_id: str, before: str, after: str) -> JudgementView:
        """Any two versions, each by id or hash, on the same held-out cases.

        Raises NotFound for an unknown version, InsightError where both are the same.
        """
        return self._judging.compare(project_id, before, after)

    def held_out(self, version_id: str) -> HeldOut:
        """Accuracy on the project's held-out images, measured as runs do. Raises NotFound."""
        with self._uow(read_only=True) as uow:
            version = uow.versions.get(version_id)
            stamp = uow.home.stamp(version.project_id)
            found = self._figures.of(version_id, stamp, lambda: figures_of(uow, version))
        accuracy = found.figures.get("accuracy")
        if accuracy is None:
            return HeldOut(Estimate(None), 0, "", f"{found.why or 'nothing was measured'}.")
        note = "" if found.held_out else NO_HELD_OUT
        return HeldOut(accuracy.estimate, accuracy.n, ", ".join(found.splits), note)

    def guard(self, version_id: str) -> GuardView:
        """What would be lost if that version became the active one. Raises NotFound."""
        return self._judging.guard(version_id)

    def former(self, project_id: str) -> VersionRow | None:
        """The version that a rollback leads to; None where there is none."""
        with self._uow(read_only=True) as uow:
            former = _former(uow, project_id)
            return None if former is None else version_rows.rows(uow, [former])[0]

    def why_not(self, project_id: str, reviewer_id: str) -> str:
        """Why someone may not decide on versions here, as a sentence; "" for who may."""
        with self._uow(read_only=True) as uow:
            try:
                require(uow, project_id, reviewer_id, DECIDES)
            except Forbidden as error:
                said = str(error)
                return f"{said[:1].upper()}{said[1:]}."
        return ""

    def activate(
        self, *, id: str, version_id: str, reviewer_id: str, reason: str = "",
        based_on: str | None = None,
    ) -> VersionRow:  # fmt: skip
        """Makes a version the one that decides; the version that is active already stays it.

        Args:
            id: made by the client; the same id again changes nothing.
            reason: needed where the version loses more than the project allows.
            based_on: id of the version that was active on the reviewer's screen; None asks for no
                check.

        Raises:
            Forbidden: the project has a lead, and this person is none.
            ReasonNeeded: too much is lost and no reason was written.
            Conflict: another version became active meanwhile. IllegalTransition: it was discarded.
            InsightError: the reason is too short or too long. NotFound.
        """
        return self._decide(
            "activate", id=id, version_id=version_id, reviewer_id=reviewer_id, reason=reason,
            based_on=based_on,
        )  # fmt: skip

    def rollback(
        self, *, id: str, project_id: str, reviewer_id: str, reason: str = "",
        based_on: str | None = None,
    ) -> VersionRow:  # fmt: skip
        """Goes back to the version that was active before the present one.

        Going back again leads further back, not forth. Raises as `activate`, and InsightError where
        there is nothing to go back to.
        """
        with self._uow(read_only=True) as uow:
            require(uow, project_id, reviewer_id, DECIDES)
            done = _known(uow, project_id, id)
            former = None if done else _former(uow, project_id)
        if done is None and former is None:
            raise InsightError("there is no earlier version to go back to")
        version_id = done.version_id if done else (former.id if former else "")
        return self._decide(
            "rollback", id=id, version_id=version_id, reviewer_id=reviewer_id, reason=reason,
            based_on=based_on,
        )  # fmt: skip

    def discard(
        self, *, id: str, version_id: str, reviewer_id: str, reason: str = ""
    ) -> VersionRow:
        """Sets a version aside for good. Raises IllegalTransition for the active one, Forbidden."""
        return self._decide(
            "discard", id=id, version_id=version_id, reviewer_id=reviewer_id, reason=reason
        )

    def lineage(self, project_id: str) -> LineageView:
        """The graph from data to versions."""
        with self._uow(read_only=True) as uow:
            return lineage_of(uow, project_id)

    def _decide(
        self, kind: Literal["activate", "rollback", "discard"], *, id: str, version_id: str,
        reviewer_id: str, reason: str, based_on: str | None = None,
    ) -> VersionRow:  # fmt: skip
        """One decision: checked against the guard rails, stored, told to the queue."""
        with self._uow(read_only=True) as uow:
            version = uow.versions.get(version_id)
            require(uow, version.project_id, reviewer_id, DECIDES)
            active = uow.versions.active(version.project_id)
            done = _known(uow, version.project_id, id)
        text = " ".join(reason.split())
        if done is None and not _stands(kind, version):
            _unchanged(active, based_on)
            self._require_reason(kind, version_id, text)
        elif done is None:
            return self._row(version_id)  # what is asked for stands already
        former = done.former_id if done else (active.id if active else None)
        with self._uow() as uow:
            event = uow.version_events.append(
                id=id, version_id=version_id, kind=kind, former_id=former,
                reviewer_id=reviewer_id, run_id=version.run_id, reason=text,
            )  # fmt: skip
            if done is None:
                _audit(uow, event, version)
            uow.commit()
        if done is None and kind != "discard":
            self._activated(version_id)
        return self._row(version_id)

    def _require_reason(self, kind: str, version_id: str, reason: str) -> None:
        """Raises where the reason is missing, too short or too long."""
        if len(reason) > MOST_REASON:
            raise InsightError(f"a reason has at most {MOST_REASON} characters")
        if kind == "discard":
            return
        guard = self._judging.guard(version_id)
        if guard.passed:
            return
        if not reason:
            raise ReasonNeeded(guard)
        if len(reason) < LEAST_REASON:
            raise InsightError(
                f"write the reason in at least {LEAST_REASON} characters: others will read it"
            )

    def _row(self, version_id: str) -> VersionRow:
        with self._uow(read_only=True) as uow:
            return version_rows.rows(uow, [uow.versions.get(version_id)])[0]


def _stands(kind: str, version: VersionRecord) -> bool:
    """Whether what is asked for is so already."""
    return version.state == ("discarded" if kind == "discard" else "active")


def _unchanged(active: VersionRecord | None, based_on: str | None) -> None:
    if based_on is not None and (active is None or active.id != based_on):
        raise Conflict("another version became active meanwhile: look again before you decide")


def _known(uow: UnitOfWork, project_id: str, id: str) -> VersionEventRecord | None:
    """The decision of that id, where it was taken before."""
    found = (each for each in uow.version_events.of_project(project_id) if each.id == id)
    return next(found, None)


def _former(uow: UnitOfWork, project_id: str) -> VersionRecord | None:
    """The version to go back to: the one before the active one, as decisions tell.

    Decisions are replayed as a stack: an activation puts a version on top, a rollback takes the top
    away. Without a decision that led to the active version, its nearest ancestor that was not
    discarded.
    """
    active = uow.versions.active(project_id)
    if active is None:
        return None
    stack: list[str] = []
    for event in uow.version_events.of_project(project_id):
        if event.kind == "discard":
            continue
        if not stack and event.former_id is not None:
            stack.append(event.former_id)
        if event.kind == "rollback" and event.version_id in stack:
            del stack[stack.index(event.version_id) + 1 :]
        else:
            stack.append(event.version_id)
    below = stack[:-1] if stack and stack[-1] == active.id else []
    known = uow.versions.by_ids(below)
    earlier = [known[each] for each in reversed(below) if each in known] or ancestors(uow, active)
    return next((v for v in earlier if v.state == "candidate" and v.id != active.id), None)


def _audit(uow: UnitOfWork, event: VersionEventRecord, version: VersionRecord) -> None:
    uow.audit.append(
        actor=event.reviewer or "system", action=ACTIONS[event.kind], entity="version",
        entity_id=version.id,
        detail={"hash": version.hash, "run": version.run_id, "reason": event.reason},
        project_id=version.project_id,
    )  # fmt: skip
