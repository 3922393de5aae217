"""The project's hierarchy of concepts: how it stands, what people propose, what was decided.

What people say is folded over the model's relations when it is read, never written into them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from uuid import NAMESPACE_URL, uuid5

from core.errors import ConfigError
from dashboard.services.concept_forest import alone, roots
from dashboard.services.folded import Folded
from dashboard.services.names import clean_name
from dashboard.services.proposal_words import (
    in_names,
    obstacle,
    proposal_view,
    skipped_in_words,
)
from dashboard.services.roles import Forbidden
from dashboard.viewmodels.concept_names import told_apart
from dashboard.viewmodels.hierarchy import InboxView, ProposalView, TreeView
from db.errors import InvalidValue
from db.hierarchy_records import DecisionRecord, ProposalKind, ProposalRecord
from db.records import ConceptRecord, RelationKind
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

if TYPE_CHECKING:
    from dashboard.services.roles import Role

MAX_PARTS = 8
MAX_REASON = 500  # characters
DECIDES: Role = "annotator"


class Roles(Protocol):
    """What is needed of the project's settings."""

    def require(self, project_id: str, reviewer_id: str, needed: Role) -> None:
        """Raises Forbidden where this person may not."""


def may(roles: Roles, project_id: str, reviewer_id: str, role: Role = DECIDES) -> bool:
    """Whether a person may do what a role may."""
    try:
        roles.require(project_id, reviewer_id, role)
    except Forbidden:
        return False
    return True


