"""An archive taken apart: everything checked first, then all of it or nothing.

Rows go in within one transaction, files are laid beside their place and moved there just before
it is made durable. An archive is untrusted: nothing in it is run or unpickled, no member can leave
its folder, no row can refer to another project.
"""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from core.errors import InputError
from core.images import safe_join
from dashboard.services.archive_out import (
    ALLOWED,
    CHAIN,
    FILES,
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
)
from dashboard.services.archive_zip import Unpacker, parsed
from dashboard.services.names import clean_name
from dashboard.services.progress import Progress
from dashboard.settings import Settings
from db.archive import PEOPLE, TABLES
from db.chain_records import ChainEntryRecord
from db.errors import StoreError
from db.migrate import head
from db.repositories.base import checked_id
from db.unit_of_work import UnitOfWork

_HASH: Final = re.compile(r"[0-9a-z]{16,128}")
_OPEN: Final = ("queued", "running")  # runs that nobody works on in the new workspace
MOST_EVENTS: Final = 50_000_000
Localise = Callable[[str, dict[str, Any]], dict[str, Any]]  # table, row -> the row as it is here


@dataclass(frozen=True)
class Manifest:
    """What an archive says of itself, checked."""

    project_id: str
    project: str
    events: int
    rows: dict[str, int]
    with_images: bool
    left_out: tuple[str, ...]
    chain_head: str | None  # hash
    members: dict[str, str]  # name -> sha256


@dataclass
class Layout:
    """Where files of an archive are laid, and where they belong; `undo` takes them away again."""

    settings: Settings
    project_id: str
    moves: list[tuple[Path, Path]] = field(default_factory=list)
    placed: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        name = f".import-{uuid.uuid4().hex}"
        self.draft = self.settings.workspace / "projects" / name
        self.encoders = self.settings.encoders_folder / name

    def place(self) -> None:
        """Move everything into its place; what an import that was cut off left there makes way."""
        for draft, target in self.moves:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                if target.parent == self.settings.encoders_folder:
                    continue  # named by what it holds
                shutil.rmtree(target)
            draft.rename(target)
            self.placed.append(target)

    def undo(self) -> None:
        """Remove what was placed."""
        for target in self.placed:
            shutil.rmtree(target, ignore_errors=True)

    def clear(self) -> None:
        """Remove what was laid and not placed."""
        shutil.rmtree(self.draft, ignore_errors=True)
        shutil.rmtree(self.encoders, ignore_errors=True)


def read_manifest(pack: Unpacker) -> Manifest:
    """The manifest. Raises InputError, naming what is wrong with it."""
    raw = pack.json(MANIFEST)
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise InputError(pack.file, f"{MANIFEST} is not that of a project archive")
    if raw.get("format_version") != FORMAT_VERSION:
        raise InputError(pack.file, f"is of format version {raw.get('format_version')!r}: this "
                         f"program reads version {FORMAT_VERSION}")  # fmt: skip
    if raw.get("schema") != head():
        raise InputError(
            pack.file,
            f"holds tables of schema {raw.get('schema')!r}, this program has {head()!r}: "
            "use the release that made it",
        )
    try:
        members = {str(k): str(v["sha256"]) for k, v in raw["members"].items()}
        rows = {str(k): int(v) for k, v in raw["rows"].items()}
        found = Manifest(
            project_id=checked_id(raw["project"]["id"]),
            project=clean_name(raw["project"]["name"], "the project's name"),
            events=int(raw["events"]),
            rows=rows,
            with_images=bool(raw["with_images"]),
            left_out=tuple(map(str, raw["left_out"])),
            chain_head=None if raw["chain_head"] is None else str(raw["chain_head"]),
            members=members,
        )
    except (KeyError, TypeError, ValueError, AttributeError, StoreError):
        raise InputError(pack.file, f"{MANIFEST} lacks a field or holds a wrong one") from None
    if not 0 <= found.events <= MOST_EVENTS or set(rows) != {*TABLES, "chain"}:
        raise InputError(pack.file, f"{MANIFEST} names other tables than this program has")
    return found


def verify(pack: Unpacker, manifest: Manifest, progress: Progress) -> None:
    """Every member is there and has the hash that the manifest tells; there is no other one.

    Raises InputError naming the first that differs.
    """
    needed = {f"tables/{table}.jsonl" for table in TABLES} | {CHAIN}
    for name in sorted(needed - set(manifest.members)):
        raise InputError(pack.file, f"{MANIFEST} does not name {name}")
    for name in sorted(set(pack.names) - set(manifest.members) - {MANIFEST}):
        raise InputError(pack.file, f"{name} is not named in {MANIFEST}")
    total = max(1, len(manifest.members))
    for at, (name, sha) in enumerate(sorted(manifest.members.items())):
        progress(at / total, "checking the archive")
        if pack.sha256(name) != sha:
            raise InputError(pack.file, f"{name} was altered: its hash is not the manifest's")


def lay_files(pack: Unpacker, manifest: Manifest, layout: Layout, progress: Progress) -> None:
    """Unpack versions, encoders and images beside their places; versions are verified whole."""
    total = max(1, len(manifest.members))
    for at, name in enumerate(sorted(manifest.members)):
        progress(at / total, "unpacking files")
        kind, _, rest = name.partition("/")
        if kind == "versions":
            pack.extract(name, layout.draft / "versions" / _within(pack, name, rest))
        elif kind == "encoders":
            pack.extract(name, layout.encoders / _within(pack, name, rest))
    _lay_images(pack, manifest, layout.draft / "images")
    _verify_versions(pack, layout.draft / "versions")
    if layout.draft.is_dir():
        layout.moves.append((layout.draft, layout.settings.project_folder(layout.project_id)))
    if layout.encoders.is_dir():
        layout.moves += [
            (folder, layout.settings.encoders_folder / folder.name)
            for folder in sorted(layout.encoders.iterdir())
        ]


