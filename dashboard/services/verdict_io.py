"""Verdicts as a table: out of one workspace, into another, or through a spreadsheet.

A row names its cue by image (SHA-256, else path), model version and concept number, so a table
fits every workspace that holds the same images and version. Import appends; it never changes a
row that is there, and a second import of the same table changes nothing.
"""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from core.errors import ConfigError, InsightError, TableError
from dashboard.services.names import clean_name
from dashboard.services.review import CaseExplainer
from dashboard.services.settings_of import reasons_ever
from dashboard.services.tables import unquote_cell, write_csv
from db.errors import NotFound, StoreError
from db.feedback_records import VerdictExport
from db.records import CaseRecord, CueRecord, Scope, VerdictValue
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

COLUMNS: tuple[str, ...] = (
    "id", "project", "image", "image_sha256", "version", "concept", "concept_name", "prediction",
    "label", "reviewer", "value", "scope", "reason", "comment", "given_at",
)  # fmt: skip
REQUIRED: tuple[str, ...] = ("concept", "reviewer", "value")
MAX_BYTES = 64 * 2**20
_NAMESPACE = uuid.UUID("6c1b2f0e-2b0c-5e57-9b1f-2f6f6f0b9d11")


@dataclass(frozen=True)
class RowProblem:
    """A row that was refused: its line in the file (the header is 1) and why."""

    row: int
    reason: str


@dataclass(frozen=True)
class ImportReport:
    """What an import did."""

    added: int
    unchanged: int
    problems: tuple[RowProblem, ...]


class VerdictIO:
    """Exports and imports standing verdicts."""

    def __init__(self, uow: UnitOfWorkFactory, explain: CaseExplainer) -> None:
        self._uow = uow
        self._explain = explain

    def export_csv(self, project: str | None = None) -> bytes:
        """The standing verdicts of a project (id or name), or of all projects, as UTF-8 CSV."""
        with self._uow(read_only=True) as uow:
            projects = [uow.projects.find(project)] if project else list(uow.projects.list())
            rows = [row for found in projects for row in uow.verdicts.export(found.id)]
        return write_csv(COLUMNS, map(_as_row, rows))

    def import_csv(self, path: Path, project: str | None = None) -> ImportReport:
        """Appends the verdicts of a table; each bad row is reported and the others are taken.

        Args:
            project: id or name for rows without a `project` cell, and for all rows when given.

        Raises:
            TableError: the file cannot be read, is not UTF-8, or has no header that fits.
        """
        added, unchanged, problems = 0, 0, []
        for number, cells in _read(path):
            try:
                fresh = self._import_row(cells, project)
            except (InsightError, StoreError, ValueError) as error:
                problems.append(RowProblem(number, str(error)))
                continue
            added, unchanged = added + fresh, unchanged + (not fresh)
        return ImportReport(added, unchanged, tuple(problems))

    def _import_row(self, cells: Mapping[str, str], project: str | None) -> bool:
        """Whether the row was new."""
        row = _parse(cells, project)
        with self._uow(read_only=True) as uow:
            if _is_known(uow, row):
                return False
            case = _find_case(uow, row)
            if row.reason is not None:
                _one_of(row.reason, reasons_ever(uow, case.project_id), "reason")
        if case.explanation is None:
            self._explain.explain_case(case.id)
        with self._uow() as uow:
            cue = _find_cue(uow, case, row.concept)
            reviewer = uow.reviewers.get_or_create(row.reviewer)
            standing = uow.verdicts.standing(case.id, reviewer.id).get(cue.id)
            verdict = uow.verdicts.append(
                id=row.id, cue_id=cue.id, reviewer_id=reviewer.id, value=row.value,
                scope=row.scope, reason=row.reason, comment=row.comment,
                based_on=standing.revision if standing else 0, created_at=row.given_at,
            )  # fmt: skip
            uow.audit.append(
                actor=verdict.reviewer, action="verdict.imported", entity="verdict",
                entity_id=verdict.id, detail={"cue": cue.id, "value": verdict.value},
                project_id=case.project_id,
            )  # fmt: skip
            uow.commit()
        return True


@dataclass(frozen=True)
class _Row:
    id: str
    project: str
    image: str
    image_sha256: str
    version: str
    concept: int
    reviewer: str
    value: VerdictValue
    scope: Scope
    reason: str | None
    comment: str
    given_at: datetime | None


