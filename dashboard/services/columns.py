"""Words on whole columns of the metadata: "the camera's exposure is no reason".

A word holds for the whole project; it is an event of its own, append-only. Others' words, and what
all say together, stay hidden until my own is in, so that nobody is led.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from core.consensus import RIGHT, WRONG, posterior
from core.errors import ConfigError
from core.evidence import MISSING, SPURIOUS
from dashboard.services.evidence_said import WORDS
from dashboard.services.prose import clean_prose
from dashboard.viewmodels import VerdictValue
from dashboard.viewmodels.columns import ColumnWordsView, ColumnWordView
from db.run_records import ColumnVerdictRecord
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

MAX_COMMENT: Final = 2000
WITHDRAWN: Final = "withdrawn"


class ColumnService:
    """Reading and giving words on metadata columns."""

    def __init__(self, uow_factory: UnitOfWorkFactory) -> None:
        self._uow = uow_factory

    def of(self, project_id: str, reviewer_id: str) -> Mapping[str, ColumnWordsView]:
        """Every column of the project's images, also those without a word, by name.

        `probability` takes everybody to be right in 4 of 5; a run also weighs how reliable each
        person proves to be. It is None before my own word is in.
        """
        with self._uow(read_only=True) as uow:
            columns = uow.images.columns(project_id)
            mine = uow.column_verdicts.mine(project_id, reviewer_id)
            standing = uow.column_verdicts.standing(project_id)
        found = {}
        for column in columns:
            words = [row for row in standing if row.column_name == column]
            own = mine.get(column)
            told = own is not None and own.value != WITHDRAWN
            others = [_view(row) for row in words if row.reviewer_id != reviewer_id]
            found[column] = ColumnWordsView(
                column=column,
                probability=probability(words) if told else None,
                mine=None if own is None else _view(own),
                others=tuple(others) if told else (),
            )
        return found

    def judge(
        self,
        *,
        id: str,
        project_id: str,
        column: str,
        reviewer_id: str,
        value: VerdictValue,
        reason: str | None = None,
        comment: str = "",
        based_on: int,
    ) -> ColumnWordView:
        """Keeps a word on a column; "withdrawn" takes it back. The same id again is harmless.

        Raises ConfigError for a column that no image has, or a comment that is too long; StaleWrite
        where another word of mine came in between; Conflict, NotFound.
        """
        text = clean_prose(comment, "the comment", limit=MAX_COMMENT)
        with self._uow() as uow:
            known = {event.id for event in uow.column_verdicts.history(project_id, column)}
            if not known:
                _refuse_unknown(uow, project_id, column)
            row = uow.column_verdicts.append(
                id=id, project_id=project_id, column_name=column, reviewer_id=reviewer_id,
                value=value, reason=reason, comment=text, based_on=based_on,
            )  # fmt: skip
            if row.id not in known:
                uow.audit.append(
                    actor=row.reviewer, action="column verdict.given", entity="project",
                    entity_id=project_id,
                    detail={"column": column, "value": value, "reason": reason,
                            "revision": row.revision},
                    project_id=project_id,
                )  # fmt: skip
            uow.commit()
        return _view(row)


def probability(words: Sequence[ColumnVerdictRecord]) -> float | None:
    """P(spurious) from words of people who are right in 4 of 5; None without any.

    One "spurious" gives .8, two .94, one against one .5.
    """
    numbers = [WORDS.get(row.value, MISSING) for row in words]
    if not any(number != MISSING for number in numbers):
        return None
    usual = np.array([[RIGHT, WRONG], [WRONG, RIGHT]]) / (RIGHT + WRONG)
    found = posterior(np.array([numbers]), np.tile(usual, (len(numbers), 1, 1)))
    return float(found[0, SPURIOUS])


def _refuse_unknown(uow: UnitOfWork, project_id: str, column: str) -> None:
    columns = uow.images.columns(project_id)
    if column not in columns:
        there = ", ".join(columns) or "none: load a table of labels with further columns"
        raise ConfigError(f"no image has a column {column!r}; there are {there}")


def _view(row: ColumnVerdictRecord) -> ColumnWordView:
    return ColumnWordView(
        row.value, row.reason, row.comment, row.revision, row.reviewer, row.created_at
    )