def write_rows(
    uow: UnitOfWork, pack: Unpacker, manifest: Manifest, local: Localise, progress: Progress
) -> dict[str, str]:
    """Insert every row, then the chain over them; returns whoever got another name (id -> name).

    Args:
        local: table, row -> the row as it is to be here.
    """
    renamed = uow.archive.meet(_rows(pack, PEOPLE))
    places = uow.archive.reserve(manifest.events)
    for at, table in enumerate(TABLES[1:], 1):
        progress(at / len(TABLES), f"taking in {table.replace('_', ' ')}")
        name = f"tables/{table}.jsonl"
        rows = (local(table, row) for row in _rows(pack, table))
        try:
            written = uow.archive.write(manifest.project_id, table, rows, places)
        except StoreError as error:
            raise InputError(pack.file, f"{name}: {error}") from error
        if written != manifest.rows[table]:
            raise InputError(pack.file, f"{name} has {written} rows, not {manifest.rows[table]}")
    progress(0.95, "checking the chain")
    try:
        uow.archive.settle(manifest.project_id)
        uow.chain.adopt(manifest.project_id, _entries(pack))
    except StoreError as error:
        raise InputError(pack.file, str(error)) from error
    _check_chain(uow, pack, manifest)
    return renamed


def _check_chain(uow: UnitOfWork, pack: Unpacker, manifest: Manifest) -> None:
    """The chain covers every row that was taken in, and ends where the manifest says."""
    report = uow.chain_check.run(manifest.project_id)
    if report.findings:
        raise InputError(pack.file, f"its audit chain is broken: {report.findings[0].sentence}")
    head = uow.chain.head(manifest.project_id)
    if manifest.chain_head != (head.hash if head else None):
        raise InputError(pack.file, f"{MANIFEST} tells another end of the audit chain")


def at_home(settings: Settings, manifest: Manifest, name: str, images: Path | None) -> Localise:
    """Rows with the paths of this workspace; runs that were under way are interrupted."""
    root = images or settings.project_folder(manifest.project_id) / "images"
    versions = settings.versions_folder(manifest.project_id)

    def local(table: str, row: dict[str, Any]) -> dict[str, Any]:
        if table == "projects":
            return row | {"root": str(root), "name": name}
        if table == "model_versions":
            return row | {"folder": str(versions / _hash(row.get("hash")))}
        if table == "runs" and row.get("state") in _OPEN:
            return row | {"state": "interrupted", "workflow_id": None}
        return row

    return local


def _rows(pack: Unpacker, table: str) -> Iterator[dict[str, Any]]:
    yield from _lines(pack, f"tables/{table}.jsonl")


def _lines(pack: Unpacker, name: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(pack.lines(name), 1):
        row = parsed(line, pack.file, f"{name} line {number}")
        if not isinstance(row, dict):
            raise InputError(pack.file, f"{name} line {number} is no object")
        yield row


def _entries(pack: Unpacker) -> Iterator[ChainEntryRecord]:
    from datetime import datetime

    for number, row in enumerate(_lines(pack, CHAIN), 1):
        try:
            yield ChainEntryRecord(**row | {"at": datetime.fromisoformat(row["at"])})
        except (KeyError, TypeError, ValueError):
            raise InputError(pack.file, f"{CHAIN} line {number} is no entry") from None


def _hash(text: Any) -> str:
    """A version's hash, which names its folder."""
    if not isinstance(text, str) or not _HASH.fullmatch(text):
        raise InputError("model_versions", f"{str(text)[:80]!r} is no hash of a version")
    return text


def _within(pack: Unpacker, name: str, rest: str) -> str:
    """HASH/FILE of a member below versions/ or encoders/."""
    parts = rest.split("/")
    if len(parts) != 2 or not _HASH.fullmatch(parts[0]) or Path(rest).suffix not in ALLOWED:
        raise InputError(pack.file, f"{name} has no place in an archive")
    return rest


def _lay_images(pack: Unpacker, manifest: Manifest, root: Path) -> None:
    if FILES not in manifest.members:
        return
    root.mkdir(parents=True, exist_ok=True)
    for row in _lines(pack, FILES):
        member, path = row.get("member"), row.get("path")
        if member not in manifest.members or not isinstance(path, str):
            raise InputError(pack.file, f"{FILES} names {str(member)[:80]!r}, which is not there")
        target = safe_join(root, path)
        if not target.exists():
            pack.extract(str(member), target)


def _verify_versions(pack: Unpacker, folder: Path) -> None:
    """Each folder is the version that its name says, whole and unaltered."""
    if not folder.is_dir():
        return
    from core.artifacts import load_bundle

    for version in sorted(folder.iterdir()):
        try:
            found = load_bundle(version).manifest.version_hash
        except InputError as error:
            where = f"versions/{version.name}/{error.file}"
            raise InputError(pack.file, f"{where}: {error.reason}") from None
        if found != version.name:
            raise InputError(pack.file, f"versions/{version.name} holds another version")
