"""Check a workspace from end to end: what is wrong, and how to mend it."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from core.errors import InputError, InsightError
from core.files import sha256_file
from core.images import safe_join
from dashboard.services import heartbeat
from dashboard.services.engines import Engines
from dashboard.settings import Settings
from db.errors import StoreError
from db.migrate import current, head
from db.records import ImageRecord, ProjectRecord
from db.unit_of_work import UnitOfWorkFactory

PACKAGES = ("torch", "open_clip_torch", "streamlit", "dbos", "sqlalchemy", "pillow")
LOW_DISK = 2_000_000_000  # bytes
SAMPLE = 200  # images whose content is checked, evenly spread; all are checked for presence
SHOWN = 3  # names of bad images that are listed


@dataclass(frozen=True)
class Check:
    """One finding; `remedy` says what to do and is "" where all is well."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


class DoctorService:
    """Looks, and changes nothing."""

    def __init__(
        self, uow_factory: UnitOfWorkFactory, engines: Engines, settings: Settings
    ) -> None:
        self._uow = uow_factory
        self._engines = engines
        self._settings = settings

    def check(self) -> tuple[Check, ...]:
        """Every check, in the order in which one would look; none of them raises."""
        checks = [self._versions(), self._workspace(), self._database()]
        if checks[-1].ok:
            checks += [self._worker(), *self._encoders(), *self._bundles(), *self._images()]
        return tuple(checks)

    def _versions(self) -> Check:
        missing, found = [], [f"python {sys.version.split()[0]}"]
        for name in PACKAGES:
            try:
                found.append(f"{name} {importlib.metadata.version(name)}")
            except importlib.metadata.PackageNotFoundError:
                missing.append(name)
        if missing:
            remedy = "install the project again: pip install -c constraints.txt -e ."
            return Check("versions", False, f"not installed: {', '.join(missing)}", remedy)
        return Check("versions", True, ", ".join(found))

    def _workspace(self) -> Check:
        folder = self._settings.workspace
        above = next(path for path in (folder, *folder.parents) if path.exists())
        if not os.access(above, os.W_OK):
            remedy = "choose a folder of yours with --workspace or INSIGHT_HOME"
            return Check("workspace", False, f"{folder} cannot be written to", remedy)
        free = shutil.disk_usage(above).free
        detail = f"{folder}, {free / 1e9:.1f} GB free"
        if free < LOW_DISK:
            remedy = "make room; projects/*/tokens and projects/*/pooled can be made again"
            return Check("workspace", False, detail, remedy)
        return Check("workspace", True, detail)

    def _database(self) -> Check:
        url = make_url(self._settings.database_url)
        shown = url.render_as_string(hide_password=True)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            return Check("database", False, f"{shown} does not exist yet", "run: insight demo")
        try:
            revision, wanted = current(self._settings.database_url), head()
        except (SQLAlchemyError, StoreError, OSError) as error:
            remedy = "check INSIGHT_DATABASE_URL and whether the server runs"
            return Check("database", False, f"{shown}: {_short(error)}", remedy)
        if revision != wanted:
            detail = f"{shown} is at revision {revision or 'none'}, the program needs {wanted}"
            return Check("database", False, detail, "run any command that uses it: insight up")
        return Check("database", True, f"{shown}, revision {revision}")

    def _worker(self) -> Check:
        with self._uow(read_only=True) as uow:
            waiting = uow.runs.unfinished()
        last = heartbeat.read(self._settings)
        queue = f"{len(waiting)} runs waiting or under way"
        if heartbeat.alive(self._settings):
            return Check("worker", True, f"alive; {queue}")
        seen = "never seen" if last is None else f"silent for {last.age(datetime.now(UTC)):.0f} s"
        if waiting:
            remedy = "start it: insight up (or python -m dashboard.worker)"
            return Check("worker", False, f"{seen}; {queue}", remedy)
        return Check("worker", True, f"not running ({seen}); {queue}, so none is needed")

    def _encoders(self) -> Iterator[Check]:
        """The demo's encoder, and each one that an active version needs."""
        needed: dict[str, str | None] = {"demo": None}
        with self._uow(read_only=True) as uow:
            for project in uow.projects.list():
                version = uow.versions.active(project.id)
                if version is not None:
                    needed[version.encoder_spec] = version.encoder_hash
        for spec, digest in needed.items():
            name = f"encoder {spec}"
            try:
                info = self._engines.encoder(spec, digest).info
                rows, columns = info.grid
                yield Check(name, True, f"{info.dim} dimensions, {rows}x{columns} patches")
            except InsightError as error:
                remedy = "restore the encoder's folder, or discover again with another --encoder"
                yield Check(name, False, _short(error), remedy)

    def _bundles(self) -> Iterator[Check]:
        for project in self._projects():
            with self._uow(read_only=True) as uow:
                version = uow.versions.active(project.id)
            if version is None:
                remedy = f"run: insight discover --project {project.name!r}"
                yield Check(f"model of {project.name}", False, "there is no model version", remedy)
                continue
            try:
                self._engines.bundle(version.folder)
                yield Check(f"model of {project.name}", True, f"version {version.hash[:12]}")
            except InsightError as error:
                remedy = "restore the folder from a backup, or discover again"
                yield Check(f"model of {project.name}", False, _short(error), remedy)

    def _images(self) -> Iterator[Check]:
        for project in self._projects():
            with self._uow(read_only=True) as uow:
                images = uow.images.list(project.id)
            bad = list(_faults(project, images))
            name = f"images of {project.name}"
            if bad:
                more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
                remedy = f"put the original files back into {project.root}"
                yield Check(name, False, "; ".join(bad[:SHOWN]) + more, remedy)
            else:
                sampled = min(len(images), SAMPLE)
                yield Check(name, True, f"{len(images)} present, content of {sampled} checked")

    def _projects(self) -> tuple[ProjectRecord, ...]:
        with self._uow(read_only=True) as uow:
            return uow.projects.list()


def _faults(project: ProjectRecord, images: tuple[ImageRecord, ...]) -> Iterator[str]:
    """Images that are missing, and sampled ones that were altered."""
    step = max(1, len(images) // SAMPLE)
    for index, image in enumerate(images):
        try:
            path = safe_join(Path(project.root), image.relpath)
            if not path.is_file():
                yield f"{image.relpath} is missing"
            elif index % step == 0 and sha256_file(path) != image.sha256:
                yield f"{image.relpath} was altered"
        except (InputError, OSError) as error:
            yield f"{image.relpath}: {_short(error)}"


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
