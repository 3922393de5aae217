"""Words on whole columns of the data: camera, exposure, site, scanner, ..."""

from dataclasses import dataclass
from datetime import datetime

from dashboard.viewmodels.words import VerdictValue


@dataclass(frozen=True)
class ColumnWordView:
    """A reviewer's standing word on a column: may the model use what goes with it?"""

    value: VerdictValue  # "withdrawn" where it was taken back
    reason: str | None
    comment: str
    revision: int
    reviewer: str
    at: datetime


@dataclass(frozen=True)
class ColumnWordsView:
    """What was said of one column."""

    column: str
    probability: float | None  # that it is spurious, from everybody's words, [0, 1]; None: no word
    mine: ColumnWordView | None
    others: tuple[ColumnWordView, ...] = ()  # empty until my word is in
