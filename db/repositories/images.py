"""Ingested images."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Select, func, select

from db.image_columns import MASK, columns_of
from db.models import Image, Project
from db.records import ImageCounts, ImageLookup, ImageRecord, NewImage, new_id, utc_now
from db.repositories.base import Repository, batches, build, like_pattern, values_of


class ImageRepository(Repository):
    """The images of a project; the files stay where they are."""

    def add_many(self, project_id: str, images: Sequence[NewImage]) -> tuple[ImageRecord, ...]:
        """Insert in bulk. Raises Conflict on a path or hash that the project has already."""
        self._require(Project, project_id, "project")
        now = utc_now()
        records = tuple(
            ImageRecord(**values_of(image), id=new_id(), project_id=project_id, created_at=now)
            for image in images
        )
        self._insert_many(Image, [values_of(record) for record in records])
        return records

    def get(self, image_id: str) -> ImageRecord:
        """The image of that id, or NotFound."""
        return build(ImageRecord, self._require(Image, image_id, "image"))

    def by_ids(self, ids: Iterable[str]) -> dict[str, ImageRecord]:
        """The images of those ids that exist."""
        found: dict[str, ImageRecord] = {}
        for batch in batches(set(ids)):
            rows = self._read(select(Image).where(Image.id.in_(batch)))
            found |= {row.id: row for row in rows}
        return found

    def by_relpath(self, project_id: str, relpath: str) -> ImageRecord | None:
        """The image at that path, if the project has it."""
        query = select(Image).where(Image.project_id == project_id, Image.relpath == relpath)
        return next(iter(self._read(query)), None)

    def by_sha256(self, project_id: str, sha256: str) -> ImageRecord | None:
        """The image of that file hash, if the project has it."""
        query = select(Image).where(Image.project_id == project_id, Image.sha256 == sha256)
        return next(iter(self._read(query)), None)

    def lookup(self, project_id: str) -> ImageLookup:
        """Every image by path and by file hash, for an ingest that repeats harmlessly."""
        rows = self._read(select(Image).where(Image.project_id == project_id))
        return ImageLookup(
            by_relpath={row.relpath: row for row in rows},
            by_sha256={row.sha256: row for row in rows},
        )

    def counts(self, project_id: str) -> ImageCounts:
        """How many images, by label and by split."""
        query = (
            select(Image.label, Image.split, func.count())
            .where(Image.project_id == project_id)
            .group_by(Image.label, Image.split)
        )
        by_label: dict[str | None, int] = {}
        by_split: dict[str | None, int] = {}
        for label, split, count in self._session.execute(query):
            by_label[label] = by_label.get(label, 0) + count
            by_split[split] = by_split.get(split, 0) + count
        return ImageCounts(sum(by_label.values()), by_label, by_split)

    def columns(
        self, project_id: str, *, splits: Sequence[str] | None = None
    ) -> dict[str, dict[str, int]]:
        """Metadata column -> value -> how many images (of those splits), most first.

        "mask" is only told where an image has one. Images without a value are not counted, so
        the counts of a column may sum to less than the images.
        """
        found: dict[str, dict[str, int]] = {}
        for cells in self.column_values(project_id, splits=splits).values():
            for column, value in cells.items():
                counts = found.setdefault(column, {})
                counts[value] = counts.get(value, 0) + 1
        if "yes" not in found.get(MASK, {}):
            found.pop(MASK, None)
        return {
            column: dict(sorted(found[column].items(), key=lambda item: (-item[1], item[0])))
            for column in sorted(found)
        }

    def column_values(
        self, project_id: str, *, splits: Sequence[str] | None = None
    ) -> dict[str, dict[str, str]]:
        """Image id -> metadata column -> value (see db.image_columns), by path."""
        query = select(Image.id, Image.meta, Image.group_name, Image.mask_path).where(
            Image.project_id == project_id
        )
        if splits is not None:
            query = query.where(Image.split.in_(splits))
        rows = self._session.execute(query.order_by(Image.relpath))
        return {row.id: columns_of(row.meta, row.group_name, row.mask_path) for row in rows}

    def update(
        self,
        image_id: str,
        *,
        label: str | None,
        split: str | None,
        group_name: str | None,
        mask_path: str | None,
        meta: dict[str, Any] | None = None,
    ) -> ImageRecord:
        """Replace what a table of labels says of an image; without `meta` its columns stay."""
        row = self._require(Image, image_id, "image")
        row.label, row.split = label, split
        row.group_name, row.mask_path = group_name, mask_path
        if meta is not None:
            row.meta = meta
        self._flush()
        return build(ImageRecord, row)

    def list(
        self,
        project_id: str,
        *,
        split: str | None = None,
        label: str | None = None,
        search: str = "",
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[ImageRecord, ...]:
        """Images by path; `search` matches within the path, whatever the case of letters."""
        query = select(Image).where(Image.project_id == project_id)
        if split is not None:
            query = query.where(Image.split == split)
        if label is not None:
            query = query.where(Image.label == label)
        if search:
            pattern = like_pattern(search.lower())
            query = query.where(func.lower(Image.relpath).like(pattern, escape="\\"))
        return self._read(query.order_by(Image.relpath).limit(limit).offset(offset))

    def _read(self, query: Select[Image]) -> tuple[ImageRecord, ...]:
        return tuple(build(ImageRecord, row) for row in self._session.scalars(query))
