"""A project as one file: its rows, model versions, tuned encoders and, if asked, its images.

manifest.json            what the archive is, and the hash of every other member
tables/NAME.jsonl        the rows of a table, one JSON object a line (see db.archive)
versions/HASH/...        model versions, as they lie in the workspace: safetensors and JSON
encoders/HASH/...        encoders that runs have tuned
images/SHA256.SUFFIX     images, with tables/files.jsonl that says where each belongs
masks/SHA256.SUFFIX      their masks

The bytes depend on the project alone: no times, no paths of the machine, no counters of its
database. The same project gives the same archive from every store.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any, Final

from core.errors import InputError
from core.files import file_blocks
from core.images import safe_join
from dashboard.services.archive_zip import Packer
from dashboard.services.made import sha256_of
from dashboard.services.progress import Progress, part
from dashboard.settings import Settings
from db.archive import TABLES
from db.migrate import head
from db.records import ProjectRecord, VersionRecord
from db.unit_of_work import UnitOfWork

FORMAT: Final = "insight-archive"
FORMAT_VERSION: Final = 1
MANIFEST: Final = "manifest.json"
FILES: Final = "tables/files.jsonl"
CHAIN: Final = "tables/chain.jsonl"
ALLOWED: Final = (".json", ".safetensors", ".txt", ".md")  # in versions/ and encoders/


def pack(
    uow: UnitOfWork, pack: Packer, settings: Settings, project: ProjectRecord, *,
    with_images: bool, progress: Progress,
) -> tuple[str, ...]:  # fmt: skip
    """Write everything of a project; returns what could not be taken along, in sentences."""
    rows = _tables(uow, pack, project.id, part(progress, 0.0, 0.6))
    versions = uow.versions.list(project.id)
    notices = _versions(pack, versions)
    notices += _encoders(pack, settings, versions)
    if with_images:
        notices += _images(uow, pack, project, part(progress, 0.7, 1.0))
    end = uow.chain.head(project.id)
    pack.add_json(MANIFEST, {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "schema": head(),
        "project": {"id": project.id, "name": project.name},
        "events": uow.archive.events(project.id),
        "rows": rows,
        "with_images": with_images,
        "left_out": notices,
        "chain_head": end.hash if end else None,
        "members": {each.name: {"sha256": each.sha256, "size": each.size} for each in pack.members},
    })  # fmt: skip
    return tuple(notices)


def jsonl(rows: Iterable[dict[str, Any]], count: list[int]) -> Iterator[bytes]:
    """Rows as lines of JSON with sorted keys; `count` is added to."""
    for row in rows:
        count[0] += 1
        yield (
            json.dumps(
                row, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
            ).encode("utf-8")
            + b"\n"
        )


def without_places(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row without paths of this machine: an import sets its own."""
    if table == "projects":
        return row | {"root": ""}
    if table == "model_versions":
        return row | {"folder": row["hash"]}
    return row


def _tables(uow: UnitOfWork, pack: Packer, project_id: str, progress: Progress) -> dict[str, int]:
    counts: dict[str, int] = {}
    for at, table in enumerate(TABLES):
        progress(at / len(TABLES), f"packing {table.replace('_', ' ')}")
        count = [0]
        rows = (without_places(table, row) for row in uow.archive.read(project_id, table))
        pack.add(f"tables/{table}.jsonl", jsonl(rows, count))
        counts[table] = count[0]
    count = [0]
    pack.add(CHAIN, jsonl(map(_plain_entry, uow.chain.read(project_id)), count))
    return counts | {"chain": count[0]}


def _plain_entry(entry: Any) -> dict[str, Any]:
    row = asdict(entry)
    return row | {"at": row["at"].isoformat()}


def _versions(pack: Packer, versions: Iterable[VersionRecord]) -> list[str]:
    notices = []
    for version in sorted(versions, key=lambda each: each.hash):
        folder = Path(version.folder)
        if not _add_folder(pack, f"versions/{version.hash}", folder):
            notices.append(f"the files of version {version.hash[:12]} are not in this workspace")
    return notices


def _encoders(pack: Packer, settings: Settings, versions: Iterable[VersionRecord]) -> list[str]:
    """The tuned encoders that the versions need."""
    from core.encoders.spec import split_spec

    notices = []
    for base in sorted({split_spec(version.encoder_spec)[0] for version in versions}):
        folder = settings.tuned_folder(base)
        if folder is not None and not _add_folder(pack, f"encoders/{folder.name}", folder):
            notices.append(f"the tuned encoder {folder.name} is not in this workspace")
    return notices


def _add_folder(pack: Packer, name: str, folder: Path) -> bool:
    """Whether there was such a folder."""
    if not folder.is_dir():
        return False
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in ALLOWED:
            pack.add(f"{name}/{path.name}", file_blocks(path))
    return True


def _images(uow: UnitOfWork, pack: Packer, project: ProjectRecord, progress: Progress) -> list[str]:
    """Images as they were ingested, and their masks; what has changed or gone is named."""
    root, notices, listing = Path(project.root), [], []
    packed: dict[str, str] = {}
    rows = uow.archive.read(project.id, "images")
    total = max(1, uow.images.counts(project.id).total)
    for at, row in enumerate(rows):
        progress(at / total, "packing images")
        wanted = [("images", row["relpath"], row["sha256"]), ("masks", row["mask_path"], None)]
        for kind, relative, expected in wanted:
            if relative is None:
                continue
            try:
                member = _add_file(pack, packed, kind, root, relative, expected)
            except InputError as error:
                notices.append(f"{error.file}: {error.reason}")
                continue
            listing.append({"member": member, "path": relative})
    pack.add(FILES, jsonl(listing, [0]))
    return sorted(notices)


def _add_file(
    pack: Packer, packed: dict[str, str], kind: str, root: Path, relative: str, sha: str | None
) -> str:
    path = safe_join(root, relative)
    found = None
    with suppress(OSError):
        found = sha256_of(path) if path.is_file() else None
    if found is None:
        raise InputError(relative, "cannot be read and is left out")
    if sha is not None and found != sha:
        raise InputError(relative, "changed since it was ingested and is left out")
    suffix = PurePosixPath(relative).suffix.lower()
    member = f"{kind}/{found}{suffix if suffix[1:].isalnum() and suffix.isascii() else ''}"
    if member not in packed:
        pack.add(member, file_blocks(path), squeeze=False)
        packed[member] = relative
    return member
