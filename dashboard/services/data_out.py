"""The four forms of a project's data, written in one pass over the cases."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dashboard.services.archive_zip import Packer
from dashboard.services.data_coco import COCO_TABLES, categories, image_of, marks
from dashboard.services.data_forms import ABOUT, FORMAT, SCHEMA, TABLES, Form
from dashboard.services.data_rows import Page, dictionaries, pages, project_rows
from dashboard.services.data_spool import CsvSheet, JsonSheet, ParquetSheet, Spool, json_text
from dashboard.services.progress import Progress
from dashboard.services.report_scope import Resolved
from db.unit_of_work import UnitOfWork

Report = Callable[[], tuple[dict[str, Any], Iterable[dict[str, Any]]]]


@dataclass(frozen=True)
class Source:
    """What is written: the cases of a scope, within one reading transaction."""

    uow: UnitOfWork
    resolved: Resolved
    report: Report  # the report's content and its cases, for the JSON form

    @property
    def total(self) -> int:
        """How many cases there are."""
        return self.uow.report.case_total(self.resolved.selection)

    def pages(self, progress: Progress) -> Iterator[Page]:
        """The cases, with progress told."""
        total, done = max(1, self.total), 0
        for page in pages(self.uow, self.resolved):
            progress(min(1.0, done / total), "writing cases")
            yield page
            done += len(page.cases)

    def about(self, form: Form) -> dict[str, Any]:
        """What the file is and what it covers."""
        project, version = self.resolved.project, self.resolved.version
        return {
            "format": FORMAT,
            "schema": SCHEMA,
            "form": form,
            "project": project.name,
            "classes": list(project.classes),
            "notice": project.notice,
            "scope": self.resolved.scope.as_dict(),
            "scope_sentence": self.resolved.scope.sentence(),
            "version": version.hash if version else None,
            "dictionaries": list(dictionaries(self.uow, self.resolved)),
        }


def write_form(source: Source, form: Form, target: Path, progress: Progress) -> None:
    """Write one form to a file, with scratch files beside it."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".insight-") as folder:
        match form:
            case "csv":
                _tables(source, form, Path(folder), CsvSheet, target, progress)
            case "parquet":
                _tables(source, form, Path(folder), ParquetSheet, target, progress)
            case "json":
                _json(source, Path(folder), target, progress)
            case "coco":
                _coco(source, Path(folder), target, progress)


def _tables(
    source: Source, form: Form, folder: Path, kind: type[Any], target: Path, progress: Progress
) -> None:
    with Spool(folder, kind, f".{form}") as spool:
        _fill(source, spool, progress)
    columns = {
        name: {column.name: [column.kind, column.about] for column in listed}
        for name, listed in TABLES.items()
    }
    with Packer(target) as packer:
        packer.add_json(ABOUT, source.about(form) | {"rows": spool.counts, "columns": columns})
        spool.pack(packer, squeeze=form == "csv")


def _fill(source: Source, spool: Spool, progress: Progress) -> None:
    for page in source.pages(progress):
        spool.add(page.rows())
    spool.add(project_rows(source.uow, source.resolved))


def _json(source: Source, folder: Path, target: Path, progress: Progress) -> None:
    """{"format", ..., "tables": {name: [...]}, "report": {...}, "cases": [...]}, a row a line."""
    from dashboard.services.progress import part

    with Spool(folder, JsonSheet, ".jsonl") as spool:
        _fill(source, spool, part(progress, 0.0, 0.4))
    content, cases = source.report()
    total = max(1, source.total)
    with target.open("w", encoding="utf-8", newline="") as file:
        file.write("{\n")
        for key, value in (source.about("json") | {"rows": spool.counts}).items():
            file.write(f"{json_text(key)}: {json_text(value)},\n")
        file.write('"tables": {\n')
        for at, table in enumerate(TABLES, 1):
            _list(file, table, spool.lines(table), ",\n" if at < len(TABLES) else "\n")
        file.write(f'}},\n"report": {json_text(content)},\n')
        told = part(progress, 0.4, 1.0)
        _list(file, "cases", (json_text(each) for each in _told(cases, total, told)), "\n")
        file.write("}\n")


def _told(items: Iterable[Any], total: int, progress: Progress) -> Iterator[Any]:
    for at, item in enumerate(items):
        if at % 100 == 0:
            progress(min(1.0, at / total), "writing cases")
        yield item


def _coco(source: Source, folder: Path, target: Path, progress: Progress) -> None:
    """Images, categories and annotations as COCO has them; the rest under "insight"."""
    drawings, pictures = folder / "annotations", folder / "images"
    numbers = categories(source.uow, source.resolved)
    with (
        Spool(folder, JsonSheet, ".jsonl") as spool,
        drawings.open("w", encoding="utf-8") as drawn,
        pictures.open("w", encoding="utf-8") as seen,
    ):
        images: dict[str, int] = {}
        for page in source.pages(progress):
            for case in page.cases:
                if case.image.sha256 not in images:
                    images[case.image.sha256] = len(images) + 1
                    seen.write(json_text(image_of(case, len(images))) + "\n")
            for each in marks(page, images, numbers):
                drawn.write(json_text(each) + "\n")
            spool.add(row for row in page.rows() if row[0] in COCO_TABLES)
        spool.add(r for r in project_rows(source.uow, source.resolved) if r[0] in COCO_TABLES)
    about = source.about("coco")
    info = {"description": f"{about['project']}: {about['scope_sentence']}", "version": "1.0"}
    with target.open("w", encoding="utf-8", newline="") as file:
        file.write(f'{{\n"info": {json_text(info)},\n"licenses": [],\n')
        file.write(f'"insight": {json_text(about)},\n')
        _list(file, "images", _lines(pictures), ",\n")
        _list(file, "categories", map(json_text, numbers.listed), ",\n")
        _list(file, "annotations", _numbered(drawings), ",\n")
        file.write('"tables": {\n')
        for at, table in enumerate(COCO_TABLES, 1):
            _list(file, table, spool.lines(table), ",\n" if at < len(COCO_TABLES) else "\n")
        file.write("}\n}\n")


def _list(file: IO[str], key: str, items: Iterable[str], after: str) -> None:
    """ "key": [items], one a line."""
    file.write(f"{json_text(key)}: [")
    for at, item in enumerate(items):
        file.write(("," if at else "") + "\n" + item)
    file.write("\n]" + after)


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            yield line.rstrip("\n")


def _numbered(path: Path) -> Iterator[str]:
    """Annotations with their ids: the lines' numbers."""
    for at, line in enumerate(_lines(path), 1):
        yield f'{{"id":{at},{line[1:]}'
