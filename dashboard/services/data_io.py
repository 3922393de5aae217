"""A project's review as data: out in four forms, and what people said back in again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from dashboard.services.data_forms import SUFFIX, WORDS, Form, as_form
from dashboard.services.data_import import Importer, ImportReport, Tally, words
from dashboard.services.data_out import Source, write_form
from dashboard.services.data_read import reading
from dashboard.services.exported import record_export
from dashboard.services.made import MadeFile, sha256_of, whole_file
from dashboard.services.progress import Progress, silent
from dashboard.services.report_plain import plain
from dashboard.services.report_scope import ReportScope, only_for, resolve
from dashboard.services.review import CaseExplainer
from dashboard.services.settings_of import require
from dashboard.viewmodels.data import ImportView
from dashboard.viewmodels.report_content import CaseContent, ReportContent
from db.governance_records import ExportRecord
from db.records import ReviewerRecord, new_id
from db.unit_of_work import UnitOfWorkFactory


class Reports(Protocol):
    """Whoever says what a report says."""

    def content(
        self, project_id: str, scope: ReportScope, person: ReviewerRecord | None
    ) -> ReportContent:
        """The report but for its cases."""

    def cases(
        self, project_id: str, scope: ReportScope, person: ReviewerRecord | None = None
    ) -> Iterator[CaseContent]:
        """The cases one after another."""


class DataService:
    """Writes and reads data forms."""

    def __init__(self, uow: UnitOfWorkFactory, reports: Reports, explain: CaseExplainer) -> None:
        self._uow = uow
        self._reports = reports
        self._explain = explain

    def write(
        self, project_id: str, scope: ReportScope, fmt: Form | str, target: Path,
        person: ReviewerRecord | None = None, progress: Progress = silent,
    ) -> MadeFile:  # fmt: skip
        """Write one form of a scope to a file, which is there whole or not at all.

        Args:
            fmt: "json", "csv", "parquet" or "coco"; csv and parquet are zip files of tables.
            person: who asks, because somebody who reviews blind sees only their own words; None
                is the program itself.

        Raises ConfigError for an unknown form or scope, NotFound for a project, version or person
        that is not there, InputError where the file cannot be written.
        """
        form = as_form(fmt)
        with whole_file(target) as draft, self._uow(read_only=True) as uow:
            uow.archive.freeze()
            only = only_for(uow, project_id, person)
            resolved = resolve(uow, project_id, scope, only=only)

            def report() -> tuple[dict[str, Any], Iterable[dict[str, Any]]]:
                found = resolved.project.id
                content = plain(self._reports.content(found, scope, person))
                return content, map(plain, self._reports.cases(found, scope, person))

            write_form(Source(uow, resolved, report), form, draft, progress)
        progress(1.0, "done")
        return MadeFile.of(target, form)

    def record(
        self, project_id: str, scope: ReportScope, made: MadeFile, person: ReviewerRecord | None
    ) -> ExportRecord:
        """Write down that a file of `write` left the app."""
        with self._uow() as uow:
            only = only_for(uow, project_id, person)
            resolved = resolve(uow, project_id, scope, only=only)
            kept = record_export(
                uow, export_id=new_id(), project_id=resolved.project.id, person=person,
                kind="data", format=made.fmt, scope=resolved.as_record(), content=made.path,
                version_hash=resolved.version.hash if resolved.version else None,
            )  # fmt: skip
            uow.commit()
        return kept

    def read(
        self, project_id: str, file: Path, person: ReviewerRecord, progress: Progress = silent, *,
        write: bool = True,
    ) -> ImportReport:  # fmt: skip
        """Take in what people said, from a file or folder of any of the four forms.

        Rows that do not fit are named and the others are taken. A word that is known by its id is
        left as it is, so that a second import changes nothing.

        Args:
            person: who does it; must be a lead, because it brings in others' words.
            write: False only looks.

        Raises InputError, naming the file, where it is none of the forms or is damaged; Forbidden,
        NotFound.
        """
        with self._uow(read_only=True) as uow:
            project = uow.projects.find(project_id)
            require(uow, project.id, person.id, "lead")
        with reading(file) as reader:
            source = {"file": file.name, "sha256": sha256_of(file) if file.is_file() else None}
            importer = Importer(self._uow, self._explain, project, person, source)
            return importer.take(reader, progress, write=write)

    def read_for(
        self, project_id: str, file: Path, reviewer_id: str, *, write: bool = True
    ) -> ImportView:
        """The same for a screen."""
        with self._uow(read_only=True) as uow:
            person = uow.reviewers.get(reviewer_id)
        found = self.read(project_id, file, person, write=write)
        added = tuple((table.replace("_", " "), count) for table, count in found.added.items())
        return ImportView(found.form, added, found.unchanged, found.refused, found.problems, write)

    def check(self, file: Path) -> ImportReport:
        """What a file holds, and which rows tell no word, without any project."""
        tally = Tally()
        with reading(file) as reader:
            for table in WORDS:
                for word in words(reader.rows(table), table, tally):
                    tally.added[word.table] += 1
            return tally.report(reader.form)


def suffix(form: Form | str) -> str:
    """How the name of a file of that form ends."""
    return SUFFIX[as_form(form)]
