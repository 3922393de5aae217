"""Which files that left the app hold a version or a case."""

from __future__ import annotations

from core.errors import InsightError
from dashboard.services.report_scope import ReportScope, resolve
from dashboard.services.trace_nodes import cut, export
from dashboard.viewmodels.trace import TraceNode
from db.errors import StoreError
from db.governance_records import ExportRecord
from db.records import CaseRecord, VersionRecord
from db.unit_of_work import UnitOfWork

LOOKED_AT = 500  # the newest exports of a project
RESOLVED = 20  # of those, whose selection is looked up again for one case
LISTED = 12


def of_version(uow: UnitOfWork, made: VersionRecord) -> tuple[tuple[TraceNode, ...], int]:
    """The files about a version, newest first, and how many are left out."""
    rows = uow.exports.list(made.project_id, limit=LOOKED_AT)
    return cut([export(row) for row in rows if _about(row, made.hash)], LISTED)


def of_case(uow: UnitOfWork, case: CaseRecord) -> tuple[tuple[TraceNode, ...], int]:
    """The files that hold a case, by the selection that each was made with."""
    found, looked = [], 0
    for row in uow.exports.list(case.project_id, limit=LOOKED_AT):
        only = row.scope.get("case_id")
        if only is not None:
            if only == case.id:
                found.append(export(row))
            continue
        if row.kind == "card":
            continue
        looked += 1
        if looked <= RESOLVED and _holds(uow, row, case.id):
            found.append(export(row))
    return cut(found, LISTED)


def _about(row: ExportRecord, version_hash: str) -> bool:
    asked = str(row.scope.get("version") or "")
    return row.version_hash == version_hash or (asked != "" and version_hash.startswith(asked))


def _holds(uow: UnitOfWork, row: ExportRecord, case_id: str) -> bool:
    """Whether the selection, looked up today, holds the case."""
    known = {
        name: row.scope[name] for name in ReportScope.__dataclass_fields__ if name in row.scope
    }
    try:
        return case_id in resolve(uow, row.project_id, ReportScope.parse(known)).case_ids(uow)
    except (InsightError, StoreError):
        return False  # a class or a person of then that is not there any more
