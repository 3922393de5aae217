"""The report: what was reviewed, what was found, what was done about it, and from where.

The files are documented in docs/files.md. The JSON is one object with the fields of ReportView
(times as ISO 8601 in UTC, tuples as lists), plus "format": "insight-report", "schema": 1 and
"verdicts_standing", a list with one object per standing verdict.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from core.errors import ConfigError, InputError
from dashboard.services import run_view
from dashboard.services.concepts import name_event
from dashboard.services.engines import read_verified
from dashboard.services.overlays import data_uri, overlay
from dashboard.services.tables import write_csv
from dashboard.viewmodels import ConceptTally, NameEvent, ProjectView, ReportView
from db.feedback_records import VerdictExport, VerdictRecord
from db.records import CaseRecord, CueRecord, ProjectRecord, VersionRecord, utc_now
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

Format = Literal["html", "csv", "json"]
SCHEMA = 1
PICTURES = 6
PICTURE_SIDE = 360  # pixels
TEMPLATES = Path(__file__).parent / "templates"
CSV_COLUMNS: tuple[str, ...] = (
    "id", "project", "image", "image_sha256", "version_hash", "concept", "concept_name",
    "prediction", "label", "reviewer", "value", "scope", "reason", "comment", "revision",
    "created_at", "notice",
)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A spurious cue drawn over its image."""

    src: str  # data URI
    alt: str
    width: int
    height: int
    name: str
    image_name: str
    prediction: str
    label: str | None
    causal_effect: float  # logit units
    spurious: int


class ReportService:
    """Summaries of a project, on the screen and as files."""

    def __init__(self, uow: UnitOfWorkFactory) -> None:
        self._uow = uow

    def view(self, project_id: str) -> ReportView:
        """The summary as it stands now. Raises NotFound."""
        with self._uow(read_only=True) as uow:
            return _view(uow, uow.projects.find(project_id), utc_now())

    def export(self, project_id: str, fmt: Format | str) -> bytes:
        """The report as a file's bytes, UTF-8.

        "html": one standalone page with pictures. "csv": one row per standing verdict, safe in
        spreadsheets. "json": see the module's docstring.
        """
        match fmt:
            case "html":
                return self._html(project_id)
            case "csv":
                return self._csv(project_id)
            case "json":
                return self._json(project_id)
        # Reached where a caller's text was not checked against Format.
        raise ConfigError(f"the format must be html, csv or json, not {fmt!r}")

    def _csv(self, project_id: str) -> bytes:
        with self._uow(read_only=True) as uow:
            project = uow.projects.find(project_id)
            rows = uow.verdicts.export(project.id)
        return write_csv(CSV_COLUMNS, (_verdict_dict(row, project.notice) for row in rows))

    def _json(self, project_id: str) -> bytes:
        with self._uow(read_only=True) as uow:
            project = uow.projects.find(project_id)
            report = _view(uow, project, utc_now())
            rows = uow.verdicts.export(project.id)
        body = {"format": "insight-report", "schema": SCHEMA, **asdict(report)}
        body["verdicts_standing"] = [_verdict_dict(row, None) for row in rows]
        return json.dumps(body, indent=2, default=_plain, allow_nan=False).encode("utf-8")

    def _html(self, project_id: str) -> bytes:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined

        with self._uow(read_only=True) as uow:
            project = uow.projects.find(project_id)
            report = _view(uow, project, utc_now())
            chosen = _spurious_cues(uow, project.id)
            version = uow.versions.active(project.id)
        pictures = [p for item in chosen if (p := _picture(Path(project.root), *item)) is not None]
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined
        )
        page = environment.get_template("report.html.j2").render(
            report=report, pictures=pictures, provenance=_provenance(report, version)
        )
        return page.encode("utf-8")


