"""Groups in words, and as the screen shows them. Pure: no store, no screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from dashboard.services.judging_words import amount, cases, estimate, p_words, percent
from dashboard.viewmodels.groups import ColumnRow, GroupRow, GroupsView

if TYPE_CHECKING:
    from core.decided import Decided
    from core.group_scores import GroupFigures, GroupTable
    from core.resampling import Ints
    from db.run_records import PredictionRow

ALPHA: Final = 0.05
SHOWN: Final = 6  # wrong decisions of a group
NOTHING_REJECTED: Final = (
    "Nobody has called a concept spurious yet, so there is no reliance on rejected concepts."
)
NO_CODES: Final = "The version's codes are not at hand, so the reliance is left out."
LEARNT_FROM: Final = "The version learnt from training images: figures on them are too good."
LEFT_OUT: Final = "{n} held-out cases are left out: verdicts on them taught this version."
Wrong = Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]  # group -> image ids, case ids


def groups_view(
    found: GroupTable, column: ColumnRow, version: str, splits: tuple[str, ...],
    order: Sequence[str], *, wrong: Wrong, notes: tuple[str, ...],
) -> GroupsView:  # fmt: skip
    """The view of a table of groups; `order` is the natural order of the groups."""
    place = {name: k for k, name in enumerate(order)}
    rows = [_row(each, wrong) for each in found.rows]
    if column.kind == "numbers":  # quarters are read from low to high
        rows.sort(key=lambda row: place.get(row.value, len(place)))
    return GroupsView(
        column=column,
        version=version,
        splits=splits,
        rows=tuple(rows),
        overall=_row(found.overall, {}),
        p=found.p,
        spread=found.spread,
        sentence=_sentence(found, column),
        multiplicity=_multiplicity(found),
        notes=notes,
    )


def wrong_cases(
    decided: Decided, labels_I: Ints, groups: Sequence[str], rows: Sequence[PredictionRow]
) -> Wrong:
    """A few wrong decisions of every group, the surest first."""
    wrong = [k for k in range(len(rows)) if decided.chosen_I[k] != labels_I[k]]
    sure = decided.confidence_I
    found: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for k in sorted(wrong, key=lambda k: -sure[k]):
        images, ids = found.get(groups[k], ((), ()))
        if len(images) < SHOWN:
            found[groups[k]] = ((*images, rows[k].image_id), (*ids, rows[k].case_id))
    return found


def _row(figures: GroupFigures, wrong: Wrong) -> GroupRow:
    images, ids = wrong.get(figures.name, ((), ()))
    return GroupRow(
        value=figures.name,
        n=figures.n,
        accuracy=estimate(figures.accuracy),
        balanced=figures.balanced,
        ece=estimate(figures.ece),
        overconfidence=estimate(figures.overconfidence),
        reliance=estimate(figures.reliance),
        p=figures.p,
        p_adjusted=figures.p_adjusted,
        differs=figures.differs,
        small=figures.small,
        sentence=_row_sentence(figures),
        image_ids=images,
        case_ids=ids,
    )


def _row_sentence(figures: GroupFigures) -> str:
    low, high = figures.accuracy.low, figures.accuracy.high
    between = "" if low is None or high is None else f", between {percent(low)} and {percent(high)}"
    text = f"{percent(figures.accuracy.value)} of {cases(figures.n)} are right{between}"
    if figures.small:
        return f"{text}; too few to say more."
    if figures.differs and figures.p_adjusted is not None:
        return f"{text}; unlike all other cases ({p_words(figures.p_adjusted)}, adjusted)."
    over = figures.overconfidence
    if over.low is not None and over.high is not None and over.value is not None:
        if over.low > 0:
            return f"{text}; too sure by {amount(over.value)}."
        if over.high < 0:
            return f"{text}; too doubtful by {amount(-over.value)}."
    return f"{text}."


def _sentence(found: GroupTable, column: ColumnRow) -> str:
    counted = [row for row in found.rows if not row.small]
    if len(counted) < 2 or found.p is None:
        return f"{column.label}: fewer than two groups have enough cases to be compared."
    lowest = min(counted, key=lambda row: row.accuracy.value or 0.0)
    highest = max(counted, key=lambda row: row.accuracy.value or 0.0)
    spread = " to ".join(f"{percent(row.accuracy.value)} ({row.name})" for row in (lowest, highest))
    if found.p < ALPHA:
        return f"Accuracy differs by {column.label}: {spread} ({p_words(found.p)})."
    return f"No clear difference by {column.label}: {spread} ({p_words(found.p)})."


def _multiplicity(found: GroupTable) -> str:
    tested = sum(row.p_adjusted is not None for row in found.rows)
    differs = sum(row.differs for row in found.rows)
    text = (
        f"{tested} groups were tested against all other cases; p-values are adjusted for that "
        "(Holm), so the chance of any false alarm in this table is at most 5 %. "
        "The 95 % intervals stand alone: of twenty, one may miss the truth."
    )
    if not tested:
        return "No group was tested."
    return f"{text} {differs or 'None'} of them {'differs' if differs == 1 else 'differ'}."