class HierarchyService:
    """Looking, proposing and deciding; each act is one transaction with its audit row."""

    def __init__(self, uow: UnitOfWorkFactory, roles: Roles, folded: Folded | None = None) -> None:
        self._uow = uow
        self._roles = roles
        self._folded = folded or Folded()

    def tree(self, project_id: str) -> TreeView:
        """The hierarchy of the active version's dictionary; empty before the first version."""
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
            if version is None:
                return TreeView(0, (), 0, 0, 0, 0)
            where = (project_id, version.dictionary_hash)
            folded = self._folded.of(uow, *where)
            concepts = uow.concepts.by_number(*where)
            marked = uow.concept_marks.numbers(*where)
            skipped = [(uow.hierarchy.get(step.proposal_id), step) for step in folded.skipped]
        names = told_apart({n: each.name for n, each in concepts.items() if each.name})
        return TreeView(
            revision=folded.revision,
            roots=roots(folded, concepts, marked),
            alone=alone(folded, concepts),
            relations=len(folded.edges),
            by_people=sum(edge.source == "person" for edge in folded.edges),
            merged=len(folded.aliases),
            skipped=tuple(skipped_in_words(record, step, names) for record, step in skipped),
        )

    def revision(self, project_id: str) -> int:
        """Decisions so far on the active version's dictionary: `based_on` of the next one."""
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
            if version is None:
                return 0
            return uow.hierarchy.revision(project_id, version.dictionary_hash)

    def waiting(self, project_id: str) -> int:
        """How many proposals wait for a decision."""
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
            if version is None:
                return 0
            where = (project_id, version.dictionary_hash)
            return len(uow.hierarchy.proposals(*where, state="waiting"))

    def inbox(self, project_id: str, reviewer_id: str) -> InboxView:
        """Open proposals, oldest first, and decided ones, latest decision first."""
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
            if version is None:
                return InboxView(0, (), (), may_decide=False)
            where = (project_id, version.dictionary_hash)
            records = uow.hierarchy.proposals(*where)
            views = _views(uow, where, records)
            revision = uow.hierarchy.revision(*where)
        decided = [view for view in views if view.state != "open"]
        decided.sort(key=lambda view: view.decisions[-1].at, reverse=True)
        return InboxView(
            revision=revision,
            open=tuple(view for view in views if view.state == "open"),
            decided=tuple(decided),
            may_decide=may(self._roles, project_id, reviewer_id),
        )

    def propose(
        self, *, id: str, concept_id: str, reviewer_id: str, kind: ProposalKind,
        target_id: str | None = None, relation: RelationKind | None = None,
        parts: Sequence[str] = (), reason: str = "",
    ) -> ProposalView:  # fmt: skip
        """Ask for a change of the hierarchy; nothing changes before somebody accepts it.

        Args:
            id: uuid made by the client; a repeat with the same content changes nothing.
            target_id: the other concept; None with kind "parent" takes all parents away.
            relation: "is-a" or "part-of", of a new parent.
            parts: two names or more, of a split.

        Raises:
            ConfigError: it makes no sense, or one like it waits already.
            Conflict: the id was used before. NotFound: no such concept.
        """
        asked = _Asked(id, concept_id, reviewer_id, kind, target_id, relation, parts, reason)
        with self._uow() as uow:
            record = _propose(uow, asked)
            (view,) = _views(uow, (record.project_id, record.dictionary_hash), (record,))
            uow.commit()
        return view

    def decide(
        self, *, id: str, proposal_id: str, reviewer_id: str, accepted: bool, reason: str = "",
        based_on: int,
    ) -> ProposalView:  # fmt: skip
        """Accept or decline a proposal; a later decision on it takes the place of this one.

        Args:
            based_on: decisions on the hierarchy that were on the screen (InboxView.revision).

        Raises:
            Forbidden: this person may not decide. StaleWrite: somebody decided meanwhile.
            ConfigError: accepting it would make a circle, or touch a concept merged away.
        """
        with self._uow() as uow:
            project_id = uow.hierarchy.get(proposal_id).project_id
        self._roles.require(project_id, reviewer_id, DECIDES)
        with self._uow() as uow:
            _decide(uow, id, proposal_id, reviewer_id, accepted, reason, based_on)
            record = uow.hierarchy.get(proposal_id)
            (view,) = _views(uow, (project_id, record.dictionary_hash), (record,))
            uow.commit()
        return view

    def change(
        self, *, id: str, concept_id: str, reviewer_id: str, kind: ProposalKind,
        target_id: str | None = None, relation: RelationKind | None = None,
        parts: Sequence[str] = (), reason: str = "", based_on: int,
    ) -> ProposalView:  # fmt: skip
        """Propose and accept in one transaction, for whoever may decide. Raises as both do."""
        with self._uow(read_only=True) as uow:
            project_id = uow.concepts.get(concept_id).project_id
        self._roles.require(project_id, reviewer_id, DECIDES)
        asked = _Asked(id, concept_id, reviewer_id, kind, target_id, relation, parts, reason)
        decision = str(uuid5(NAMESPACE_URL, f"decision of {id}"))
        with self._uow() as uow:
            record = _propose(uow, asked)
            _decide(uow, decision, record.id, reviewer_id, True, reason, based_on)
            record = uow.hierarchy.get(record.id)
            (view,) = _views(uow, (project_id, record.dictionary_hash), (record,))
            uow.commit()
        return view


@dataclass(frozen=True)
class _Asked:
    """What somebody proposes, as it came from the screen."""

    id: str
    concept_id: str
    reviewer_id: str
    kind: ProposalKind
    target_id: str | None
    relation: RelationKind | None
    parts: Sequence[str]
    reason: str


def _propose(uow: UnitOfWork, asked: _Asked) -> ProposalRecord:
    """Store a proposal and its audit row, unless that id is stored already."""
    concept = uow.concepts.get(asked.concept_id)
    parts = _parts(asked)
    _check(uow, asked, concept)
    where = (concept.project_id, concept.dictionary_hash)
    known = uow.hierarchy.proposals(*where)
    repeat = any(record.id == asked.id for record in known)
    if not repeat:
        _refuse_a_second(known, asked, parts)
    with _said_in_names(uow, where):
        record = uow.hierarchy.propose(
            id=asked.id, concept_id=asked.concept_id, reviewer_id=asked.reviewer_id,
            kind=asked.kind, target_id=None if asked.kind == "split" else asked.target_id,
            relation_kind=asked.relation if asked.kind == "parent" and asked.target_id else None,
            parts=parts, reason=_reason(asked.reason),
        )  # fmt: skip
    if not repeat:
        uow.audit.append(
            actor=record.reviewer, action="hierarchy.proposed", entity="proposal",
            entity_id=record.id, project_id=record.project_id,
            detail={
                "kind": record.kind, "concept": record.concept, "target": record.target,
                "relation": record.relation_kind, "parts": list(record.parts),
            },
        )  # fmt: skip
    return record


