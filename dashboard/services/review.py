"""The desk: what a reviewer sees of a case, and what a reviewer says about it.

What is shown is a fold over append-only rows. Every write is one transaction that holds its
audit row, carries an id made by the client (a repeat is harmless) and the revision it was based
on (a lost update is refused with StaleWrite).
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from core.errors import ConfigError, InsightError
from dashboard.services import case_view
from dashboard.services.engines import read_verified
from dashboard.services.names import clean_name
from dashboard.viewmodels import (
    REASONS,
    AssessmentView,
    CaseView,
    QueueRow,
    Scope,
    VerdictValue,
    VerdictView,
)
from db.errors import NotFound
from db.feedback_records import AssessmentRecord, VerdictRecord
from db.records import CaseRecord, ImageRecord
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

MAX_COMMENT = 4000  # characters
JPEG_SUFFIXES = frozenset({".jpg", ".jpeg"})


class CaseExplainer(Protocol):
    """What the desk needs of ExplainService."""

    def explain_case(self, case_id: str) -> None:
        """Persists the cues of a case once; a second call changes nothing."""


class ReviewService:
    """Sign in, look at cases, give verdicts and assessments, undo."""

    def __init__(self, uow: UnitOfWorkFactory, explain: CaseExplainer) -> None:
        self._uow = uow
        self._explain = explain

    def sign_in(self, name: str) -> str:
        """The reviewer's id; a new reviewer is entered. Raises ConfigError for a bad name."""
        clean = clean_name(name, "your name")
        with self._uow() as uow:
            known = uow.reviewers.by_name(clean)
            reviewer = known or uow.reviewers.get_or_create(clean)
            if known is None:
                uow.audit.append(
                    actor=clean, action="reviewer.signed_in", entity="reviewer",
                    entity_id=reviewer.id,
                )  # fmt: skip
            uow.commit()
        return reviewer.id

    def queue(self, project_id: str, reviewer_id: str) -> tuple[QueueRow, ...]:
        """The cases of the active version in queue order; empty before the first version."""
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
            items = uow.cases.queue(version.id, reviewer_id) if version else ()
        return tuple(
            QueueRow(
                item.case_id, position, item.relpath, item.label, item.split, item.prediction,
                item.confidence, item.done,
            )
            for position, item in enumerate(items, start=1)
        )  # fmt: skip

    def case(self, project_id: str, case_id: str | None, reviewer_id: str) -> CaseView:
        """A case with its cues, explained now if it was not yet.

        Args:
            case_id: None gives the first case without my verdict, else the very first.

        Raises:
            InsightError: the project has no model version or no case yet.
            NotFound: there is no such case in this project.
        """
        found = self._find_case(project_id, case_id, reviewer_id)
        if found.explanation is None:
            self._explain.explain_case(found.id)
        with self._uow(read_only=True) as uow:
            return case_view.build(uow, found.id, reviewer_id)

    def give_verdict(
        self,
        *,
        id: str,
        cue_id: str,
        reviewer_id: str,
        value: VerdictValue,
        scope: Scope = "here",
        reason: str | None = None,
        comment: str = "",
        based_on: int,
    ) -> VerdictView:
        """Appends a verdict on a cue.

        Args:
            id: uuid made by the client; the same id with the same content changes nothing.
            based_on: revision of my verdict that stands on the cue, 0 for none.

        Raises:
            StaleWrite: something newer stands. Conflict: the id was used for something else.
            ConfigError: an unknown reason or a comment that is too long.
        """
        if reason is not None and reason not in REASONS:
            raise ConfigError(f"the reason must be one of {', '.join(REASONS)}, not {reason!r}")
        text = _comment(comment)
        with self._uow() as uow:
            known = _known_verdict(uow, id)
            row = uow.verdicts.append(
                id=id, cue_id=cue_id, reviewer_id=reviewer_id, value=value, scope=scope,
                reason=reason, comment=text, based_on=based_on,
            )  # fmt: skip
            if not known:
                _audit_verdict(uow, row, "verdict.given")
            uow.commit()
        return case_view.verdict_view(row)

    def undo(self, reviewer_id: str, project_id: str, id: str) -> VerdictView | None:
        """Takes back my latest verdict that is not taken back yet; None when none is left.

        What stood before it on that cue is restored, else the cue has no verdict again. Called
        again with a new id it goes one further back; called again with the same id it changes
        nothing. An undo itself is never undone.
        """
        with self._uow() as uow:
            known = _known_verdict(uow, id)
            row = uow.verdicts.undo(id=id, reviewer_id=reviewer_id, project_id=project_id)
            if row is not None and not known:
                _audit_verdict(uow, row, "verdict.undone")
            uow.commit()
        return case_view.verdict_view(row) if row is not None else None

    def assess(
        self,
        *,
        id: str,
        case_id: str,
        reviewer_id: str,
        agree: bool | None,
        corrected_label: str | None,
        comment: str,
        based_on: int,
    ) -> AssessmentView:
        """Appends a word on the whole case; same rules as `give_verdict`.

        Raises ConfigError for a corrected label that is not a class of the version.
        """
        text = _comment(comment)
        with self._uow() as uow:
            classes = uow.versions.get(uow.cases.get(case_id).version_id).classes
            if corrected_label is not None and corrected_label not in classes:
                raise ConfigError(
                    f"{corrected_label!r} is not a class; choose one of {', '.join(classes)}"
                )
            before = uow.assessments.history(case_id, reviewer_id)
            row = uow.assessments.append(
                id=id, case_id=case_id, reviewer_id=reviewer_id, agree=agree,
                corrected_label=corrected_label, comment=text, based_on=based_on,
            )  # fmt: skip
            if row.id not in {known.id for known in before}:
                _audit_assessment(uow, row)
            uow.commit()
        return case_view.assessment_view(row)

    def image_bytes(self, image_id: str, max_side: int = 1024) -> tuple[bytes, str]:
        """The image fitted into max_side x max_side pixels, with its MIME type.

        A JPEG file comes back as JPEG (it has no exact pixels to lose), anything else as PNG.
        The file is read with the same guards as on ingest, and must still be the same picture:
        nobody judges one that was exchanged.

        Raises InputError when the file has gone, was altered or lies outside its project.
        """
        from core.images import jpeg_bytes, png_bytes, thumbnail

        with self._uow(read_only=True) as uow:
            image = uow.images.get(image_id)
            root = Path(uow.projects.get(image.project_id).root)
        small = thumbnail(read_verified(root, image), max(16, min(max_side, 4096)))
        if Path(image.relpath).suffix.lower() in JPEG_SUFFIXES:
            return jpeg_bytes(small), "image/jpeg"
        return png_bytes(small), "image/png"

    def image_record(self, image_id: str) -> ImageRecord:
        """What the store knows of an image. Raises NotFound."""
        with self._uow(read_only=True) as uow:
            return uow.images.get(image_id)

    def _find_case(self, project_id: str, case_id: str | None, reviewer_id: str) -> CaseRecord:
        with self._uow(read_only=True) as uow:
            if case_id is None:
                case_id = _first_case(uow, project_id, reviewer_id)
            found = uow.cases.get(case_id)
        if found.project_id != project_id:
            raise NotFound("case", case_id)
        return found


