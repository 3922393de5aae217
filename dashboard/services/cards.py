"""Model card and data card of a project, written from the store in the Hub's format.

Schedules take the texts alone (export_makers): the export run keeps the files and their rows.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.errors import BundleError, ConfigError, InputError, InsightError
from core.manifest import Manifest, read_manifest
from dashboard.services.cards_data import Data, data_card
from dashboard.services.cards_model import Facts, model_card
from dashboard.services.comparing import find_version
from dashboard.services.exported import digest, record_export
from dashboard.services.report_provenance import image_set_hash
from dashboard.services.report_scope import ReportScope
from dashboard.services.settings_of import roles_in
from dashboard.settings import Settings
from dashboard.viewmodels.report_content import ReportContent
from db.records import ReviewerRecord, new_id
from db.unit_of_work import UnitOfWorkFactory

LONGEST_LICENSE = 60


class TellsAll(Protocol):
    """What is needed of ReportService."""

    def content(
        self, project_id: str, scope: ReportScope, person: ReviewerRecord | None = None
    ) -> ReportContent: ...


@dataclass(frozen=True)
class Card:
    """A card that was written."""

    kind: str  # "model" or "data"
    path: Path
    sha256: str
    size: int  # bytes


class CardService:
    """Writes cards; each is an export with its row and its audit line."""

    def __init__(
        self, uow_factory: UnitOfWorkFactory, settings: Settings, reports: TellsAll
    ) -> None:
        self._uow = uow_factory
        self._settings = settings
        self._reports = reports

    def model(
        self,
        project_id: str,
        out: Path,
        *,
        version: str | None = None,
        person: ReviewerRecord | None = None,
        license: str = "",
    ) -> Card:
        """Write the model card of a version (None: the active one) to a file.

        Raises NotFound, InsightError for a project without a version, ConfigError for a licence
        that cannot be one, InputError where the file cannot be written.
        """
        text, hash = self.model_text(project_id, version=version, person=person, license=license)
        return self._keep(project_id, "model", text, out, hash, person)

    def data(
        self,
        project_id: str,
        out: Path,
        *,
        person: ReviewerRecord | None = None,
        license: str = "",
    ) -> Card:
        """Write the data card of a project to a file; raises as `model`."""
        text = self.data_text(project_id, person=person, license=license)
        return self._keep(project_id, "data", text, out, None, person)

    def model_text(
        self,
        project_id: str,
        *,
        version: str | None = None,
        person: ReviewerRecord | None = None,
        license: str = "",
    ) -> tuple[str, str]:
        """The model card's text, and the hash of the version that it speaks of."""
        with self._uow(read_only=True) as uow:
            project = uow.projects.find(project_id)
            found = uow.versions.active(project.id)
            if version is not None:
                found = find_version(uow, project.id, version)
            if found is None:
                raise InsightError("there is no model version yet: discover concepts first")
            roles = Counter(roles_in(uow, project.id).values())
        content = self._reports.content(project.id, ReportScope(version=found.hash), person)
        review = self._reports.content(project.id, ReportScope(), person)
        facts = Facts(
            content, review, found, _manifest(Path(found.folder)), roles, _checked(license),
            project.notice or "",
        )  # fmt: skip
        return model_card(facts), found.hash

    def data_text(
        self, project_id: str, *, person: ReviewerRecord | None = None, license: str = ""
    ) -> str:
        """The data card's text."""
        with self._uow(read_only=True) as uow:
            project = uow.projects.find(project_id)
            tallies = uow.trace.image_tallies(project.id)
            sides = uow.trace.image_sides(project.id)
            columns = uow.images.columns(project.id)
            images_hash, _ = image_set_hash(uow, project.id)
        content = self._reports.content(project.id, ReportScope(), person)
        terms = project.vocabulary.get("terms", [])
        return data_card(
            Data(
                name=project.name,
                notice=project.notice or "",
                classes=project.classes,
                tallies=tallies,
                sides=sides,
                columns=columns,
                words=tuple(str(term.get("name", "")) for term in terms),
                images_hash=images_hash,
                content=content,
                license=_checked(license),
            )
        )

    def _keep(
        self, project_id: str, kind: str, text: str, out: Path, version_hash: str | None,
        person: ReviewerRecord | None,
    ) -> Card:  # fmt: skip
        """Writes the file whole or not at all, and the row that says that it left."""
        blob = text.encode("utf-8")
        sha256, size = digest(blob)
        _write(out, blob)
        with self._uow() as uow:
            record_export(
                uow, export_id=new_id(), project_id=uow.projects.find(project_id).id,
                person=person, kind="card", format="md", scope={"card": kind}, content=blob,
                version_hash=version_hash, path=_inside(out, self._settings.workspace),
            )  # fmt: skip
            uow.commit()
        return Card(kind, out, sha256, size)


def _checked(license: str) -> str:
    """A licence as the Hub writes one: a short word such as "cc-by-4.0"."""
    word = license.strip().lower()
    allowed = all(char.isascii() and (char.isalnum() or char in "-._+") for char in word)
    if not allowed or len(word) > LONGEST_LICENSE:
        raise ConfigError(f"a licence is a short word such as cc-by-4.0, not {license[:40]!r}")
    return word


def _manifest(folder: Path) -> Manifest | None:
    try:
        return read_manifest(folder)
    except BundleError:
        return None


def _write(out: Path, blob: bytes) -> None:
    draft = out.with_name(f"{out.name}.{os.getpid()}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(blob)
        draft.replace(out)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise InputError(str(out), f"cannot be written ({error.strerror})") from error


def _inside(path: Path, workspace: Path) -> str | None:
    """The path within the workspace; None for one outside it."""
    try:
        return path.absolute().relative_to(workspace).as_posix()
    except ValueError:
        return None
