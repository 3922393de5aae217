"""A tiny project with a real (random) encoder, for runs that look at pictures again.

Pictures are 32 px, grid 4 x 4. Classes differ by a weak tint; a white sticker in a corner goes with
"blue" in 95 % of the training pictures and with "red" in 95 % of the reversed ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dashboard.bootstrap import build
from dashboard.settings import Settings
from db.migrate import upgrade
from db.records import new_id
from tests.builders import small_config, tiny_encoder, write_table
from tests.integration.services.world import World, reviewer

CLASSES = ("red", "blue")
TINT = {"red": (150, 120, 120), "blue": (120, 120, 150)}
SPLITS = {"train": 64, "val": 16, "reversed": 32}
CORNER = (0, 1)  # the patches that the sticker covers


def make_tuned_world(folder: Path, *, seed: int = 0, splits: Mapping[str, int] = SPLITS) -> World:
    """A migrated workspace with the project "stickers", discovered with the tiny encoder."""
    settings = Settings.load(folder, environ={})
    upgrade(settings.database_url)
    services = build(settings)
    table = _draw(folder / "data", np.random.default_rng(seed), splits)
    services.ingest.ingest(
        folder / "data", "stickers", labels=table, split_column="split", classes=CLASSES
    )
    encoder = str(tiny_encoder(folder / "encoder"))
    found = services.discovery.discover("stickers", encoder=encoder, config=small_config())
    project = services.projects.get("stickers")
    return World(services, settings, project.id, found.version)


def judge_stickers(world: World, name: str = "Ada", most: int = 12) -> dict[str, int]:
    """In cases with a sticker, cues strongest on it are spurious, others correct; words given."""
    review, me = world.services.review, reviewer(world, name)
    given = {"spurious": 0, "correct": 0}
    with world.services.uow(read_only=True) as uow:
        images = uow.images.list(world.project_id)
    with_sticker = {image.relpath for image in images if image.meta.get("sticker") == "yes"}
    for row in review.queue(world.project_id, me):
        if row.split != "train" or row.image_name not in with_sticker:
            continue
        if min(given.values()) >= most:
            break
        for cue in review.case(world.project_id, row.case_id, me).cues:
            strongest = int(np.frombuffer(cue.map_u8, dtype=np.uint8).argmax())
            value = "spurious" if strongest in CORNER else "correct"
            if given[value] < most:
                review.give_verdict(
                    id=new_id(), cue_id=cue.id, reviewer_id=me, value=value, based_on=0
                )
                given[value] += 1
    return given


def _draw(folder: Path, rng: np.random.Generator, splits: Mapping[str, int]) -> Path:
    rows = []
    for split, count in splits.items():
        for index in range(count):
            label = CLASSES[index % 2]
            usual = rng.random() < 0.95
            sticker = (label == "blue") == (usual if split != "reversed" else not usual)
            file = f"images/{split}-{index:03d}.png"
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(_picture(rng, TINT[label], sticker)).save(folder / file)
            rows.append(
                {"file": file, "label": label, "split": split,
                 "sticker": "yes" if sticker else "no"}
            )  # fmt: skip
    return write_table(folder / "labels.csv", rows)


def _picture(
    rng: np.random.Generator, tint: tuple[int, int, int], sticker: bool
) -> NDArray[np.uint8]:
    pixels = np.array(tint) + rng.normal(0, 14, (32, 32, 3))
    if sticker:
        pixels[0:8, 0:16] = 250
    return pixels.clip(0, 255).astype(np.uint8)
