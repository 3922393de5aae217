"""What a model version was made from, as the store has it now, and what of it has changed.

Nothing here computes a model: manifests, hashes of files, rows of the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from core.errors import BundleError, InputError
from core.manifest import Manifest, canonical_hash, read_manifest
from dashboard.services import feedback
from dashboard.services.compared import ancestors
from dashboard.services.progress import Progress, silent
from dashboard.viewmodels.reproduce import Difference, SoftwareRow
from db.errors import NotFound
from db.feedback_records import RunRecord, SnapshotRecord
from db.records import ImageRecord, ProjectRecord, VersionRecord
from db.unit_of_work import UnitOfWork

NAMED = 20  # files that are named one by one
PUBLISHED = "version.publish"


@dataclass(frozen=True)
class Source:
    """All that the store knows of how a version came to be."""

    project: ProjectRecord
    version: VersionRecord
    manifest: Manifest
    parents: tuple[VersionRecord, ...]  # nearest first
    run: RunRecord | None
    snapshot: SnapshotRecord | None
    images: tuple[ImageRecord, ...]  # those that were there when the version was made, by path
    software: dict[str, str] | None  # None: was not written down


def load(uow: UnitOfWork, version: VersionRecord) -> Source:
    """Read everything. Raises BundleError where the manifest is missing or was altered."""
    manifest = read_manifest(Path(version.folder))
    if manifest.version_hash != version.hash:
        raise BundleError("manifest.json", f"is of another version ({manifest.version_hash[:12]})")
    run = _run(uow, version)
    snapshot = None
    if manifest.snapshot_hash is not None:
        snapshot = uow.snapshots.by_hash(version.project_id, manifest.snapshot_hash)
    images = uow.images.list(version.project_id)
    return Source(
        project=uow.projects.get(version.project_id),
        version=version,
        manifest=manifest,
        parents=ancestors(uow, version),
        run=run,
        snapshot=snapshot,
        images=images,
        software=_software(uow, version),
    )


def candidates(source: Source) -> Iterator[Source]:
    """The source with the images that may have been there, the likeliest first.

    Images that were ingested later are no part of the version. Which images a run met is certain
    only by the hash of its data.
    """
    started = source.run.started_at if source.run else None
    times = [at for at in (started, source.version.created_at) if at is not None]
    seen: set[int] = set()
    for at in (*times, None):
        images = source.images if at is None else _until(source.images, at)
        if images and len(images) not in seen:
            seen.add(len(images))
            yield replace(source, images=images)


def discovered_data(source: Source) -> str:
    """The data hash of a discovery on these images, as core.discovery reckons it."""
    from core.splits import resolve_splits

    shares = source.manifest.config.get("shares", (0.15, 0.15))
    cases = sorted(source.images, key=lambda image: image.sha256)
    present = {image.label for image in cases}
    classes = [name for name in source.project.classes if name in present]
    number = {name: index for index, name in enumerate(classes)}
    labels = [None if i.label is None else number.get(i.label) for i in cases]
    drawn = resolve_splits(
        labels, [image.split for image in cases], source.manifest.seed, tuple(shares)
    )
    rows = zip(cases, labels, drawn, strict=True)
    return canonical_hash(
        sorted([i.sha256, repr(k), split, i.group_name or ""] for i, k, split in rows)
    )


def changed_images(source: Source, progress: Progress = silent) -> list[Difference]:
    """Files that are gone or are no longer those that were ingested, by SHA-256."""
    from core.images import safe_join

    root, found = Path(source.project.root), []
    for at, image in enumerate(source.images):
        if at % 64 == 0:
            progress(at / len(source.images), "checking the images")
        try:
            digest = file_hash(safe_join(root, image.relpath))
        except InputError as error:
            found.append(f"{image.relpath}: {error.reason}")
            continue
        if digest is None:
            found.append(f"{image.relpath}: the file has gone (sha256 {image.sha256[:12]})")
        elif digest != image.sha256:
            found.append(
                f"{image.relpath}: its content changed (sha256 {digest[:12]} instead of "
                f"{image.sha256[:12]})"
            )
    return named("images", found, "images")


def named(topic: str, found: Sequence[str], what: str) -> list[Difference]:
    """The first ones one by one, the rest as a number."""
    rows = [Difference(topic, text, True) for text in found[:NAMED]]  # type: ignore[arg-type]
    if len(found) > NAMED:
        rows.append(Difference(topic, f"and {len(found) - NAMED} more {what}", True))  # type: ignore[arg-type]
    return rows


def stored_hashes(version: VersionRecord, manifest: Manifest) -> dict[str, str | None]:
    """Name -> SHA-256 of every file that the manifest lists, as it lies there now."""
    return {name: file_hash(Path(version.folder) / name) for name in sorted(manifest.files)}


def altered_files(version: VersionRecord, manifest: Manifest) -> list[str]:
    """One sentence per file of a version that is missing or not the recorded one."""
    found = []
    for name, digest in stored_hashes(version, manifest).items():
        if digest is None:
            found.append(f"{name} of version {version.hash[:12]} is missing")
        elif digest != manifest.files[name]:
            found.append(
                f"{name} of version {version.hash[:12]} was altered (sha256 {digest[:12]} instead "
                f"of {manifest.files[name][:12]})"
            )
    return found


def snapshot_differences(source: Source) -> list[Difference]:
    """Whether the frozen verdicts are still the ones that the version was made with."""
    snapshot = source.snapshot
    if snapshot is None:
        return []
    actual = feedback.payload_hash(snapshot.payload)
    if actual == snapshot.hash:
        return []
    text = (
        f"snapshot {snapshot.hash[:12]} was altered in the store: its content has the hash "
        f"{actual[:12]}"
    )
    return [Difference("snapshot", text, True)]


def software_rows(then: dict[str, str] | None, now: dict[str, str]) -> tuple[SoftwareRow, ...]:
    """Every piece by name, then and now."""
    return tuple(
        SoftwareRow(name, None if then is None else then.get(name), value)
        for name, value in now.items()
    )


def file_hash(path: Path) -> str | None:
    """SHA-256 (hex) of a file; None where it cannot be read."""
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError:
        return None


def _until(images: Sequence[ImageRecord], at: datetime) -> tuple[ImageRecord, ...]:
    return tuple(image for image in images if image.created_at <= at)


def _run(uow: UnitOfWork, version: VersionRecord) -> RunRecord | None:
    try:
        return uow.runs.get(version.run_id) if version.run_id else None
    except NotFound:
        return None


def _software(uow: UnitOfWork, version: VersionRecord) -> dict[str, str] | None:
    """What the audit log says of the process that published the version."""
    lines = uow.audit.list(entity="version", entity_id=version.id, limit=200)
    first = next((line for line in reversed(lines) if line.action == PUBLISHED), None)
    found = None if first is None else first.detail.get("software")
    if not isinstance(found, dict):
        return None
    return {str(name): str(value) for name, value in found.items()}
