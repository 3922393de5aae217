"""The decision log: why a threshold, a criterion, a version was chosen, and on what evidence.

People write decisions down; decisions that are acts elsewhere (a version made active, a criterion
set, rules of review changed) are read from where they are kept and stand in the same timeline.
Nothing is edited: a decision that no longer holds is superseded by another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final, get_args

from core.errors import ConfigError
from dashboard.services import decision_reads
from dashboard.services.names import clean_name
from dashboard.services.prose import clean_prose
from dashboard.services.settings_of import require
from dashboard.services.success_measures import MEASURES
from dashboard.viewmodels.decisions import (
    DecisionEntry,
    DecisionFilter,
    EvidenceKind,
    EvidenceLink,
    Subject,
)
from db.errors import NotFound
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

SUBJECTS: Final[tuple[Subject, ...]] = get_args(Subject)
KINDS: Final[tuple[EvidenceKind, ...]] = get_args(EvidenceKind)
MOST_EVIDENCE: Final = 20
TITLE: Final = 160  # characters
LEAST_REASON: Final = 3


class DecisionService:
    """Writes decisions down and lists all of them."""

    def __init__(self, uow: UnitOfWorkFactory) -> None:
        self._uow = uow

    def timeline(
        self, project_id: str, *, since: date | None = None, until: date | None = None,
        subject: str | None = None,
    ) -> tuple[DecisionEntry, ...]:  # fmt: skip
        """Every decision of a project, newest first; whole days, UTC."""
        with self._uow(read_only=True) as uow:
            entries = decision_reads.entries(uow, project_id)
        return tuple(
            each
            for each in entries
            if (subject is None or each.subject == subject)
            and (since is None or each.at.date() >= since)
            and (until is None or each.at.date() <= until)
        )

    def list(self, project_id: str, wanted: DecisionFilter) -> tuple[DecisionEntry, ...]:
        """The timeline as a filter wants it, newest first."""
        found = self.timeline(project_id, subject=wanted.subject or None)
        return tuple(each for each in found if _fits(each, wanted))

    def options(self, project_id: str, case_id: str | None = None) -> tuple[EvidenceLink, ...]:
        """What a decision can be linked to without typing: the latest of each kind.

        Args:
            case_id: a case that lies near, such as the one last on the desk.
        """
        with self._uow(read_only=True) as uow:
            found = decision_reads.options(uow, project_id)
            if case_id is not None:
                found = (*found, *decision_reads.link(uow, project_id, "case", case_id))
        return found

    def add(
        self, *, id: str, project_id: str, reviewer_id: str, subject: str, title: str, choice: str,
        reason: str, alternatives: str = "", subject_id: str | None = None,
        evidence: Sequence[tuple[str, str]] = (), supersedes: str | None = None,
    ) -> DecisionEntry:  # fmt: skip
        """Writes a decision down; twice with one id is harmless. Leads and annotators.

        Args:
            subject_id: what exactly was decided on (id or hash), where it has one.
            evidence: (kind, id) pairs; see `EvidenceKind`.
            supersedes: id of the decision that no longer holds.

        Raises ConfigError (an unknown subject, nothing said), NotFound (evidence that is not there,
        or of another project), Conflict (superseded meanwhile), Forbidden.
        """
        if subject not in SUBJECTS:
            raise ConfigError(f"decide on {', '.join(SUBJECTS)}, not on {subject!r}")
        what, chosen = (
            clean_name(title, "what was decided on", limit=TITLE),
            clean_prose(choice, "the choice"),
        )
        why, others = clean_prose(reason, "the reason"), clean_prose(alternatives, "alternatives")
        if not chosen or len(why) < LEAST_REASON:
            raise ConfigError("say what was chosen and why")
        with self._uow() as uow:
            require(uow, project_id, reviewer_id, "annotator")
            kept = _checked_evidence(uow, project_id, evidence)
            if others:
                kept = (*kept, {"kind": decision_reads.ALTERNATIVES, "text": others})
            known = {row.id for row in uow.decisions.list(project_id)}
            row = uow.decisions.add(
                id=id, project_id=project_id, reviewer_id=reviewer_id, subject=subject,
                subject_id=subject_id, title=what, choice=chosen, reason=why, evidence=kept,
                supersedes=supersedes,
            )  # fmt: skip
            if row.id not in known:
                uow.audit.append(
                    actor=row.reviewer, action="decision.written", entity="decision",
                    entity_id=row.id, project_id=project_id,
                    detail={"subject": subject, "title": what, "supersedes": supersedes},
                )  # fmt: skip
            uow.commit()
        return next(each for each in self.timeline(project_id) if each.id == row.id)

    def find(self, project_id: str, key: str) -> DecisionEntry:
        """A written decision by its id or the beginning of it. Raises NotFound."""
        written = [each for each in self.timeline(project_id) if each.source == "written"]
        fits = [each for each in written if len(key) >= 6 and each.id.startswith(key)]
        if len(fits) != 1:
            raise NotFound("decision of this project", key)
        return fits[0]


def _checked_evidence(
    uow: UnitOfWork, project_id: str, evidence: Sequence[tuple[str, str]]
) -> tuple[dict[str, Any], ...]:
    """Evidence that is there, with the label it has today."""
    if len(evidence) > MOST_EVIDENCE:
        raise ConfigError(f"at most {MOST_EVIDENCE} pieces of evidence, not {len(evidence)}")
    found: list[dict[str, Any]] = []
    for kind, key in dict.fromkeys(evidence):
        if kind not in KINDS:
            raise ConfigError(f"evidence is one of {', '.join(KINDS)}, not {kind!r}")
        if kind == "criterion" and key not in MEASURES:
            raise ConfigError(f"there is no measure {key!r}")
        links = decision_reads.link(uow, project_id, kind, key)
        if not links:
            raise NotFound(f"{kind} of this project", key)
        found.append({"kind": kind, "id": links[0].id, "label": links[0].label})
    return tuple(found)


def _fits(entry: DecisionEntry, wanted: DecisionFilter) -> bool:
    if wanted.source and entry.source != wanted.source:
        return False
    if wanted.standing and entry.superseded_by is not None:
        return False
    words = (entry.title, entry.choice, entry.reason, entry.by or "", entry.alternatives)
    return wanted.search.casefold() in " ".join(words).casefold()
