"""The report as files: one pass for HTML, parts joined for PDF, memory that does not grow.

At any moment a page of cases is in memory, and for PDF one part of the pages, in a process of its
own. What both forms need of a case, its picture, is drawn once and lies on disk meanwhile.
"""

from __future__ import annotations

import ctypes
import gc
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Literal, TypeVar

from core.errors import ConfigError
from dashboard.services import report_html, report_pdf
from dashboard.services.made import MadeFile
from dashboard.services.progress import Progress, part, silent
from dashboard.services.report_html import Front, Printed
from dashboard.services.report_pictures import (
    LARGE_SIDE,
    SIDE,
    Asked,
    Outline,
    Pictures,
)
from dashboard.services.report_scope import ReportScope
from dashboard.services.report_template import ReportTemplates, template_of
from dashboard.services.reports import ReportService
from dashboard.viewmodels.report_content import CaseContent, ReportContent
from db.errors import NotFound
from db.records import CueRecord, ReviewerRecord
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

ReportForm = Literal["html", "pdf"]
FORMS: Final[tuple[ReportForm, ...]] = ("html", "pdf")
FEW: Final = 60  # cases up to which a PDF is one tagged document with larger pictures
PART: Final = 120  # cases laid out in one process
T = TypeVar("T")


class ReportFiles:
    """Makes the forms of a report that people read. Whoever calls records what was made."""

    def __init__(
        self, uow: UnitOfWorkFactory, reports: ReportService, templates: ReportTemplates
    ) -> None:
        self._uow = uow
        self._reports = reports
        self.templates = templates

    def make(
        self,
        project_id: str,
        scope: ReportScope,
        formats: Sequence[str],
        folder: Path,
        person: ReviewerRecord | None = None,
        progress: Progress = silent,
    ) -> tuple[MadeFile, ...]:
        """Write the report into `folder`, once per form ("html", "pdf").

        Args:
            person: who asks; None: the program, by a schedule.

        Raises ConfigError for a form that this cannot make, PdfUnavailable before anything is
        made, and as ReportService.content.
        """
        strange = [each for each in formats if each not in FORMS]
        if strange:
            raise ConfigError(f"a report to be read is html or pdf, not {strange[0]!r}")
        if "pdf" in formats:
            report_pdf.check()
        progress(0.0, "reading what people said")
        content = self._reports.content(project_id, scope, person)
        give_memory_back()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=folder) as scratch:
            job = self._job(project_id, scope, content, Path(scratch), person)
            return tuple(
                job.made(form, folder, part(progress, *share))
                for form, share in _shares(formats)
            )  # fmt: skip

    def stamp(self, project_id: str) -> dict[str, str]:
        """Hashes of the template and the logo that stand, for the record of an export."""
        return self.templates.of(project_id).stamp()

    def _job(
        self, project_id: str, scope: ReportScope, content: ReportContent, scratch: Path,
        person: ReviewerRecord | None,
    ) -> _Job:  # fmt: skip
        side = LARGE_SIDE if content.cases <= FEW else SIDE
        with self._uow(read_only=True) as uow:
            project = uow.projects.find(project_id)
            wanted = _examples(uow, content)
        pictures = Pictures(Path(project.root), scratch / "pictures", side)
        drawn = {asked.key: pictures.drawn(asked) for asked in wanted}
        front = Front(content, self.templates.of(project.id), drawn)
        return _Job(
            front, pictures, scratch, lambda: self._reports.cases(project_id, scope, person)
        )


