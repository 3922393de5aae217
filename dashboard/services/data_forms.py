"""The tables of a project's review as data: what each holds, alike in every form.

Forms: "json" (one document, with the report itself; see templates/report.schema.json), "csv" and
"parquet" (a zip file, or its folder, of one table each), "coco" (regions as annotations). The
tables under WORDS hold what people said, and can be read in again; the others say what it was
said of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from core.errors import ConfigError
from dashboard.services.progress import Progress, silent

Form = Literal["json", "csv", "parquet", "coco"]
Kind = Literal["text", "int", "float", "bool", "time", "json"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)
SUFFIX: Final[dict[Form, str]] = {
    "json": ".json", "csv": ".csv.zip", "parquet": ".parquet.zip", "coco": ".coco.json",
}  # fmt: skip
FORMAT: Final = "insight-review-data"
SCHEMA: Final = 1
ABOUT: Final = "about.json"

Row = Mapping[str, Any]
Rows = Iterator[Row]


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    kind: Kind
    about: str
    optional: bool = False  # may be empty


def _columns(*lines: str) -> tuple[Column, ...]:
    """ "NAME KIND about"; a "?" after the kind: may be empty."""
    found = []
    for line in lines:
        name, kind, about = line.split(" ", 2)
        found.append(Column(name, kind.rstrip("?"), about, kind.endswith("?")))  # type: ignore[arg-type]
    return tuple(found)


_CASE = _columns(
    "version text hash of the model version that decided the case",
    "image_sha256 text SHA-256 of the image file",
    "image text path of the image below the project's folder",
)
_CONCEPT = _columns(
    "dictionary text hash of the dictionary that the concept belongs to",
    "concept int number of the concept in its dictionary",
    "concept_name text? name that stands",
)
_SAID = _columns(
    "reviewer text name of the person",
    "given_at time when it was said, UTC",
)
_ID = _columns("id text id of what was said: a repeat is recognised by it")
_VALUE = _columns(
    "value text correct, spurious or unsure",
    "reason text? key of a reason",
    "comment text in the person's own words",
)

TABLES: Final[dict[str, tuple[Column, ...]]] = {
    "cases": _CASE + _columns(
        "width int pixels", "height int pixels",
        "label text? class by the table of labels", "split text? train, val, test or another",
        "group text? of the images", "prediction text class that the version decides for",
        "confidence float calibrated probability of the prediction, 0 to 1",
        "logit float of the prediction", "bias float part of the logit without any concept",
        "probabilities json class and probability of each",
        "explained bool whether the case has cues",
    ),
    "cues": _CASE + _CONCEPT + _columns(
        "rank int 0 is the largest absolute causal effect",
        "activation float of the concept, its maximum in the image",
        "contribution float to the logit", "causal_effect float on the logit when it is removed",
        "grid_rows int of the patches", "grid_cols int of the patches",
        "regions json boxes x0, y0, x1, y1, area in fractions of the image",
    ),
    "concepts": _CONCEPT + _columns(
        "level int 0 is the coarsest", "frequency float share of images in which it fires",
        "model_name text? the model's own name",
    ),
    "verdicts": _ID + _CASE + _CONCEPT + _columns(
        "prediction text class that the version decides for", "label text? class by the table",
        "scope text here, class or everywhere", "revision int of the person's word on this cue",
    ) + _VALUE + _SAID,
    "assessments": _ID + _CASE + _columns(
        "agree bool? with the model's decision", "corrected_label text? class instead",
        "ratings json criterion and 1 to 5", "comment text in the person's own words",
        "blind bool given before the model's word was shown",
        "revision int of the person's word on this case",
    ) + _SAID,
    "class_verdicts": _ID + _CONCEPT + _columns("class_name text class that it speaks of")
    + _VALUE + _SAID,
    "column_verdicts": _ID + _columns("column_name text metadata column that it speaks of")
    + _VALUE + _SAID,
    "names": _ID + _columns(*(f"{each.name} {each.kind} {each.about}" for each in _CONCEPT[:2]))
    + _columns("name text given to the concept", "reason text in the person's own words") + _SAID,
    "drawings": _ID + _CASE + _columns(
        "dictionary text? of the cue that it speaks of", "concept int? of that cue",
        "kind text missed, wrong-part, here or spurious", "shape text box or lasso",
        "points json x, y in fractions of the image", "note text in the person's own words",
    ) + _SAID,
    "notes": _ID + _columns(
        "version text? of the case that it speaks of", "image_sha256 text? of that case",
        "image text? of that case", "dictionary text? of the concept that it speaks of",
        "concept int? that it speaks of", "kind text note, what-if or hypothesis",
        "text text in the person's own words", "payload json what was set",
    ) + _SAID,
}  # fmt: skip
WORDS: Final = (
    "names", "verdicts", "assessments", "class_verdicts", "column_verdicts", "drawings", "notes",
)  # fmt: skip
"""In the order in which they are read in."""


def as_form(word: str) -> Form:
    """The form of that name. Raises ConfigError."""
    for form in FORMS:
        if form == word:
            return form
    raise ConfigError(f"the format must be one of {', '.join(FORMS)}, not {word!r}")


def iso(at: datetime) -> str:
    """A time in UTC as text, always with microseconds.

    >>> iso(datetime(2026, 3, 1, 12, tzinfo=UTC))
    '2026-03-01T12:00:00.000000+00:00'
    """
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def counted(rows: Rows, total: int, stage: str, progress: Progress = silent) -> Rows:
    """The rows, with progress told now and then."""
    for at, row in enumerate(rows):
        if at % 500 == 0:
            progress(at / max(1, total), stage)
        yield row