def _first_case(uow: UnitOfWork, project_id: str, reviewer_id: str) -> str:
    version = uow.versions.active(project_id)
    if version is None:
        raise InsightError(
            "this project has no model version yet; discover its concepts first "
            "(insight discover --project NAME)"
        )
    first = uow.cases.first_open(version.id, reviewer_id) or uow.cases.first(version.id)
    if first is None:
        raise InsightError("this project has no cases yet; ingest images first")
    return first


def _known_verdict(uow: UnitOfWork, verdict_id: str) -> bool:
    try:
        uow.verdicts.get(verdict_id)
    except NotFound:
        return False
    return True


def _audit_verdict(uow: UnitOfWork, row: VerdictRecord, action: str) -> None:
    detail = {
        "cue": row.cue_id, "value": row.value, "scope": row.scope, "reason": row.reason,
        "revision": row.revision, "undoes": row.undoes,
    }  # fmt: skip
    uow.audit.append(
        actor=row.reviewer, action=action, entity="verdict", entity_id=row.id, detail=detail
    )


def _audit_assessment(uow: UnitOfWork, row: AssessmentRecord) -> None:
    detail = {
        "case": row.case_id, "agree": row.agree, "corrected_label": row.corrected_label,
        "revision": row.revision,
    }  # fmt: skip
    uow.audit.append(
        actor=row.reviewer, action="assessment.given", entity="assessment", entity_id=row.id,
        detail=detail,
    )  # fmt: skip


def _comment(text: str) -> str:
    """Line ends unified and control characters dropped; HTML stays text (screens escape it)."""
    clean = text.replace("\r\n", "\n").replace("\r", "\n")
    clean = "".join(ch for ch in clean if ch in "\n\t" or (ord(ch) >= 32 and ord(ch) != 127))
    clean = clean.strip()
    if len(clean) > MAX_COMMENT:
        raise ConfigError(f"the comment is longer than {MAX_COMMENT} characters")
    return clean