@dataclass(frozen=True)
class _Job:
    """One report that is being made."""

    front: Front
    pictures: Pictures
    scratch: Path
    cases: Callable[[], Iterator[CaseContent]]

    def made(self, form: ReportForm, folder: Path, progress: Progress) -> MadeFile:
        target = folder / f"{file_name(self.front.report.cover.project)}-report.{form}"
        if form == "html":
            self._html(target, progress)
        else:
            self._pdf(target, progress)
        progress(1.0, f"{form} made")
        return MadeFile.of(target, form)

    def _html(self, target: Path, progress: Progress) -> None:
        template = template_of(self.front.look.source)
        report_html.write(template, self.front.context("html", self._printed(progress)), target)

    def _pdf(self, target: Path, progress: Progress) -> None:
        template = template_of(self.front.look.source)
        page = self.scratch / "part.html"
        if self.front.report.cases <= FEW:
            context = self.front.context("pdf", self._printed(part(progress, 0.0, 0.5)))
            report_html.write(template, context, page)
            report_pdf.render(page, self.scratch / "whole.pdf", tagged=True)
            (self.scratch / "whole.pdf").replace(target)
            return
        report_html.write(template, self.front.context("pdf", shows_cases=False), page)
        parts = [self._part(page, 1, "Report", keeps=True)]
        told = 0
        for chunk in batched(self._printed(part(progress, 0.0, 0.95)), PART):
            context = self.front.context(
                "pdf", chunk, shows_front=False, first_number=told + 1
            )  # fmt: skip
            report_html.write(template, context, page)
            title = f"Cases {told + 1} to {told + len(chunk)}"
            parts.append(self._part(page, 1 + sum(each.pages for each in parts), title))
            told += len(chunk)
        progress(0.96, "joining the parts")
        whole = self.scratch / "whole.pdf"
        report_pdf.join(parts, whole, about(self.front.report))
        whole.replace(target)

    def _part(self, page: Path, first: int, title: str, *, keeps: bool = False) -> report_pdf.Part:
        target = self.scratch / f"part-{first:07d}.pdf"
        pages = report_pdf.render(page, target, first_page=first)
        return report_pdf.Part(target, pages, title, keeps)

    def _printed(self, progress: Progress) -> Iterator[Printed]:
        total = max(self.front.report.cases, 1)
        for at, case in enumerate(self.cases()):
            progress(min(at / total, 1.0), f"case {at + 1:,} of {total:,}")
            yield Printed(case, self.pictures.of(case))


def give_memory_back() -> None:
    """Return to the system what reading the figures took, before other processes need it.

    Reading a large review builds large tables; the C library keeps their memory for later, and
    the parts of a PDF would need theirs on top. Where there is no glibc, nothing is done.
    """
    gc.collect()
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def about(report: ReportContent) -> dict[str, str]:
    """What a PDF says of itself."""
    version = report.cover.version or "none yet"
    return {
        "/Title": f"Review report: {report.cover.project}",
        "/Author": report.cover.generated_by,
        "/Subject": f"{report.cover.scope_sentence} Model version {version}.",
        "/Keywords": f"review report, model version {version}",
        "/Creator": "Insight Review",
    }


def file_name(project: str) -> str:
    """A project's name as the start of a file name.

    >>> file_name("magnetic tile/2026"), file_name("???")
    ('magnetic-tile-2026', 'project')
    """
    return re.sub(r"[^A-Za-z0-9_]+", "-", project)[:60].strip("-") or "project"


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    waiting = iter(items)
    while chunk := list(islice(waiting, size)):
        yield chunk


def _shares(formats: Sequence[str]) -> list[tuple[ReportForm, tuple[float, float]]]:
    """Each form once, in order, with its share of the work: PDF takes about four times as long."""
    wanted = [form for form in FORMS if form in formats]
    weights = {"html": 0.2, "pdf": 0.8}
    total = sum(weights[form] for form in wanted) or 1.0
    found, start = [], 0.0
    for form in wanted:
        end = start + weights[form] / total
        found.append((form, (start, min(end, 1.0))))
        start = end
    return found


def _examples(uow: UnitOfWork, content: ReportContent) -> list[Asked]:
    """The pictures beside the ranking: one cue each, outlined."""
    found = []
    for concept in content.spurious:
        for each in concept.examples:
            try:
                cue = uow.cues.get(each.cue_id)
            except NotFound:
                outlines: tuple[Outline, ...] = ()
            else:
                outlines = (_outline(cue, concept.name),)
            found.append(Asked(each.cue_id, each.image_name, each.image_sha256, outlines))
    return found


def _outline(cue: CueRecord, name: str) -> Outline:
    corner = (cue.regions[0].x0, cue.regions[0].y0) if cue.regions else None
    return Outline("A", name, (cue.grid_rows, cue.grid_cols), cue.region_bits, corner)