def _view(uow: UnitOfWork, project: ProjectRecord, now: datetime) -> ReportView:
    version = uow.versions.active(project.id)
    cases = uow.cases.counts(version.id) if version else None
    verdicts = uow.verdicts.counts(project.id)
    assessments = uow.assessments.counts(project.id)
    reviewed = _reviewed_images(uow, project.id)
    return ReportView(
        project=ProjectView(
            project.id, project.name, project.classes, project.notice,
            version.hash if version else None, cases.total if cases else 0, reviewed,
        ),
        version=run_view.version_view(version) if version else None,
        generated_at=now,
        reviewers=uow.reviewers.active_in(project.id),
        cases_total=cases.total if cases else 0,
        cases_reviewed=reviewed,
        verdicts=verdicts.standing,
        correct=verdicts.correct,
        spurious=verdicts.spurious,
        unsure=verdicts.unsure,
        agree=assessments.agree,
        disagree=assessments.disagree,
        concepts=_tallies(uow, project.id, version),
        renames=_renames(uow, project.id),
        runs=tuple(run_view.build(uow, run, now) for run in uow.runs.list(project.id)),
        versions=tuple(run_view.version_view(v) for v in uow.versions.list(project.id)),
    )  # fmt: skip


def _reviewed_images(uow: UnitOfWork, project_id: str) -> int:
    """Images that anyone judged under any version: a new version does not undo a review."""
    judged = {row.case_id for row in uow.verdicts.standing_of_project(project_id)}
    judged |= {
        row.case_id
        for row in uow.assessments.standing_of_project(project_id)
        if row.agree is not None or row.corrected_label or row.comment or row.ratings
    }
    return len({uow.cases.get(case_id).image_id for case_id in judged})


def _tallies(
    uow: UnitOfWork, project_id: str, version: VersionRecord | None
) -> tuple[ConceptTally, ...]:
    if version is None:
        return ()
    return tuple(
        ConceptTally(
            t.number, t.name or f"concept {t.number}", t.correct, t.spurious, t.unsure,
            t.mean_causal_effect,
        )
        for t in uow.concepts.tallies(project_id, version.dictionary_hash)
    )  # fmt: skip


def _renames(uow: UnitOfWork, project_id: str) -> tuple[tuple[str, NameEvent], ...]:
    return tuple(
        (r.former or f"concept {r.number}", name_event(r.event))
        for r in uow.concepts.renames(project_id)
        if r.event.source == "person"
    )


def _spurious_cues(uow: UnitOfWork, project_id: str) -> list[tuple[CueRecord, CaseRecord, int]]:
    """The cues that most reviewers call spurious, then by |causal effect|; one image each."""
    votes: dict[str, list[VerdictRecord]] = {}
    for row in uow.verdicts.standing_of_project(project_id):
        if row.value == "spurious":
            votes.setdefault(row.cue_id, []).append(row)
    cues = [(uow.cues.get(cue_id), len(rows)) for cue_id, rows in votes.items()]
    cues.sort(key=lambda pair: (-pair[1], -abs(pair[0].causal_effect), pair[0].id))
    chosen: dict[str, tuple[CueRecord, CaseRecord, int]] = {}
    for cue, count in cues:
        if len(chosen) == PICTURES:
            break
        chosen.setdefault(cue.case_id, (cue, uow.cases.get(cue.case_id), count))
    return list(chosen.values())


def _picture(root: Path, cue: CueRecord, case: CaseRecord, spurious: int) -> Picture | None:
    """The drawn cue; None where its image has gone or was damaged since."""
    from core.images import thumbnail

    try:
        small = thumbnail(read_verified(root, case.image), PICTURE_SIDE)
    except InputError:
        return None
    drawn = overlay(small, cue.map_u8, cue.region_bits, (cue.grid_rows, cue.grid_cols))
    return Picture(
        src=data_uri(drawn),
        alt=f"{case.image.relpath} with the region of {cue.shown_name!r} highlighted",
        width=drawn.shape[1],
        height=drawn.shape[0],
        name=cue.shown_name,
        image_name=case.image.relpath,
        prediction=case.prediction,
        label=case.image.label,
        causal_effect=cue.causal_effect,
        spurious=spurious,
    )


def _provenance(report: ReportView, version: VersionRecord | None) -> Sequence[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    if version is not None:
        rows += [
            ("Model version", version.hash),
            ("Dictionary", version.dictionary_hash),
            ("Encoder", f"{version.encoder_spec} ({version.encoder_hash})"),
            ("Code version", version.code_version),
        ]
    rows += [
        (f"Feedback snapshot of run {run.id}", run.snapshot_hash)
        for run in report.runs
        if run.snapshot_hash is not None
    ]
    return rows


def _verdict_dict(row: VerdictExport, notice: str | None) -> dict[str, Any]:
    body = {**asdict(row), "created_at": row.created_at.isoformat()}
    return body if notice is None else {**body, "notice": notice}


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a report")
