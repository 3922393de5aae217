"""A tiny project with a planted shortcut, made without an encoder: tokens are written directly.

12 directions of token space are 12 concepts (the autoencoder is the identity): 0 and 1 are the
true signs of the classes "naevus" and "melanoma", 2 is a "ruler" that goes with melanoma in 95 %
of the training images and with naevus in the reversed ones. Grid 4 x 4.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from core.artifacts import save_bundle
from core.heads import fit_head
from core.sae import SAEConfig, SparseAutoencoder
from core.types import ConceptName, EncoderInfo, RunnerUp
from dashboard.bootstrap import Services, build
from dashboard.settings import Settings
from db.migrate import upgrade
from db.records import NewImage, new_id

CLASSES = ("naevus", "melanoma")
D, GRID, RULER = 12, (4, 4), 2
NAMES = ("round border", "streaks", "ruler", "hair")
SPLITS = {"train": 120, "test": 40, "reversed": 40}


@dataclass(frozen=True)
class World:
    """A built project."""

    services: Services
    settings: Settings
    project_id: str
    version_hash: str


def make_world(folder: Path, *, seed: int = 0, splits: dict[str, int] | None = None) -> World:
    """A migrated workspace in `folder` with the project "tiny" and its first, active version."""
    settings = Settings.load(folder, environ={})
    upgrade(settings.database_url)
    services = build(settings)
    rng = np.random.default_rng(seed)
    images, tokens, labels = _draw(folder / "images", rng, splits or SPLITS)
    with services.uow() as uow:
        project = uow.projects.add(
            "tiny",
            str(folder / "images"),
            classes=CLASSES,
            vocabulary={"terms": [{"name": "dark corner", "synonyms": [], "parent": None}]},
            notice="synthetic phantom, not for clinical use",
        )
        uow.images.add_many(project.id, images)
        uow.commit()
    info = EncoderInfo("demo", "ab" * 32, D, GRID, 32)
    store = services.engines.tokens(project.id, info.hash)
    pairs = zip(images, tokens, strict=True)
    store.write((image.sha256, torch.from_numpy(found)) for image, found in pairs)
    bundle = _save(settings, project.id, info, images, tokens, labels)
    version = services.publisher.publish(project.id, bundle, state="active")
    return World(services, settings, project.id, version.hash)


def reviewer(world: World, name: str = "Ada") -> str:
    """A signed-in reviewer's id."""
    return world.services.review.sign_in(name)


def judge(world: World, reviewer_id: str, count: int = 8) -> int:
    """An honest reviewer: the ruler is spurious, the two signs are correct. Verdicts given."""
    given = 0
    for row in world.services.review.queue(world.project_id, reviewer_id):
        case = world.services.review.case(world.project_id, row.case_id, reviewer_id)
        for cue in case.cues:
            value = {0: "correct", 1: "correct", RULER: "spurious"}.get(cue.concept)
            if value is None or (value == "correct" and given % 2):
                continue
            world.services.review.give_verdict(
                id=new_id(), cue_id=cue.id, reviewer_id=reviewer_id, value=value, based_on=0
            )
            given += value == "spurious"
        if given >= count:
            break
    return given


def _draw(
    folder: Path, rng: np.random.Generator, splits: dict[str, int]
) -> tuple[list[NewImage], list[np.ndarray], np.ndarray]:
    folder.mkdir(parents=True)
    images, tokens, labels = [], [], []
    for split, count in splits.items():
        for index in range(count):
            label = index % 2
            usual = rng.random() < 0.95
            ruler = (label == 1) == (usual if split != "reversed" else not usual)
            images.append(_image(folder, f"{split}-{index:03d}.png", split, label, rng))
            tokens.append(_tokens(rng, label, ruler))
            labels.append(label)
    return images, tokens, np.array(labels)


def _image(folder: Path, name: str, split: str, label: int, rng: np.random.Generator) -> NewImage:
    from core.images import load_image

    pixels = rng.integers(60, 200, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / name)
    return NewImage(name, load_image(folder / name).sha256, 32, 24, CLASSES[label], split)


def _tokens(rng: np.random.Generator, label: int, ruler: bool) -> np.ndarray:
    tokens = np.abs(rng.normal(0, 0.12, (GRID[0] * GRID[1], D))).astype(np.float32)
    # The true sign is weaker and noisier than the ruler, so a head prefers the ruler.
    place = rng.integers(0, 12)
    tokens[place, label] += rng.normal(0.9, 0.35)
    tokens[place + 1, label] += rng.normal(0.9, 0.35)
    if ruler:
        tokens[12:15, RULER] += 2.0
    tokens[rng.integers(0, 16), 3 + rng.integers(0, 9)] += 0.8
    return tokens


def _save(
    settings: Settings,
    project_id: str,
    info: EncoderInfo,
    images: list[NewImage],
    tokens: list[np.ndarray],
    labels: np.ndarray,
) -> Path:
    sae = SparseAutoencoder(SAEConfig(d=D, n=D, k=2, group_fractions=(0.25, 0.75)))
    with torch.no_grad():
        sae.W_enc.copy_(torch.eye(D))
        sae.W_dec.copy_(torch.eye(D))
        sae.threshold.fill_(0.2)
    sae.requires_grad_(False)
    train = [i for i, image in enumerate(images) if image.split == "train"]
    acts = (sae.encode_dense(torch.from_numpy(tokens[i])) for i in train)
    pooled = np.stack([act.amax(0).numpy() for act in acts])
    head = fit_head(pooled, labels[train], CLASSES, c=1.0)
    names = tuple(
        ConceptName(NAMES[n], 0.5, 0.1, (RunnerUp("stripe", 0.4),))
        if n < len(NAMES)
        else ConceptName(None, 0.1, 0.0)
        for n in range(D)
    )
    return save_bundle(
        settings.versions_folder(project_id), sae=sae, head=head, relations=(), names=names,
        encoder=info, seed=0, config={}, data_hash="00" * 32, metrics={},
    )  # fmt: skip