def _as_row(row: VerdictExport) -> dict[str, object]:
    return {
        "id": row.id, "project": row.project, "image": row.image,
        "image_sha256": row.image_sha256, "version": row.version_hash, "concept": row.concept,
        "concept_name": row.concept_name, "prediction": row.prediction, "label": row.label,
        "reviewer": row.reviewer, "value": row.value, "scope": row.scope, "reason": row.reason,
        "comment": row.comment, "given_at": row.created_at.isoformat(),
    }  # fmt: skip


def _read(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, cells) of each row, quotes against formulas taken away again."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TableError(path.name, f"larger than {MAX_BYTES // 2**20} MiB")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TableError(path.name, "is not UTF-8 text") from None
    except OSError as error:
        raise TableError(path.name, f"cannot be read ({error.strerror})") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    missing = [name for name in REQUIRED if name not in (reader.fieldnames or ())]
    if missing:
        raise TableError(path.name, f"has no column {', '.join(map(repr, missing))}")
    try:
        for cells in reader:
            plain = {k: unquote_cell(v or "") for k, v in cells.items() if isinstance(k, str)}
            yield reader.line_num, plain
    except csv.Error as error:
        raise TableError(path.name, f"line {reader.line_num}: {error}") from None


def _parse(cells: Mapping[str, str], project: str | None) -> _Row:
    def cell(name: str) -> str:
        return cells.get(name, "").strip()

    if not cell("concept").isascii() or not cell("concept").isdigit():
        raise ConfigError(f"concept must be a number, not {cell('concept')!r}")
    if not cell("image") and not cell("image_sha256"):
        raise ConfigError("names no image: give image_sha256 or image")
    given_at = datetime.fromisoformat(cell("given_at")) if cell("given_at") else None
    if given_at is not None and given_at.tzinfo is None:
        raise ConfigError("given_at has no time zone")
    row: dict[str, Any] = {
        "project": project or cell("project"),
        "image": cell("image"),
        "image_sha256": cell("image_sha256").lower(),
        "version": cell("version"),
        "concept": int(cell("concept")),
        "reviewer": clean_name(cell("reviewer"), "the reviewer's name"),
        "value": _one_of(cell("value"), get_args(VerdictValue), "value"),
        "scope": _one_of(cell("scope") or "here", get_args(Scope), "scope"),
        "reason": cell("reason") or None,
        "comment": cells.get("comment", ""),
        "given_at": given_at,
    }
    if not row["project"]:
        raise ConfigError("names no project, and none was given")
    return _Row(id=_row_id(cell("id"), row), **row)


def _row_id(text: str, row: Mapping[str, Any]) -> str:
    """The row's own id, or one made of its content, so that a second import finds it."""
    if text:
        try:
            return str(uuid.UUID(text))
        except ValueError:
            raise ConfigError(f"id is not a uuid: {text!r}") from None
    return str(uuid.uuid5(_NAMESPACE, repr(sorted((k, str(v)) for k, v in row.items()))))


def _one_of(text: str, allowed: tuple[str, ...], what: str) -> str:
    if text not in allowed:
        raise ConfigError(f"{what} must be one of {', '.join(allowed)}, not {text!r}")
    return text


def _is_known(uow: UnitOfWork, row: _Row) -> bool:
    """Whether this verdict is stored; ConfigError where it is stored with other content."""
    try:
        known = uow.verdicts.get(row.id)
    except NotFound:
        return False
    stored = (known.value, known.scope, known.reason, known.comment)
    if stored != (row.value, row.scope, row.reason, row.comment):
        raise ConfigError(
            f"verdict {row.id} is stored already as {known.value!r} and verdicts are never "
            "changed: empty the id cell to add it as a new one"
        )
    return True


def _find_case(uow: UnitOfWork, row: _Row) -> CaseRecord:
    project = uow.projects.find(row.project)
    image = (
        uow.images.by_sha256(project.id, row.image_sha256)
        if row.image_sha256
        else uow.images.by_relpath(project.id, row.image)
    )
    if image is None:
        raise ConfigError(f"no image {row.image or row.image_sha256[:12]} in {project.name}")
    version = (
        uow.versions.by_hash(project.id, row.version)
        if row.version
        else uow.versions.active(project.id)
    )
    if version is None:
        raise ConfigError(f"no model version {row.version[:12] or '(active)'} in {project.name}")
    case = uow.cases.by_image(version.id, image.id)
    if case is None:
        raise ConfigError(f"{image.relpath} has no case under version {version.hash[:12]}")
    return case


def _find_cue(uow: UnitOfWork, case: CaseRecord, concept: int) -> CueRecord:
    for cue in uow.cues.list(case.id):
        if cue.number == concept:
            return cue
    raise ConfigError(f"concept {concept} is not among the cues of {case.image.relpath}")
