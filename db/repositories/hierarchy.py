"""Proposals to change the hierarchy, decisions on them, and the hierarchy that stands."""

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import aliased

from db import hierarchy
from db.errors import InvalidValue, NotFound, StaleWrite
from db.hierarchy_records import (
    DecisionRecord,
    HierarchyRecord,
    ProposalKind,
    ProposalRecord,
    Step,
)
from db.models import Concept, Project, Proposal, ProposalDecision, Reviewer
from db.records import RelationKind, utc_now
from db.repositories.base import build, checked_id, checked_name, checked_word, cleaned
from db.repositories.event_reads import Events
from db.repositories.relations import RelationRepository

ProposalState = Literal["all", "waiting", "accepted", "declined"]


class HierarchyRepository(Events):
    """Append-only. Decisions of one dictionary are counted: that count is its revision."""

    def propose(
        self,
        *,
        id: str,
        concept_id: str,
        reviewer_id: str,
        kind: ProposalKind,
        target_id: str | None = None,
        relation_kind: RelationKind | None = None,
        parts: Sequence[str] = (),
        reason: str = "",
    ) -> ProposalRecord:
        """Propose a change; idempotent by id.

        Args:
            target_id: parent: the new parent (None: make it a root); merge: what survives.
            relation_kind: parent with a target: is-a (default) or part-of.
            parts: split: the names of the parts, two or more.

        Raises InvalidValue for a proposal that can never be taken, NotFound, Conflict.
        """
        concept = self._require(Concept, concept_id, "concept")
        content: dict[str, Any] = {
            "dictionary_hash": concept.dictionary_hash,
            "concept_id": concept_id,
            "reviewer_id": reviewer_id,
            "kind": checked_word(kind, ProposalKind, "kind of proposal"),
            "target_id": target_id,
            "relation_kind": None,
            "parts": tuple(checked_name(part, "part's name") for part in parts),
            "reason": cleaned(reason),
        }
        if kind == "parent" and target_id is not None:
            word = checked_word(relation_kind or "is-a", RelationKind, "kind of relation")
            content["relation_kind"] = word
        self._check_target(concept, target_id, kind)
        if (kind == "split") != bool(parts) or len(set(content["parts"])) != len(parts):
            raise InvalidValue("a split, and only a split, has parts; each with its own name")
        event_id = checked_id(id)
        if self._known(Proposal, event_id, content) is None:
            self._require(Reviewer, reviewer_id, "reviewer")
            self._insert_event(
                Proposal(
                    id=event_id, project_id=concept.project_id, created_at=utc_now(), **content
                )
            )
        return self.get(event_id)

    def decide(
        self,
        *,
        id: str,
        proposal_id: str,
        reviewer_id: str,
        accepted: bool,
        based_on: int,
        reason: str = "",
    ) -> DecisionRecord:
        """Accept or decline a proposal (or decide anew); idempotent by id.

        Args:
            based_on: `revision` of the hierarchy that the decider saw.

        Raises StaleWrite where the hierarchy moved since, InvalidValue where an accepted
        proposal could not be taken (it would make a cycle, or its concept was merged away).
        """
        proposal = self._require(Proposal, proposal_id, "proposal")
        project_id, dictionary = proposal.project_id, proposal.dictionary_hash
        self._require(Project, project_id, "project", lock=True)
        content: dict[str, Any] = {
            "proposal_id": proposal_id,
            "reviewer_id": reviewer_id,
            "accepted": accepted,
            "reason": cleaned(reason),
        }
        event_id = checked_id(id)
        if self._known(ProposalDecision, event_id, content) is None:
            self._require(Reviewer, reviewer_id, "reviewer")
            current = self.revision(project_id, dictionary)
            if based_on != current:
                raise StaleWrite("hierarchy", based_on, current)
            if accepted:
                self._refuse_untakeable(self.get(proposal_id))
            former = select(func.max(ProposalDecision.revision)).where(
                ProposalDecision.proposal_id == proposal_id
            )
            self._insert_event(
                ProposalDecision(
                    id=event_id,
                    project_id=project_id,
                    dictionary_hash=dictionary,
                    revision=(self._session.scalar(former) or 0) + 1,
                    place=current + 1,
                    created_at=utc_now(),
                    **content,
                )
            )
        return self._read(DecisionRecord, ProposalDecision, ProposalDecision.id == event_id)[0]

    def revision(self, project_id: str, dictionary_hash: str) -> int:
        """How many decisions there were on the hierarchy of a dictionary."""
        query = select(func.max(ProposalDecision.place)).where(
            ProposalDecision.project_id == project_id,
            ProposalDecision.dictionary_hash == dictionary_hash,
        )
        return self._session.scalar(query) or 0

    def folded(self, project_id: str, dictionary_hash: str) -> HierarchyRecord:
        """The hierarchy that stands."""
        return self._fold(project_id, dictionary_hash)

    def why_not(
        self,
        *,
        concept_id: str,
        kind: ProposalKind,
        target_id: str | None = None,
        parts: Sequence[str] = (),
    ) -> str | None:
        """Why a change could not be accepted as things stand; None where it could."""
        concept = self._require(Concept, concept_id, "concept")
        target = None if target_id is None else self._require(Concept, target_id, "concept").number
        step = Step("", kind, concept.number, target, None, tuple(parts))
        after = self._fold(concept.project_id, concept.dictionary_hash, None, step)
        return next((each.why for each in after.skipped if not each.proposal_id), None)

    def get(self, proposal_id: str) -> ProposalRecord:
        """The proposal of that id with the decision that stands, or NotFound."""
        found = self._proposals(Proposal.id == proposal_id)
        if not found:
            raise NotFound("proposal", proposal_id)
        return found[0]

    def proposals(
        self, project_id: str, dictionary_hash: str, *, state: ProposalState = "all"
    ) -> tuple[ProposalRecord, ...]:
        """Proposals on a dictionary, oldest first."""
        found = self._proposals(
            Proposal.project_id == project_id, Proposal.dictionary_hash == dictionary_hash
        )
        return tuple(each for each in found if state in ("all", _state(each)))

    def of_concept(self, concept_id: str) -> tuple[ProposalRecord, ...]:
        """Proposals that name a concept, as what is changed or as the target; oldest first."""
        named = (Proposal.concept_id == concept_id) | (Proposal.target_id == concept_id)
        return self._proposals(named)

    def decisions(self, proposal_id: str) -> tuple[DecisionRecord, ...]:
        """Every decision on a proposal, oldest first."""
        return self._read(
            DecisionRecord, ProposalDecision, ProposalDecision.proposal_id == proposal_id
        )

    def _fold(
        self, project_id: str, dictionary_hash: str, but: str | None = None, *more: Step
    ) -> HierarchyRecord:
        """What stands, without one proposal and with more steps at the end."""
        accepted = self.proposals(project_id, dictionary_hash, state="accepted")
        ordered = sorted(accepted, key=lambda each: each.decision.place if each.decision else 0)
        steps = [_step(each) for each in ordered if each.id != but]
        relations = RelationRepository(self._session).list(project_id, dictionary_hash)
        revision = self.revision(project_id, dictionary_hash)
        return hierarchy.fold(relations, [*steps, *more], revision)

    def _refuse_untakeable(self, proposal: ProposalRecord) -> None:
        step = _step(proposal)
        after = self._fold(proposal.project_id, proposal.dictionary_hash, proposal.id, step)
        for skipped in after.skipped:
            if skipped.proposal_id == proposal.id:
                raise InvalidValue(f"this proposal cannot be accepted now: {skipped.why}")

    def _check_target(self, concept: Concept, target_id: str | None, kind: str) -> None:
        if target_id is None:
            if kind == "merge":
                raise InvalidValue("say which concept it is to be merged into")
            return
        if kind == "split":
            raise InvalidValue("a split has parts, no target")
        target = self._require(Concept, target_id, "concept")
        if target.id == concept.id:
            raise InvalidValue("a concept cannot be its own target")
        if (target.project_id, target.dictionary_hash) != (
            concept.project_id,
            concept.dictionary_hash,
        ):
            raise NotFound("concept of the same dictionary with id", target_id)

    def _proposals(self, *where: ColumnElement[bool]) -> tuple[ProposalRecord, ...]:
        concept, target = aliased(Concept), aliased(Concept)
        query = (
            self._events(Proposal)
            .add_columns(concept.number.label("concept"), target.number.label("target"))
            .join(concept, concept.id == Proposal.concept_id)
            .outerjoin(target, target.id == Proposal.target_id)
            .where(*where)
            .order_by(Proposal.seq)
        )
        rows = self._session.execute(query).all()
        latest = aliased(ProposalDecision)
        newer = exists().where(
            latest.proposal_id == ProposalDecision.proposal_id,
            latest.revision > ProposalDecision.revision,
        )
        own = ProposalDecision.proposal_id.in_(select(Proposal.id).where(*where))
        stands = self._read(DecisionRecord, ProposalDecision, own, ~newer)
        decided = {each.proposal_id: each for each in stands}
        return tuple(
            build(
                ProposalRecord,
                row.Proposal,
                reviewer=row.reviewer_name,
                concept=row.concept,
                target=row.target,
                decision=decided.get(row.Proposal.id),
            )
            for row in rows
        )


def _state(proposal: ProposalRecord) -> ProposalState:
    if proposal.decision is None:
        return "waiting"
    return "accepted" if proposal.decision.accepted else "declined"


def _step(proposal: ProposalRecord) -> Step:
    return Step(
        proposal_id=proposal.id,
        kind=proposal.kind,
        concept=proposal.concept,
        target=proposal.target,
        relation_kind=proposal.relation_kind,
        parts=proposal.parts,
    )
