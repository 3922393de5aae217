"""Ingest a folder: images by reference, labels from a table, every bad file by name and reason.

The images stay where they are; the store keeps their path, hash and size. A second run over the
same folder changes nothing and reports the same problems.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import ConfigError, ImageError, InputError
from core.files import sha256_file
from core.images import load_image, load_mask, safe_join
from dashboard.services.labels import (
    Columns,
    LabelRow,
    LabelTable,
    Problem,
    canonical,
    read_labels,
)
from dashboard.services.names import clean_name
from dashboard.services.progress import Progress, silent
from dashboard.services.scan import Scan, scan_folder
from db.records import ImageLookup, ImageRecord, NewImage, ProjectRecord
from db.unit_of_work import UnitOfWorkFactory

BATCH = 500  # images per transaction
MAX_CLASSES = 1000


@dataclass(frozen=True)
class IngestReport:
    """What an ingest did. `problems` were refused, `notices` are only worth saying."""

    project: str
    added: int
    unchanged: int
    updated: int
    labelled: int  # of the images now in the project that this run saw
    unlabelled: int
    problems: tuple[Problem, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Known:
    """Facts of a row that the store keeps; None stands for an empty cell."""

    label: str | None = None
    split: str | None = None
    group_name: str | None = None
    mask_path: str | None = None

    @classmethod
    def of(cls, image: ImageRecord | NewImage) -> _Known:
        return cls(image.label, image.split, image.group_name, image.mask_path)


@dataclass
class _Run:
    """The state of one ingest; lives as long as the call."""

    project: ProjectRecord
    root: Path
    table: LabelTable | None
    lookup: ImageLookup
    total: int
    columns: Columns = field(default_factory=Columns)
    added: int = 0
    unchanged: int = 0
    labelled: int = 0
    outside: int = 0  # files that the table does not list
    problems: list[Problem] = field(default_factory=list)
    new: list[NewImage] = field(default_factory=list)
    changes: list[tuple[ImageRecord, _Known, dict[str, Any]]] = field(default_factory=list)
    updated: int = 0
    owner: dict[str, str] = field(default_factory=dict)  # sha256 -> relative path
    classes: list[str] = field(default_factory=list)

    def refuse(self, file: str, reason: str, row: int | None = None) -> None:
        self.problems.append(Problem(file, reason, row))


class IngestService:
    """Reads folders into projects."""

    def __init__(self, uow_factory: UnitOfWorkFactory, workspace: Path) -> None:
        self._uow = uow_factory
        self._workspace = workspace

    def ingest(
        self,
        folder: Path,
        project: str,
        *,
        labels: Path | None = None,
        file_column: str = "file",
        label_column: str | None = "label",
        mask_column: str | None = None,
        split_column: str | None = None,
        group_column: str | None = None,
        classes: Sequence[str] = (),
        notice: str | None = None,
        progress: Progress = silent,
    ) -> IngestReport:
        """Read every image of `folder` into the project of that name, made where it is new.

        Images are committed in batches, so that an ingest that is killed leaves whole batches and
        the next one goes on from there. `classes` fixes the first classes and their order; further
        labels are added in alphabetical order.

        Raises InputError where the folder cannot be used or the project holds another folder,
        TableError where the table as a whole cannot be read, ConfigError for a bad project name.
        """
        root = _existing_folder(folder)
        project = clean_name(project, "the project's name")
        columns = Columns(file_column, label_column, mask_column, split_column, group_column)
        table = read_labels(labels, columns) if labels is not None else None
        record = self._project(project, root, classes, notice)
        scan = self._scan(root, table)
        with self._uow(read_only=True) as uow:
            lookup = uow.images.lookup(record.id)
        run = _Run(record, root, table, lookup, len(scan.files), columns)
        run.owner = {sha: image.relpath for sha, image in lookup.by_sha256.items()}
        run.classes = list(record.classes)
        _learn_classes(run)
        run.problems += [*(table.problems if table else ()), *scan.problems]
        self._read_all(run, scan.files, progress)
        run.problems += _missing_rows(run, scan)
        return _report(run, scan)

    def _project(
        self, name: str, root: Path, classes: Sequence[str], notice: str | None
    ) -> ProjectRecord:
        """The project of that name; a new one is committed at once."""
        with self._uow() as uow:
            known = uow.projects.by_name(name)
            if known is None:
                known = uow.projects.add(name, str(root), classes=classes, notice=notice)
                uow.audit.append(
                    actor="ingest",
                    action="project.create",
                    entity="project",
                    entity_id=known.id,
                    project_id=known.id,
                    detail={"root": str(root)},
                )
                uow.commit()
            elif Path(known.root) != root:
                reason = f"project {name!r} holds the images of {known.root}; choose another name"
                raise InputError(str(root), reason)
            return known

    def _scan(self, root: Path, table: LabelTable | None) -> Scan:
        rows = table.rows.values() if table is not None else ()
        return scan_folder(
            root,
            also=[row.file for row in rows],
            without=[row.mask for row in rows if row.mask is not None],
            workspace=self._workspace,
        )

    def _read_all(self, run: _Run, files: Sequence[str], progress: Progress) -> None:
        for index, relative in enumerate(files):
            _read_one(run, relative)
            if len(run.new) + len(run.changes) >= BATCH:
                self._commit(run)
            if index % 20 == 0:
                progress(index / max(run.total, 1), "reading images")
        self._commit(run)
        progress(1.0, "reading images")

    def _commit(self, run: _Run) -> None:
        """Write what was gathered since the last commit, in one transaction."""
        grown = tuple(run.classes) != run.project.classes
        if not (run.new or run.changes or grown):
            return
        with self._uow() as uow:
            if grown:
                run.project = uow.projects.update(run.project.id, classes=run.classes)
            uow.images.add_many(run.project.id, run.new)
            for image, facts, meta in run.changes:
                uow.images.update(image.id, **vars(facts), meta=meta)
                uow.audit.append(
                    actor="ingest",
                    action="image.update",
                    entity="image",
                    entity_id=image.id,
                    project_id=run.project.id,
                    detail={
                        "before": vars(_Known.of(image)) | {"columns": image.meta},
                        "after": vars(facts) | {"columns": meta},
                    },
                )
            uow.commit()
        run.added += len(run.new)
        run.updated += len(run.changes)
        run.new, run.changes = [], []


def _existing_folder(folder: Path) -> Path:
    if not folder.exists():
        raise InputError(str(folder), "there is no such folder")
    if not folder.is_dir():
        raise InputError(str(folder), "is a file; name the folder that holds the images")
    return folder.resolve()


def _learn_classes(run: _Run) -> None:
    """Add the table's labels to the project's classes, in alphabetical order."""
    rows = run.table.rows.values() if run.table is not None else ()
    found = {row.label for row in rows if row.label is not None}
    run.classes += sorted(found - set(run.classes))
    if len(run.classes) > MAX_CLASSES:
        raise ConfigError(
            f"{len(run.classes)} different labels: more than {MAX_CLASSES} classes; "
            "is --label-column the right column?"
        )


def _read_one(run: _Run, relative: str) -> None:
    """Decide what becomes of one file: new, unchanged, updated or refused."""
    key = canonical(relative)
    if run.table is not None and key in run.table.refused:
        return  # its rows are reported already
    row = run.table.rows.get(key) if run.table is not None else None
    known = run.lookup.by_relpath.get(relative)
    try:
        path = safe_join(run.root, relative)
        image = _unaltered(known, path) if known is not None else _fresh(run, relative, path)
    except InputError as error:
        run.refuse(relative, error.reason, row.row if row else None)
        return
    except OSError as error:
        run.refuse(relative, f"cannot be read ({error.strerror})", row.row if row else None)
        return
    if image is not None:
        _settle(run, image, known, row)


def _unaltered(known: ImageRecord, path: Path) -> ImageRecord:
    if sha256_file(path) != known.sha256:
        reason = "its content changed since it was ingested; give the new picture another name"
        raise ImageError(known.relpath, reason)
    return known


def _fresh(run: _Run, relative: str, path: Path) -> NewImage | None:
    """A file that the project does not hold yet; None (and a problem) for a double."""
    loaded = load_image(path)
    twin = run.owner.get(loaded.sha256)
    if twin is not None:
        raise ImageError(relative, f"same content as {twin}; skipped")
    run.owner[loaded.sha256] = relative
    return NewImage(relative, loaded.sha256, loaded.width, loaded.height)


def _settle(
    run: _Run, image: ImageRecord | NewImage, known: ImageRecord | None, row: LabelRow | None
) -> None:
    """Join an image with its row and put it where the next commit finds it."""
    if row is not None:
        facts = _stated(run, row, image)
    else:
        facts = _Known.of(image)
        run.outside += run.table is not None
    run.labelled += facts.label is not None
    told = dict(row.meta) if row is not None else {}
    if known is None:
        run.new.append(
            NewImage(
                image.relpath, image.sha256, image.width, image.height, meta=told, **vars(facts)
            )
        )
    elif facts != _Known.of(known) or known.meta != known.meta | told:
        run.changes.append((known, facts, known.meta | told))
    else:
        run.unchanged += 1


def _stated(run: _Run, row: LabelRow, image: ImageRecord | NewImage) -> _Known:
    """What the row says of the image; a column that was not named leaves what stands.

    So does an empty split: a discovery may have drawn one since.
    """
    columns, stands = run.columns, _Known.of(image)
    return _Known(
        label=row.label if columns.label is not None else stands.label,
        split=row.split if row.split is not None else stands.split,
        group_name=row.group if columns.group is not None else stands.group_name,
        mask_path=_usable_mask(run, row, image) if columns.mask is not None else stands.mask_path,
    )


def _usable_mask(run: _Run, row: LabelRow, image: ImageRecord | NewImage) -> str | None:
    """The row's mask if it exists and fits; else a problem, and the image goes without."""
    if row.mask is None:
        return None
    try:
        mask_HW = load_mask(safe_join(run.root, row.mask))
    except InputError as error:
        run.refuse(row.mask, f"mask of {row.file}: {error.reason}", row.row)
        return None
    except OSError as error:
        run.refuse(row.mask, f"mask of {row.file}: cannot be read ({error.strerror})", row.row)
        return None
    if mask_HW.shape != (image.height, image.width):
        size = f"{mask_HW.shape[1]}x{mask_HW.shape[0]}"
        reason = f"mask of {row.file}: {size} px, the image is {image.width}x{image.height} px"
        run.refuse(row.mask, reason, row.row)
        return None
    return row.mask


def _missing_rows(run: _Run, scan: Scan) -> Iterator[Problem]:
    """Rows whose file is not there."""
    if run.table is None:
        return
    seen = {canonical(name) for name in scan.files}
    seen |= {canonical(problem.file) for problem in scan.problems}
    for name, row in run.table.rows.items():
        if name not in seen:
            yield Problem(row.file, "listed in the table, but there is no such file", row.row)


def _report(run: _Run, scan: Scan) -> IngestReport:
    notices = [*(run.table.notices if run.table is not None else ()), *scan.notices]
    if run.outside:
        notices.append(f"{run.outside} images are not listed in the table: kept without a label")
    gone = run.lookup.by_relpath.keys() - set(scan.files)
    if gone:
        notices.append(f"{len(gone)} images of the project are no longer there, e.g. {min(gone)}")
    if not scan.files:
        notices.append("the folder holds no image")
    handled = run.added + run.updated + run.unchanged
    return IngestReport(
        project=run.project.name,
        added=run.added,
        unchanged=run.unchanged,
        updated=run.updated,
        labelled=run.labelled,
        unlabelled=handled - run.labelled,
        problems=tuple(run.problems),
        notices=tuple(notices),
    )
