"""What the modes diagnose, validate and discover read of a version. It writes nothing."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy import func, or_, select
from sqlalchemy.orm import aliased

from db.models import Assessment, Case, CaseWord, Verdict
from db.repositories.base import Repository, batches
from db.repositories.folds import standing_verdicts

Counts = tuple[int, int, int]  # correct, spurious, unsure
_WORDS = ("correct", "spurious", "unsure")


class ModeReads(Repository):
    """Reads that pass over the words on a version, never used per key press."""

    def said(self, version_id: str, reviewer_id: str) -> frozenset[str]:
        """Cases on which this reviewer's assessment agrees or disagrees, or names a label."""
        later = aliased(Assessment)
        superseded = (
            select(later.seq)
            .where(
                later.case_id == Assessment.case_id,
                later.reviewer_id == Assessment.reviewer_id,
                later.revision > Assessment.revision,
            )
            .exists()
        )
        # The counter gives the reviewer's few cases; their assessments are then probed.
        query = (
            select(Assessment.case_id)
            .join(Case, Case.id == Assessment.case_id)
            .join(
                CaseWord,
                (CaseWord.case_id == Assessment.case_id)
                & (CaseWord.reviewer_id == Assessment.reviewer_id),
            )
            .where(
                Case.version_id == version_id,
                Assessment.reviewer_id == reviewer_id,
                CaseWord.assessed,
                ~Assessment.blank,
                or_(Assessment.agree.is_not(None), Assessment.corrected_label.is_not(None)),
                ~superseded,
            )
        )
        return frozenset(self._session.scalars(query))

    def tally(self, concept_ids: Sequence[str], class_name: str) -> dict[str, Counts]:
        """Concept id -> standing verdicts on its cues in the cases decided for a class."""
        found: dict[str, list[int]] = {}
        for batch in batches(concept_ids):
            stands = standing_verdicts(Verdict.concept_id.in_(batch))
            query = (
                select(stands.c.concept_id, stands.c.value, func.count().label("count"))
                .join(Case, Case.id == stands.c.case_id)
                .where(Case.prediction == class_name)
                .group_by(stands.c.concept_id, stands.c.value)
            )
            for row in self._session.execute(query):
                counts = found.setdefault(row.concept_id, [0, 0, 0])
                counts[_WORDS.index(row.value)] += cast(int, row[2])
        return {key: (value[0], value[1], value[2]) for key, value in found.items()}

    def reviewed(self, version_id: str) -> dict[str, int]:
        """Decision -> cases on which anybody has a standing word; classes without are absent."""
        query = (
            select(Case.prediction, func.count(func.distinct(Case.id)))
            .join(CaseWord, CaseWord.case_id == Case.id)
            .where(Case.version_id == version_id, or_(CaseWord.cues > 0, CaseWord.assessed))
            .group_by(Case.prediction)
        )
        return self._mapping(query)
