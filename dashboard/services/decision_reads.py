"""Decisions gathered from where they are kept, and the evidence that they rest on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, assert_never

from dashboard.services import success_measures
from dashboard.services.comparing import find_version
from dashboard.services.project_settings import ProjectSettings, changed, parse
from dashboard.viewmodels.decisions import DecisionEntry, EvidenceKind, EvidenceLink, Subject
from db.desk_records import SettingsRecord
from db.errors import NotFound, StoreError
from db.governance_records import CriterionRecord, DecisionRecord
from db.records import VersionRecord
from db.run_records import VersionEventRecord
from db.unit_of_work import UnitOfWork

ALTERNATIVES: Final = "alternatives"  # kept beside the evidence
LATEST: Final = 12  # of each kind that are offered as evidence
MOST_CHANGES: Final = 4  # of one revision of the settings, told in full
_ADDRESS: Final = re.compile(r"https?://[^\s<>\"'\\]{3,400}")
ACTS: Final[Mapping[str, str]] = {
    "activate": "made active",
    "rollback": "made active again (rollback)",
    "discard": "discarded",
}


def entries(uow: UnitOfWork, project_id: str) -> tuple[DecisionEntry, ...]:
    """Every decision of a project, newest first."""
    written = uow.decisions.list(project_id)
    later = {row.supersedes: row.id for row in written if row.supersedes}
    found = [_written(row, later) for row in written]
    found += _versions(uow, project_id)
    found += _criteria(uow.criteria.history(project_id))
    found += _settings(uow.settings.history(project_id))
    return tuple(sorted(found, key=lambda each: (each.at, each.id), reverse=True))


def options(uow: UnitOfWork, project_id: str) -> tuple[EvidenceLink, ...]:
    """The latest runs, versions, criteria and exports of a project."""
    found = [_version(row) for row in uow.versions.list(project_id)[:LATEST]]
    found += [
        EvidenceLink("run", run.id, _run_label(run), "runs", (("run", run.id),))
        for run in uow.runs.list(project_id, limit=LATEST)
    ]
    found += [_criterion(row.measure) for row in uow.criteria.standing(project_id)]
    found += [
        EvidenceLink("export", row.id, _export_label(row), "report")
        for row in uow.exports.list(project_id, limit=LATEST)
    ]
    return tuple(found)


def link(uow: UnitOfWork, project_id: str, kind: str, key: str) -> tuple[EvidenceLink, ...]:
    """One piece of evidence by its kind and id; nothing where the project has no such thing."""
    try:
        return _link(uow, project_id, kind, key)
    except StoreError:  # an id that nobody knows, or none at all
        return ()


def _link(uow: UnitOfWork, project_id: str, kind: str, key: str) -> tuple[EvidenceLink, ...]:
    match kind:
        case "version":
            return (_version(find_version(uow, project_id, key)),)
        case "run":
            run = uow.runs.get(key)
            _same(project_id, run.project_id)
            return (EvidenceLink("run", run.id, _run_label(run), "runs", (("run", run.id),)),)
        case "case":
            case = uow.cases.get(key)
            _same(project_id, case.project_id)
            label = f"case {case.image.relpath}"
            return (EvidenceLink("case", case.id, label, "review", (("case", case.id),)),)
        case "export":
            row = uow.exports.get(key)
            _same(project_id, row.project_id)
            return (EvidenceLink("export", row.id, _export_label(row), "report"),)
        case "criterion":
            return (_criterion(key),) if key in success_measures.MEASURES else ()
        case "address":
            return (EvidenceLink("address", key, key),) if _ADDRESS.fullmatch(key) else ()
        case _:
            return ()


def _same(project_id: str, other: str) -> None:
    if project_id != other:
        raise NotFound("evidence of this project", other)


def _kept(raw: Mapping[str, Any]) -> EvidenceLink:
    """Evidence as it was written down; its label is that of the day."""
    kind: EvidenceKind = raw["kind"]
    key, label = str(raw["id"]), str(raw["label"])
    match kind:
        case "version":
            return EvidenceLink(kind, key, label, "versions", (("version", key),))
        case "run":
            return EvidenceLink(kind, key, label, "runs", (("run", key),))
        case "case":
            return EvidenceLink(kind, key, label, "review", (("case", key),))
        case "criterion":
            return EvidenceLink(kind, key, label, "home")
        case "export":
            return EvidenceLink(kind, key, label, "report")
        case "address":
            return EvidenceLink(kind, key, label)
        case _:
            assert_never(kind)


def _version(version: VersionRecord) -> EvidenceLink:
    label = f"version {version.hash[:10]} ({version.kind}, {version.state})"
    return EvidenceLink("version", version.id, label, "versions", (("version", version.id),))


def _criterion(measure: str) -> EvidenceLink:
    label = success_measures.MEASURES[measure].label if measure in success_measures.MEASURES else ""
    return EvidenceLink("criterion", measure, f"criterion {label or measure}", "home")


def _run_label(run: Any) -> str:
    what = str(run.config.get("task") or run.kind)
    return f"{what} run of {run.created_at:%d %b %Y, %H:%M} UTC ({run.state})"


def _export_label(row: Any) -> str:
    return f"{row.kind} as {row.format} of {row.created_at:%d %b %Y, %H:%M} UTC, {row.sha256[:10]}"


def _written(row: DecisionRecord, later: Mapping[str, str]) -> DecisionEntry:
    others = next((e["text"] for e in row.evidence if e.get("kind") == ALTERNATIVES), "")
    links = tuple(_kept(each) for each in row.evidence if each.get("kind") != ALTERNATIVES)
    return DecisionEntry(
        row.id, "written", row.subject, row.subject_id, row.title, row.choice, row.reason, links,
        row.reviewer, row.created_at, row.supersedes, later.get(row.id), str(others),
    )  # fmt: skip


def _versions(uow: UnitOfWork, project_id: str) -> list[DecisionEntry]:
    events = uow.version_events.of_project(project_id)
    ids = {e.version_id for e in events} | {e.former_id for e in events if e.former_id}
    versions = uow.versions.by_ids(ids)
    return [_version_event(each, versions) for each in events]


def _version_event(
    event: VersionEventRecord, versions: Mapping[str, VersionRecord]
) -> DecisionEntry:
    version, former = versions[event.version_id], versions.get(event.former_id or "")
    instead = f" instead of {former.hash[:10]}" if former is not None else ""
    if event.kind == "discard":
        instead = ""
    links = [_version(version)]
    if event.run_id is not None:
        query = (("run", event.run_id),)
        links.append(EvidenceLink("run", event.run_id, "the run that made it", "runs", query))
    return DecisionEntry(
        event.id, "version", "version", version.id, f"Version {version.hash[:10]}",
        f"{ACTS[event.kind]}{instead}", event.reason, tuple(links), event.reviewer,
        event.created_at,
    )  # fmt: skip


def _criteria(history: tuple[CriterionRecord, ...]) -> list[DecisionEntry]:
    found, before = [], dict[str, str]()
    for row in history:
        measure = success_measures.MEASURES.get(row.measure)
        label, unit = (measure.label, measure.unit) if measure else (row.measure, "score")
        said = success_measures.text(label, unit, row.comparator, row.threshold)
        was = f" (before: {before[row.measure]})" if row.measure in before else ""
        before[row.measure] = said
        found.append(
            DecisionEntry(
                row.id, "criterion", "criterion", row.measure, f"Criterion {label}",
                f"{said}{was}", row.reason, (_criterion(row.measure),), row.reviewer,
                row.created_at,
            )
        )  # fmt: skip
    return found


def _settings(history: tuple[SettingsRecord, ...]) -> list[DecisionEntry]:
    found, before = [], ProjectSettings()
    subject: Subject = "threshold"
    for row in history:
        now = parse(row.settings)
        names = changed(before, now)
        old, new = before.as_json(), now.as_json()
        told = [f"{name}: {_short(old[name])} → {_short(new[name])}" for name in names]
        rest = len(told) - MOST_CHANGES
        more = f"; and {rest} more" if rest > 0 else ""
        found.append(
            DecisionEntry(
                row.id, "settings", subject, None, f"Rules of review, revision {row.revision}",
                "; ".join(told[:MOST_CHANGES]) + more or "nothing changed", "", (), row.reviewer,
                row.created_at,
            )
        )  # fmt: skip
        before = now
    return found


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
