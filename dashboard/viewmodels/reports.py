"""What a report can be narrowed to, how it is made, and the files that were made."""

from dataclasses import dataclass
from datetime import date, datetime

from dashboard.viewmodels.words import RunState


@dataclass(frozen=True)
class ScopeChoices:
    """What a report of a project can be narrowed to."""

    versions: tuple[tuple[str, str], ...]  # hash, words ("reweight, 3 May 2026, active")
    classes: tuple[str, ...]
    people: tuple[str, ...]  # who gave a word; oneself alone while the review is blind
    first: date | None  # days of the first and the last word
    last: date | None
    blind: bool = False  # only one's own words are told


@dataclass(frozen=True)
class FormatChoice:
    """One form that a report can be made in."""

    key: str  # "html", "pdf", ...
    label: str
    about: str  # one line: what it is for


@dataclass(frozen=True)
class MakingForm:
    """How a report of some scope can be made."""

    formats: tuple[FormatChoice, ...]
    cases: int  # that it would tell of
    at_once: bool  # made while one waits; else by the worker


@dataclass(frozen=True)
class FileRow:
    """One file that was made of the project."""

    id: str
    format: str
    label: str  # of the format
    name: str  # of the file, as it is downloaded
    by: str
    at: datetime
    scope: str  # in words
    sha256: str
    size: int  # bytes
    there: bool  # it still lies in the workspace
    small: bool  # it can be downloaded from the screen
    path: str | None  # inside the workspace


@dataclass(frozen=True)
class MakingRow:
    """A report that the worker makes or made."""

    run_id: str
    state: RunState
    progress: float  # [0, 1]
    stage: str
    message: str
    formats: tuple[str, ...]  # labels
    scope: str  # in words
    by: str | None
    at: datetime
