"""Whole projects out of a workspace and into another one, on any database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dashboard.services.archive_in import (
    Layout,
    Manifest,
    at_home,
    lay_files,
    read_manifest,
    verify,
    write_rows,
)
from dashboard.services.archive_out import pack
from dashboard.services.archive_zip import Packer, Unpacker
from dashboard.services.exported import PROGRAM, record_export
from dashboard.services.made import MadeFile, whole_file
from dashboard.services.names import clean_name
from dashboard.services.progress import Progress, part, silent
from dashboard.services.settings_of import require
from dashboard.settings import Settings
from db.governance_records import ExportRecord
from db.records import ReviewerRecord, new_id
from db.unit_of_work import UnitOfWorkFactory

FORMAT = "archive"
SUFFIX = ".insight.zip"


@dataclass(frozen=True)
class Packed:
    """An archive that was written."""

    file: MadeFile
    notices: tuple[str, ...]  # what could not be taken along


@dataclass(frozen=True)
class Unpacked:
    """A project that was taken in."""

    project_id: str
    project: str
    rows: int
    renamed: tuple[tuple[str, str], ...]  # person's id, name here: theirs was somebody else's
    with_images: bool
    notices: tuple[str, ...]  # what was missing in the archive


class ArchiveService:
    """Writes, checks and reads project archives (see archive_out for what is in one)."""

    def __init__(self, uow: UnitOfWorkFactory, settings: Settings) -> None:
        self._uow = uow
        self._settings = settings

    def write(
        self, project: str, target: Path, person: ReviewerRecord | None = None, *,
        with_images: bool = False, progress: Progress = silent,
    ) -> MadeFile:  # fmt: skip
        """Make the archive of a project; see `packed` for what it could not take along."""
        found = self.packed(project, target, person, with_images=with_images, progress=progress)
        return found.file

    def packed(
        self, project_id: str, target: Path, person: ReviewerRecord | None = None, *,
        with_images: bool = False, progress: Progress = silent,
    ) -> Packed:  # fmt: skip
        """The same. Everything is of one moment; the file is there whole or not at all.

        Args:
            person: who asks; must be a lead, because an archive holds what everybody said. None
                is the program itself.

        Raises Forbidden, NotFound for an unknown project, InputError where the file cannot be
        written.
        """
        with (
            whole_file(target) as draft,
            self._uow(read_only=True) as uow,
            Packer(draft) as packer,
        ):
            uow.archive.freeze()
            project = uow.projects.find(project_id)
            if person is not None:
                require(uow, project.id, person.id, "lead")
            notices = pack(
                uow, packer, self._settings, project, with_images=with_images, progress=progress
            )
        progress(1.0, "done")
        return Packed(MadeFile.of(target, FORMAT), notices)

    def record(
        self, project_id: str, made: MadeFile, person: ReviewerRecord | None, *,
        with_images: bool = False,
    ) -> ExportRecord:  # fmt: skip
        """Write down that an archive left the app."""
        with self._uow() as uow:
            project = uow.projects.find(project_id)
            active = uow.versions.active(project.id)
            kept = record_export(
                uow, export_id=new_id(), project_id=project.id, person=person, kind="archive",
                format=FORMAT, scope={"with_images": with_images}, content=made.path,
                version_hash=active.hash if active else None,
            )  # fmt: skip
            uow.commit()
        return kept

    def check(self, file: Path, progress: Progress = silent) -> Manifest:
        """Verify an archive without taking it in. Raises InputError naming what is wrong."""
        with Unpacker(file) as packed:
            manifest = read_manifest(packed)
            verify(packed, manifest, progress)
        return manifest

    def read(
        self, file: Path, *, name: str | None = None, images: Path | None = None,
        person: ReviewerRecord | None = None, progress: Progress = silent,
    ) -> Unpacked:  # fmt: skip
        """Take a project in: all of it, or nothing.

        Args:
            name: the project's name here; None keeps its own.
            images: folder of its images, where the archive does not hold them.
            person: who does it, for the audit log.

        Raises InputError, naming the member, for an archive that is damaged, altered, of another
        release or dangerous; Conflict where the project, or one of that name, is here already.
        """
        with Unpacker(file) as packed:
            manifest = read_manifest(packed)
            chosen = manifest.project if name is None else clean_name(name, "the project's name")
            with self._uow(read_only=True) as uow:
                uow.archive.refuse_known(manifest.project_id, chosen)
            verify(packed, manifest, part(progress, 0.0, 0.2))
            layout = Layout(self._settings, manifest.project_id)
            try:
                lay_files(packed, manifest, layout, part(progress, 0.2, 0.4))
                renamed = self._take(packed, manifest, layout, chosen, images, person,
                                     part(progress, 0.4, 1.0))  # fmt: skip
            finally:
                layout.clear()
        return Unpacked(
            manifest.project_id, chosen, sum(manifest.rows.values()), tuple(renamed.items()),
            manifest.with_images, manifest.left_out,
        )  # fmt: skip

    def _take(
        self, packed: Unpacker, manifest: Manifest, layout: Layout, name: str,
        images: Path | None, person: ReviewerRecord | None, progress: Progress,
    ) -> dict[str, str]:  # fmt: skip
        root = None if images is None else images.expanduser().absolute()
        local = at_home(self._settings, manifest, name, root if not manifest.with_images else None)
        try:
            with self._uow() as uow:
                uow.archive.refuse_known(manifest.project_id, name)
                renamed = write_rows(uow, packed, manifest, local, progress)
                uow.audit.append(
                    actor=PROGRAM if person is None else person.name,
                    action="archive.imported",
                    entity="project",
                    entity_id=manifest.project_id,
                    detail={"archive": packed.file, "rows": sum(manifest.rows.values())},
                )
                layout.place()
                uow.commit()
        except BaseException:
            layout.undo()
            raise
        return renamed
