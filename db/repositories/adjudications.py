"""What was decided where people disagreed."""

from typing import Any, get_args

from sqlalchemy import exists, literal, null, select
from sqlalchemy.orm import aliased

from db.desk_records import AdjudicationRecord, Subject
from db.errors import InvalidValue, NotFound, StaleWrite
from db.feedback_records import MarkRecord
from db.models import Adjudication, Case, Concept, Cue, Image, ModelVersion, Reviewer
from db.records import VerdictValue, utc_now
from db.repositories.base import build, checked_id, checked_word, cleaned
from db.repositories.event_reads import Events

WITHDRAWN = "withdrawn"


class AdjudicationRepository(Events):
    """Append-only; the highest revision per cue or case stands. No verdict is touched by it."""

    def append(
        self,
        *,
        id: str,
        project_id: str,
        subject: Subject,
        subject_id: str,
        reviewer_id: str,
        value: str,
        based_on: int,
        reason: str = "",
    ) -> AdjudicationRecord:
        """A decision that stands from now on; "withdrawn" takes the one before back.

        Idempotent by id. Raises StaleWrite, Conflict, NotFound (also for a cue or case of
        another project), InvalidValue for a value that cannot be decided on.
        """
        content: dict[str, Any] = {
            "project_id": project_id,
            "subject": checked_word(subject, Subject, "subject"),
            "subject_id": subject_id,
            "reviewer_id": reviewer_id,
            "value": cleaned(value),
            "reason": cleaned(reason),
        }
        event_id = checked_id(id)
        case = self._case(subject, subject_id)
        if case.project_id != project_id:
            raise NotFound(f"{subject} of this project with id", subject_id)
        if self._known(Adjudication, event_id, content) is None:
            self._check(subject, case, content["value"])
            self._require(Reviewer, reviewer_id, "reviewer")
            history = self.history(subject, subject_id)
            current = history[-1].revision if history else 0
            if based_on != current:
                raise StaleWrite("decision", based_on, current)
            self._insert_event(
                Adjudication(
                    id=event_id,
                    case_id=case.id,
                    revision=current + 1,
                    created_at=utc_now(),
                    **content,
                )
            )
        return self._read(AdjudicationRecord, Adjudication, Adjudication.id == event_id)[0]

    def standing(self, project_id: str, subject: Subject) -> tuple[AdjudicationRecord, ...]:
        """The latest decision on each cue (or case), withdrawn ones included."""
        later = aliased(Adjudication)
        superseded = exists().where(
            later.project_id == Adjudication.project_id,
            later.subject == Adjudication.subject,
            later.subject_id == Adjudication.subject_id,
            later.revision > Adjudication.revision,
        )
        return self._read(
            AdjudicationRecord,
            Adjudication,
            Adjudication.project_id == project_id,
            Adjudication.subject == subject,
            ~superseded,
        )

    def marks(self, project_id: str, dictionary_hash: str) -> tuple[MarkRecord, ...]:
        """Decided cues of a dictionary as marks, in the order of being decided.

        `verdict_id` and `reviewer` are those of the decision, `value` what was decided;
        withdrawn decisions are left out. What reweighting needs of them, as of verdicts.
        """
        later = aliased(Adjudication)
        superseded = exists().where(
            later.subject == Adjudication.subject,
            later.subject_id == Adjudication.subject_id,
            later.revision > Adjudication.revision,
        )
        query = (
            select(
                Adjudication.id.label("verdict_id"),
                Adjudication.revision,
                Cue.id.label("cue_id"),
                Adjudication.reviewer_id,
                Reviewer.name.label("reviewer"),
                Adjudication.value,
                literal("here").label("scope"),
                null().label("reason"),
                Image.id.label("image_id"),
                Image.sha256.label("image_sha256"),
                Case.prediction,
                ModelVersion.hash.label("version_hash"),
                Concept.dictionary_hash,
                Concept.number.label("concept"),
                Cue.grid_rows,
                Cue.grid_cols,
                Cue.region_bits,
            )
            .join(Cue, Cue.id == Adjudication.subject_id)
            .join(Reviewer, Reviewer.id == Adjudication.reviewer_id)
            .join(Concept, Concept.id == Cue.concept_id)
            .join(Case, Case.id == Cue.case_id)
            .join(Image, Image.id == Case.image_id)
            .join(ModelVersion, ModelVersion.id == Case.version_id)
            .where(
                Adjudication.project_id == project_id,
                Adjudication.subject == "cue",
                Adjudication.value != WITHDRAWN,
                Concept.dictionary_hash == dictionary_hash,
                ~superseded,
            )
            .order_by(Adjudication.seq)
        )
        return tuple(build(MarkRecord, row) for row in self._session.execute(query))

    def history(self, subject: Subject, subject_id: str) -> tuple[AdjudicationRecord, ...]:
        """Every decision on one cue or case, oldest first."""
        return self._read(
            AdjudicationRecord,
            Adjudication,
            Adjudication.subject == subject,
            Adjudication.subject_id == subject_id,
        )

    def _case(self, subject: Subject, subject_id: str) -> Case:
        """The case that the subject is or lies in; writers to it wait for each other."""
        if subject == "cue":
            subject_id = self._require(Cue, subject_id, "cue").case_id
        return self._require(Case, subject_id, "case", lock=True)

    def _check(self, subject: Subject, case: Case, value: str) -> None:
        if subject == "cue":
            allowed: tuple[str, ...] = get_args(VerdictValue)
        else:
            version = self._require(ModelVersion, case.version_id, "version")
            allowed = (*version.classes, WITHDRAWN)
        if value not in allowed:
            raise InvalidValue(f"a decision on a {subject} must be one of {', '.join(allowed)}")
