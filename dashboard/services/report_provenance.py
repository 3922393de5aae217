"""Where a report's figures come from: images, model, feedback, software, store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from dashboard.services.report_scope import Resolved
from dashboard.services.report_words import many
from dashboard.viewmodels.report_content import ProvenanceRow
from db.records import VersionRecord
from db.unit_of_work import UnitOfWork

PUBLISHED = "version.publish"  # of the audit row that tells what a version was made with
NONE = "none"


def image_set_hash(uow: UnitOfWork, project_id: str) -> tuple[str, int]:
    """SHA-256 over the sorted hashes of a project's image files, one a line; and how many."""
    hashes = uow.report.image_hashes(project_id)
    body = "".join(f"{each}\n" for each in hashes).encode("ascii")
    return hashlib.sha256(body).hexdigest(), len(hashes)


def provenance(uow: UnitOfWork, found: Resolved) -> tuple[ProvenanceRow, ...]:
    """Everything that another person needs to find the same figures again."""
    images, n = image_set_hash(uow, found.project.id)
    rows = [
        ProvenanceRow("Images", "Image set", f"{images} ({many(n, 'file')})"),
        *_model(uow, found.version),
        *_snapshots(uow, found),
        *_software(),
        *_store(uow, found.project.id),
    ]
    return tuple(rows)


def _model(uow: UnitOfWork, version: VersionRecord | None) -> Iterable[ProvenanceRow]:
    if version is None:
        yield ProvenanceRow("Model", "Version", NONE)
        return
    yield ProvenanceRow("Model", "Version", version.hash)
    yield ProvenanceRow("Model", "Parent", version.parent_hash or NONE)
    yield ProvenanceRow("Model", "Made by", f"{version.kind}, seed {version.seed}")
    yield ProvenanceRow("Model", "Dictionary", version.dictionary_hash)
    yield ProvenanceRow("Model", "Encoder", f"{version.encoder_spec} ({version.encoder_hash})")
    yield ProvenanceRow("Model", "Code", version.code_version)
    for name, value in _made_with(uow, version).items():
        yield ProvenanceRow("Model", f"Made with {name}", str(value))


def _made_with(uow: UnitOfWork, version: VersionRecord) -> Mapping[str, object]:
    """Software of the machine that made a version, where that was written down."""
    for line in uow.audit.list(entity="version", entity_id=version.id, limit=100):
        if line.action == PUBLISHED and isinstance(line.detail.get("software"), dict):
            return dict(line.detail["software"])
    return {}


def _snapshots(uow: UnitOfWork, found: Resolved) -> Iterable[ProvenanceRow]:
    """The feedback that went into the version and the versions it comes from."""
    from dashboard.services.compared import ancestors

    if found.version is None:
        return
    line = (found.version, *ancestors(uow, found.version))
    heads = uow.report.snapshot_heads(v.snapshot_id for v in line if v.snapshot_id)
    for version in line:
        head = heads.get(version.snapshot_id or "")
        if head is not None:
            yield ProvenanceRow(
                "Feedback",
                f"Snapshot of version {version.hash[:12]}",
                f"{head.hash} ({many(head.verdicts, 'verdict')})",
            )
    if not heads:
        yield ProvenanceRow("Feedback", "Snapshots", "none: the version learnt from no verdict")


def _software() -> Iterable[ProvenanceRow]:
    from core.artifacts import code_version
    from dashboard.services.surroundings import surroundings

    yield ProvenanceRow("Software", "Insight Review", code_version())
    for name, value in surroundings().items():
        yield ProvenanceRow("Software", name, value)


def _store(uow: UnitOfWork, project_id: str) -> Iterable[ProvenanceRow]:
    yield ProvenanceRow("Store", "Schema", uow.report.schema_revision() or NONE)
    head = uow.chain.head(project_id)
    if head is not None:
        yield ProvenanceRow("Store", "Audit chain", f"{head.hash} (entry {head.place})")
