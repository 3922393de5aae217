"""Columns of the data and the groups they make, with words on whole columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.errors import ConfigError
from dashboard.viewmodels.columns import ColumnWordsView, ColumnWordView
from dashboard.viewmodels.groups import ColumnRow, ColumnScan, GroupRow, GroupsView
from dashboard.viewmodels.judgement import Estimate
from db.errors import NotFound, StaleWrite
from tests.fakes.cases import HOSTILE, START, Book, uid
from tests.fakes.runs import BASE

VALUES = (
    # value, cases, accuracy, half width, overconfidence, reliance, p adjusted, differs, small
    ("phone", 122, 0.71, 0.081, 0.17, 0.46, 0.0004, True, False),
    ("dermatoscope A", 401, 0.94, 0.024, 0.01, 0.31, 0.21, False, False),
    ("dermatoscope B", 320, 0.962, 0.022, -0.01, 0.29, 0.06, False, False),
    ("scanner", 6, 0.67, 0.31, 0.1, 0.33, None, False, True),
)
COLUMNS = (
    ColumnRow("camera", "camera", "words", 4, 849, 0, True),
    ColumnRow("group", "Group", "words", 4, 849, 0, True),
    ColumnRow("patient", "patient", "words", 790, 849, 0, False, "too many values (790)"),
)


class FakeGroups:
    """Groups by camera that differ, by group that do not."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.none = False  # the images came without columns

    def columns(self, project_id: str) -> tuple[ColumnRow, ...]:
        return COLUMNS[2:] if self.none else COLUMNS

    def scan(self, project_id: str) -> tuple[ColumnScan, ...]:
        figures: dict[str, tuple[Any, ...]] = {
            "camera": (4, "phone", 0.71, "dermatoscope B", 0.962, 0.0005, 0.001, True),
            "group": (4, "naevus, with ruler", 0.9, "melanoma, with ruler", 0.94, 0.3, 0.3, False),
            "patient": (0, "", None, "", None, None, None, False),
        }
        return tuple(ColumnScan(each, *figures[each.column]) for each in self.columns(project_id))

    def of(
        self, project_id: str, column: str, *, version_id: str | None = None,
        splits: tuple[str, ...] | None = None,
    ) -> GroupsView:  # fmt: skip
        found = next((each for each in COLUMNS if each.column == column), None)
        if found is None:
            raise NotFound("column", column)
        rows = tuple(self._row(*values) for values in VALUES)
        overall = replace(self._row("all", 849, 0.92, 0.02, 0.02, 0.33, None, False, False))
        return GroupsView(
            found, version_id or BASE, ("test", "val"), rows, overall, 0.0005, 0.252,
            "On phone 71.0 % are right, clearly fewer than elsewhere.",
            "4 groups were compared; p-values are adjusted for that.",
            ("Labels are spread unevenly over the groups.",),
        )  # fmt: skip

    def _row(
        self, value: str, n: int, accuracy: float, half: float, over: float, reliance: float,
        p: float | None, differs: bool, small: bool,
    ) -> GroupRow:  # fmt: skip
        shown = HOSTILE if self._book.hostile and value == "phone" else value
        wrong = 4 if value == "phone" else 1 if value == "dermatoscope A" else 0
        return GroupRow(
            shown, n, _about(accuracy, half), accuracy - 0.01, _about(abs(over) + 0.02, 0.02),
            _about(over, 0.03), _about(reliance, 0.02), p, p, differs, small,
            f"{shown}: {100 * accuracy:.1f} % right",
            tuple(uid("image", at) for at in range(wrong)),
            tuple(uid("case", at) for at in range(wrong)),
        )  # fmt: skip


def _about(value: float, half: float) -> Estimate:
    return Estimate(value, value - half, min(1.0, value + half))


class FakeColumns:
    """Words on columns, append-only like the real ones."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.given: dict[tuple[str, str], list[ColumnWordView]] = {}  # column, reviewer
        self.ids: dict[str, ColumnWordView] = {}

    def of(self, project_id: str, reviewer_id: str) -> Mapping[str, ColumnWordsView]:
        return {each.column: self._one(each.column, reviewer_id) for each in COLUMNS}

    def _one(self, column: str, reviewer_id: str) -> ColumnWordsView:
        standing = {who: said[-1] for (at, who), said in self.given.items() if at == column}
        mine = standing.pop(reviewer_id, None)
        spoken = mine is not None and mine.value != "withdrawn"
        other = ColumnWordView("spurious", "artefact", "<b>phones</b> blur", 1, "Dr B", START)
        bad = spoken and mine is not None and mine.value == "spurious"
        return ColumnWordsView(
            column, None if not spoken else 0.93 if bad else 0.5, mine, (other,) if spoken else ()
        )

    def judge(
        self, *, id: str, project_id: str, column: str, reviewer_id: str, value: Any,
        reason: str | None = None, comment: str = "", based_on: int,
    ) -> ColumnWordView:  # fmt: skip
        if id in self.ids:
            return self.ids[id]
        if column not in {each.column for each in COLUMNS}:
            raise ConfigError(f"the data has no column {column!r}")
        said = self.given.setdefault((column, reviewer_id), [])
        if based_on != len(said):
            raise StaleWrite("column verdict", based_on, len(said))
        name = next((n for n, who in self._book.reviewers.items() if who == reviewer_id), "someone")
        word = ColumnWordView(value, reason, comment, based_on + 1, name, START)
        said.append(word)
        self.ids[id] = word
        return word
