"""Cues: the concepts shown to reviewers in a case."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple

from sqlalchemy import select

from db.errors import InvalidValue, NotFound
from db.models import Case, Concept, Cue, Image, ModelVersion
from db.records import CueRecord, NewCue, RegionRecord, new_id
from db.repositories.base import AnySelect, Repository, batches, build, values_of
from db.repositories.folds import latest_name


class CueRepository(Repository):
    """Cues joined with their concept and the name that stands."""

    def add_many(self, case_id: str, cues: Sequence[NewCue]) -> tuple[CueRecord, ...]:
        """Store the cues of a case once; where it has cues already, those are returned.

        Raises InvalidValue where map or region do not fit the grid, NotFound for a concept
        that is not of the case's dictionary.
        """
        for cue in cues:
            _check_grid(cue)
        self._require(Case, case_id, "case", lock=True)
        stored = self.list(case_id)
        if stored:
            return stored
        self._refuse_strangers(case_id, cues)
        rows = [
            values_of(cue)
            | {
                "id": new_id(),
                "case_id": case_id,
                "regions": [astuple(region) for region in cue.regions],
            }
            for cue in cues
        ]
        self._insert_many(Cue, rows)
        return self.list(case_id)

    def _refuse_strangers(self, case_id: str, cues: Sequence[NewCue]) -> None:
        own = (
            select(Concept.id)
            .join(ModelVersion, ModelVersion.dictionary_hash == Concept.dictionary_hash)
            .join(Case, Case.version_id == ModelVersion.id)
            .where(Case.id == case_id, Concept.project_id == Case.project_id)
            .where(Concept.id.in_([cue.concept_id for cue in cues]))
        )
        strangers = {cue.concept_id for cue in cues} - set(self._session.scalars(own))
        if strangers:
            raise NotFound("concept of this case's dictionary with id", min(strangers))

    def grid(self, project_id: str, dictionary_hash: str) -> tuple[int, int] | None:
        """Rows and columns of the patch grid that a dictionary's cues lie on; None without cues.

        Where encoders of several grids share a dictionary: that of the newest version.
        """
        versions = (
            select(ModelVersion.id)
            .where(
                ModelVersion.project_id == project_id,
                ModelVersion.dictionary_hash == dictionary_hash,
            )
            .order_by(ModelVersion.created_at.desc(), ModelVersion.id)
        )
        for version_id in self._session.scalars(versions).all():
            query = (
                select(Cue.grid_rows, Cue.grid_cols)
                .join(Case, Case.id == Cue.case_id)
                .where(Case.version_id == version_id)
                .limit(1)
            )
            row = self._session.execute(query).one_or_none()
            if row is not None:
                return row.grid_rows, row.grid_cols
        return None

    def get(self, cue_id: str) -> CueRecord:
        """The cue of that id, or NotFound."""
        found = self._read(_joined().where(Cue.id == cue_id))
        if not found:
            raise NotFound("cue", cue_id)
        return found[0]

    def find(self, version_id: str, image_sha256: str, concept_number: int) -> CueRecord | None:
        """The cue named from outside by version, image file hash and concept number."""
        query = (
            _joined()
            .join(Case, Case.id == Cue.case_id)
            .join(Image, Image.id == Case.image_id)
            .where(
                Case.version_id == version_id,
                Image.sha256 == image_sha256,
                Concept.number == concept_number,
            )
        )
        return next(iter(self._read(query)), None)

    def list_for(self, case_ids: Iterable[str]) -> dict[str, tuple[CueRecord, ...]]:
        """Cues by rank for each case asked for; an empty tuple where it has none yet."""
        wanted = tuple(dict.fromkeys(case_ids))
        found: dict[str, tuple[CueRecord, ...]] = dict.fromkeys(wanted, ())
        for batch in batches(wanted):
            query = _joined().where(Cue.case_id.in_(batch))
            for cue in self._read(query.order_by(Cue.case_id, Cue.rank, Cue.id)):
                found[cue.case_id] += (cue,)
        return found

    def top_for_concept(
        self, concept_id: str, *, version_id: str | None = None, limit: int = 12
    ) -> tuple[CueRecord, ...]:
        """The cues in which a concept is most active."""
        query = _joined().where(Cue.concept_id == concept_id)
        if version_id is not None:
            query = query.join(Case, Case.id == Cue.case_id).where(Case.version_id == version_id)
        return self._read(query.order_by(Cue.activation.desc(), Cue.id).limit(limit))

    def list(self, case_id: str) -> tuple[CueRecord, ...]:
        """The cues of a case by rank."""
        return self._read(_joined().where(Cue.case_id == case_id).order_by(Cue.rank, Cue.id))

    def _read(self, query: AnySelect) -> tuple[CueRecord, ...]:
        return tuple(
            build(
                CueRecord,
                row.Cue,
                number=row.number,
                level=row.level,
                name=row.shown,
                regions=tuple(RegionRecord(*box) for box in row.Cue.regions),
            )
            for row in self._session.execute(query)
        )


def _joined() -> AnySelect:
    return select(Cue, Concept.number, Concept.level, latest_name().label("shown")).join(
        Concept, Concept.id == Cue.concept_id
    )


def _check_grid(cue: NewCue) -> None:
    cells = cue.grid_rows * cue.grid_cols
    if cue.grid_rows < 1 or cue.grid_cols < 1 or len(cue.map_u8) != cells:
        raise InvalidValue(
            f"a map of {cue.grid_rows} by {cue.grid_cols} has {cells} bytes, not {len(cue.map_u8)}"
        )
    if len(cue.region_bits) != (cells + 7) // 8:
        raise InvalidValue(
            f"a region of {cells} patches packs into {(cells + 7) // 8} bytes, "
            f"not {len(cue.region_bits)}"
        )