@contextmanager
def _said_in_names(uow: UnitOfWork, where: tuple[str, str]) -> Iterator[None]:
    """The store speaks of concepts by number; people know them by name."""
    try:
        yield
    except InvalidValue as error:
        names = told_apart(uow.concepts.names(*where))
        raise ConfigError(in_names(str(error), names)) from None


def _check(uow: UnitOfWork, asked: _Asked, concept: ConceptRecord) -> None:
    """Raises ConfigError for a proposal that can mean nothing."""
    if asked.kind == "split":
        return
    if asked.target_id is None:
        if asked.kind == "merge":
            raise ConfigError("a merge needs the other concept")
        return
    if asked.target_id == asked.concept_id:
        raise ConfigError("a concept cannot be its own parent or be merged into itself")
    target = uow.concepts.get(asked.target_id)
    if target.dictionary_hash != concept.dictionary_hash or (
        target.project_id != concept.project_id
    ):
        raise ConfigError("both concepts must belong to one model's dictionary")
    if asked.kind == "parent" and asked.relation not in ("is-a", "part-of"):
        raise ConfigError("say whether it is a kind of the other concept, or part of it")


def _refuse_a_second(
    known: Sequence[ProposalRecord], asked: _Asked, parts: tuple[str, ...]
) -> None:
    """Two people may think of the same; one proposal is enough to decide on."""
    for record in known:
        alike = (record.kind, record.concept_id, record.target_id, record.parts) == (
            asked.kind, asked.concept_id, asked.target_id, parts,
        )  # fmt: skip
        if record.decision is None and alike and record.relation_kind == asked.relation:
            raise ConfigError(f"{record.reviewer} has proposed the same; it waits for a decision")


def _parts(asked: _Asked) -> tuple[str, ...]:
    if asked.kind != "split":
        return ()
    parts = tuple(dict.fromkeys(clean_name(part, "a part's name") for part in asked.parts))
    if not 2 <= len(parts) <= MAX_PARTS:
        raise ConfigError(f"a split names 2 to {MAX_PARTS} different parts")
    return parts


def _reason(text: str) -> str:
    return clean_name(text, "the reason", limit=MAX_REASON) if text.strip() else ""


def _decide(
    uow: UnitOfWork, id: str, proposal_id: str, reviewer_id: str, accepted: bool, reason: str,
    based_on: int,
) -> DecisionRecord:  # fmt: skip
    """Store a decision and its audit row, unless that id is stored already."""
    proposal = uow.hierarchy.get(proposal_id)
    where = (proposal.project_id, proposal.dictionary_hash)
    repeat = any(each.id == id for each in uow.hierarchy.decisions(proposal_id))
    with _said_in_names(uow, where):
        decision = uow.hierarchy.decide(
            id=id, proposal_id=proposal_id, reviewer_id=reviewer_id, accepted=accepted,
            reason=_reason(reason), based_on=based_on,
        )  # fmt: skip
    if not repeat:
        word = "accepted" if accepted else "declined"
        uow.audit.append(
            actor=decision.reviewer, action=f"hierarchy.{word}", entity="proposal",
            entity_id=proposal_id, project_id=proposal.project_id,
            detail={"kind": proposal.kind, "concept": proposal.concept, "target": proposal.target},
        )  # fmt: skip
    return decision


def _views(
    uow: UnitOfWork, where: tuple[str, str], records: Sequence[ProposalRecord]
) -> tuple[ProposalView, ...]:
    """Proposals with the names that stand, the decision that stands, and what is in their way."""
    folded = uow.hierarchy.folded(*where)
    names = told_apart(uow.concepts.names(*where))
    views = []
    for record in records:
        waits = record.decision is None or not record.decision.accepted
        found = obstacle(record, folded) if waits else None
        decisions = (record.decision,) if record.decision else ()
        said = None if found is None else in_names(found, names)
        views.append(proposal_view(record, names, folded, decisions, said))
    return tuple(views)
