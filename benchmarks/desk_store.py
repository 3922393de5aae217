"""A full store for the benchmark `desk`: many cases, cues, verdicts and concepts, in bulk.

Rows are written straight into the tables, as years of work would have left them; what the desk
then does with them goes through the services. Only the cases that are opened have image files.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Picture
from sqlalchemy import Connection, insert

from core.artifacts import load_bundle, save_bundle
from core.heads import LinearHead
from core.sae import SAEConfig, SparseAutoencoder
from core.types import ConceptName, EncoderInfo
from dashboard.settings import Settings
from db.engine import create_engine
from db.migrate import upgrade
from db.models import Base, Case, Cue, Image, Verdict
from db.records import NewConcept, NewVersion, RelationRecord
from db.unit_of_work import UnitOfWorkFactory, uow_factory

CLASSES = ("naevus", "melanoma", "keratosis")
RATERS = tuple(f"Rater {n}" for n in range(1, 6))
CUES = 5  # of a case
OPENED_CUES = 6  # of a case that is opened: what the keystroke model speaks of
GRID = 14
SIDE = 256  # pixels of an image
D = 64
START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
BATCH = 5000


@dataclass(frozen=True)
class Size:
    """How much there is. Verdicts: five raters on each of five cues, from the first case on."""

    cases: int
    verdicts: int
    concepts: int
    opened: int  # cases from the first open one on that have an image file
    every_file: bool = False  # every case has one

    @property
    def judged(self) -> int:
        """Cases that every rater judged; the next one is the first open one."""
        return self.verdicts // (CUES * len(RATERS))


@dataclass(frozen=True)
class FullStore:
    """A filled workspace."""

    settings: Settings
    project_id: str
    size: Size


def fill(folder: Path, size: Size, seed: int) -> FullStore:
    """A migrated workspace of that size; the same seed gives the same rows but for ids.

    Raises:
        ValueError: when the verdicts do not leave enough open cases.
    """
    if size.judged + size.opened > size.cases:
        raise ValueError(f"{size} leaves fewer than {size.opened} open cases")
    settings = Settings.load(folder, environ={})
    settings.workspace.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database_url)
    store = uow_factory(create_engine(settings.database_url))
    rng = np.random.default_rng(seed)
    project_id, version_id, concepts = _frame(store, settings, size.concepts, rng)
    raters = _raters(store)
    with store.engine.begin() as connection:
        cases = _cases(connection, folder / "images", project_id, version_id, size, rng)
        cues = _cues(connection, cases, concepts, size, rng)
        _verdicts(connection, cues, project_id, raters, size, rng)
    with store() as uow:
        uow.queue.recount(version_id)  # counters that the repositories keep at every write
        uow.commit()
    with store.engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        connection.commit()
    store.engine.dispose()
    return FullStore(settings, project_id, size)


def _raters(store: UnitOfWorkFactory) -> list[str]:
    with store() as uow:
        ids = [uow.reviewers.get_or_create(name).id for name in RATERS]
        uow.commit()
    return ids


def _frame(
    store: UnitOfWorkFactory, settings: Settings, count: int, rng: np.random.Generator
) -> tuple[str, str, list[str]]:
    """The project, its active version and its concepts; returns their ids."""
    images = settings.workspace / "images"
    with store() as uow:
        project = uow.projects.add("full", str(images), classes=CLASSES, vocabulary={"terms": []})
        uow.commit()
    bundle_folder = _bundle(settings.versions_folder(project.id), count, rng)
    manifest = load_bundle(bundle_folder).manifest
    with store() as uow:
        version = uow.versions.add(
            project.id,
            NewVersion(
                hash=manifest.version_hash, kind="discover", encoder_spec="demo",
                dictionary_hash=manifest.dictionary_hash, encoder_hash=manifest.encoder.hash,
                folder=str(bundle_folder), seed=0, classes=CLASSES, code_version="benchmark",
            ),
        )  # fmt: skip
        uow.versions.set_state(version.id, "active")
        key = manifest.dictionary_hash
        uow.concepts.add_many(project.id, key, [_concept(n, rng) for n in range(count)])
        edges = [RelationRecord(n, n // 8, "is-a", 0.8, 100) for n in range(8, count)]
        uow.relations.add_many(project.id, key, edges)
        ids = uow.concepts.ids(project.id, key)
        uow.commit()
    return project.id, version.id, [ids[n] for n in range(count)]


_WORDS = ("round", "dark", "pale", "sharp", "fine", "broad", "blue", "linear", "spotted", "scaly")


def _name(number: int) -> str:
    first, second = _WORDS[number % 10], _WORDS[number // 10 % 10]
    return f"{first} {second} sign {number}"


def _concept(number: int, rng: np.random.Generator) -> NewConcept:
    return NewConcept(number, number % 4, float(rng.uniform(0.001, 0.3)), _name(number), 0.3, 0.1)


def _bundle(folder: Path, count: int, rng: np.random.Generator) -> Path:
    """A model version of that many concepts with random weights."""
    torch.manual_seed(int(rng.integers(2**31)))
    sae = SparseAutoencoder(SAEConfig(d=D, n=count, k=4))
    head = LinearHead(
        weight_CN=rng.normal(0, 0.2, (len(CLASSES), count)).astype(np.float32),
        bias_C=np.zeros(len(CLASSES), dtype=np.float32),
        classes=CLASSES,
    )
    names = tuple(ConceptName(_name(n), 0.3, 0.1) for n in range(count))
    info = EncoderInfo("demo", "ab" * 32, D, (GRID, GRID), SIDE)
    return save_bundle(
        folder, sae=sae, head=head, relations=(), names=names, encoder=info, seed=0, config={},
        data_hash="00" * 32, metrics={},
    )  # fmt: skip


def _ids(count: int, rng: np.random.Generator) -> list[str]:
    """Random ids in the form of uuids: spread over an index as real ones are."""
    raw = rng.bytes(16 * count).hex()
    parts = (raw[at : at + 32] for at in range(0, 32 * count, 32))
    return [f"{p[:8]}-{p[8:12]}-4{p[13:16]}-a{p[17:20]}-{p[20:]}" for p in parts]


def _write(connection: Connection, model: type[Base], rows: Iterable[dict[str, Any]]) -> None:
    waiting = iter(rows)
    while batch := list(islice(waiting, BATCH)):
        connection.execute(insert(model), batch)


def _cases(
    connection: Connection, folder: Path, project_id: str, version_id: str, size: Size,
    rng: np.random.Generator,
) -> list[str]:  # fmt: skip
    """Images and cases in queue order; returns the case ids."""
    images, cases = _ids(size.cases, rng), _ids(size.cases, rng)
    opened = range(size.judged, size.judged + size.opened)
    hashes = _files(folder, range(size.cases) if size.every_file else opened, rng)

    def image_rows() -> Iterator[dict[str, Any]]:
        for at, image_id in enumerate(images):
            sha = hashes.get(at) or hashlib.sha256(str(at).encode()).hexdigest()
            yield {
                "id": image_id, "project_id": project_id, "relpath": f"{at:06d}.jpg",
                "sha256": sha, "width": SIDE, "height": SIDE, "label": CLASSES[at % 3],
                "split": "train" if size.every_file and at % 4 else "test", "group_name": None,
                "mask_path": None, "meta": {}, "created_at": START,
            }  # fmt: skip

    def case_rows() -> Iterator[dict[str, Any]]:
        sure = rng.uniform(0.4, 0.99, size.cases)
        for at, (case_id, image_id) in enumerate(zip(cases, images, strict=True)):
            rest = (1 - sure[at]) / 2
            yield {
                "id": case_id, "project_id": project_id, "image_id": image_id,
                "version_id": version_id, "prediction": CLASSES[0], "confidence": float(sure[at]),
                "logit": 1.5, "bias": 0.1, "queue_order": at, "explanation": EXPLANATION,
                "queue_reason": "uncertain", "queue_score": 1 - float(sure[at]),
                "probabilities": tuple(zip(CLASSES, (float(sure[at]), rest, rest), strict=True)),
            }  # fmt: skip

    _write(connection, Image, image_rows())
    _write(connection, Case, case_rows())
    return cases


EXPLANATION: dict[str, Any] = {
    "narrative": "The signs speak for a naevus.",
    "reconstruction": 0.8,
    "other": 0.1,
    "explained": CLASSES[0],
    "tree": [],
    "class_set": None,
    "counterfactual": None,
    "rank_agreement": 0.9,
    "doubts": {},
}


def _files(folder: Path, places: range, rng: np.random.Generator) -> dict[int, str]:
    """Image files of the cases that will be opened; their hashes by place."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for at in places:
        coarse = Picture.fromarray(rng.integers(40, 220, (16, 16, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        coarse.resize((SIDE, SIDE), Picture.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        (folder / f"{at:06d}.jpg").write_bytes(buffer.getvalue())
        found[at] = hashlib.sha256(buffer.getvalue()).hexdigest()
    return found


def _cues(
    connection: Connection, cases: list[str], concepts: list[str], size: Size,
    rng: np.random.Generator,
) -> list[tuple[str, str, str]]:  # fmt: skip
    """Cues of every case; returns (case, cue, concept) of those that get verdicts."""
    blob = rng.integers(0, 256, (64, GRID * GRID), dtype=np.uint8)
    region = np.packbits(np.eye(GRID, dtype=bool).ravel()).tobytes()
    box = ((0.2, 0.2, 0.5, 0.5, 0.09),)
    judged: list[tuple[str, str, str]] = []

    def rows() -> Iterator[dict[str, Any]]:
        for at, case_id in enumerate(cases):
            count = CUES if at < size.judged else OPENED_CUES
            chosen = rng.choice(len(concepts), count, replace=False)
            for rank, (cue_id, concept) in enumerate(zip(_ids(count, rng), chosen, strict=True)):
                if at < size.judged:
                    judged.append((case_id, cue_id, concepts[concept]))
                yield {
                    "id": cue_id, "case_id": case_id, "concept_id": concepts[concept],
                    "rank": rank, "activation": 1.0 - rank / 10, "contribution": 0.9 - rank / 10,
                    "causal_effect": 0.8 - rank / 10, "grid_rows": GRID, "grid_cols": GRID,
                    "map_u8": blob[(at + rank) % 64].tobytes(), "region_bits": region,
                    "regions": box,
                }  # fmt: skip

    _write(connection, Cue, rows())
    return judged


def _verdicts(
    connection: Connection, cues: list[tuple[str, str, str]], project_id: str, raters: list[str],
    size: Size, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Every rater on every judged cue, case after case, as they would have come in."""
    words = np.array(["correct", "spurious", "unsure"])

    def rows() -> Iterator[dict[str, Any]]:
        for at, (case_id, cue_id, concept_id) in enumerate(cues):
            values = words[rng.choice(3, len(raters), p=(0.6, 0.3, 0.1))]
            for rater, value, verdict_id in zip(
                raters, values, _ids(len(raters), rng), strict=True
            ):
                yield {
                    "id": verdict_id, "cue_id": cue_id, "case_id": case_id,
                    "concept_id": concept_id, "project_id": project_id, "reviewer_id": rater,
                    "value": str(value), "scope": "here", "reason": None, "comment": "",
                    "revision": 1, "undoes": None, "created_at": START + timedelta(seconds=at),
                }  # fmt: skip

    _write(connection, Verdict, rows())
