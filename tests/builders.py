"""Small real things for tests: pictures, folders with tables, an encoder, a migrated workspace.

Everything is seeded and made in well under a second, so that no test needs a download, a long
training or a stand-in for the code it tests.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from dashboard.bootstrap import Services
    from dashboard.services.demo import DemoPlan
    from dashboard.settings import Settings

COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (200, 60, 50),
    "green": (60, 180, 70),
    "blue": (50, 70, 200),
}
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)  # of the tiny encoder's preprocessing
VISION: Mapping[str, Any] = {
    "image_size": 32,
    "layers": 2,
    "width": 32,
    "head_width": 16,
    "patch_size": 8,
}
TEXT: Mapping[str, Any] = {
    "context_length": 16,
    "vocab_size": 49408,
    "width": 16,
    "heads": 2,
    "layers": 1,
}
TINY_DIM = 12


def picture(
    seed: int, colour: tuple[int, int, int] = (120, 120, 120), side: int = 40
) -> NDArray[np.uint8]:
    """A noisy picture of one colour with a dark square at a random place; uint8 [S, S, 3]."""
    rng = np.random.default_rng(seed)
    pixels = np.array(colour) + rng.normal(0, 12, (side, side, 3))
    y, x = rng.integers(0, side - side // 4, 2)
    pixels[y : y + side // 4, x : x + side // 4] = 20
    return pixels.clip(0, 255).astype(np.uint8)


def save_picture(path: Path, seed: int = 0, colour: tuple[int, int, int] = (120, 120, 120),
                 side: int = 40) -> Path:  # fmt: skip
    """Write `picture` to a file; the suffix decides the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed, colour, side)).save(path)
    return path


def save_mask(path: Path, side: int = 40) -> Path:
    """Write a mask with the upper half inside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((side, side), dtype=np.uint8)
    mask[: side // 2] = 255
    Image.fromarray(mask).save(path)
    return path


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Write a CSV table whose columns are the keys of the first row."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def image_folder(root: Path, per_class: int = 6, classes: Sequence[str] = ("red", "blue"),
                 *, splits: bool = True, masks: bool = False) -> Path:  # fmt: skip
    """A folder of labelled pictures with labels.csv (file, label, split, mask, group).

    Every third picture of a class is "test", the others are "train". Returns the table's path.
    """
    rows: list[dict[str, object]] = []
    for number, name in enumerate(classes):
        for index in range(per_class):
            file = f"images/{name}-{index:03d}.png"
            save_picture(root / file, 1000 * number + index, COLOURS[name])
            mask = f"masks/{name}-{index:03d}.png" if masks else ""
            if masks:
                save_mask(root / mask)
            split = ("test" if index % 3 == 2 else "train") if splits else ""
            group = f"{name} {'odd' if index % 2 else 'even'}"
            rows.append({"file": file, "label": name, "split": split, "mask": mask, "group": group})
    return write_table(root / "labels.csv", rows)


def tiny_encoder(folder: Path, seed: int = 0, **vision: Any) -> Path:
    """An open_clip folder with random weights: 32 px, 4x4 patches, 12 dimensions.

    `vision` overrides settings of the vision tower.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {"embed_dim": TINY_DIM, "vision_cfg": {**VISION, **vision}, "text_cfg": dict(TEXT)}
    preprocess = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    text = json.dumps({"model_cfg": config, "preprocess_cfg": preprocess})
    (folder / "open_clip_config.json").write_text(text, encoding="utf-8")
    (folder / "open_clip_model.safetensors").write_bytes(_tiny_weights(json.dumps(config), seed))
    return folder


@cache
def _tiny_weights(config: str, seed: int) -> bytes:
    import open_clip
    import torch
    from safetensors.torch import save

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.CLIP(**json.loads(config))
        for name, weight in model.named_parameters():
            if "ln_" in name:  # norms that do something, or their omission would go unseen
                torch.nn.init.normal_(weight, mean=0.5, std=0.3)
    return bytes(save({name: value.contiguous() for name, value in model.state_dict().items()}))


def settings(folder: Path, **environ: str) -> Settings:
    """Settings of a workspace below `folder`; nothing is read from the real environment."""
    from dashboard.settings import Settings

    return Settings.load(folder / "workspace", environ=environ)


def workspace(
    folder: Path, *, plan: DemoPlan | None = None, demo_bundle: Path | None = None
) -> Services:
    """Services of a fresh, migrated SQLite workspace below `folder`."""
    from dashboard.bootstrap import build
    from db.migrate import upgrade

    config = settings(folder)
    config.workspace.mkdir(parents=True, exist_ok=True)
    upgrade(config.database_url)
    if demo_bundle is None:
        return build(config, plan=plan)
    return build(config, plan=plan, demo_bundle=demo_bundle)


def small_config() -> Any:
    """Discovery sizes for `tiny_encoder`: 32 concepts, 60 steps."""
    from core.discovery import DiscoverConfig
    from core.sae import SAEConfig, TrainConfig

    return DiscoverConfig(
        sae=SAEConfig(d=TINY_DIM, n=32, k=4, group_fractions=(0.25, 0.75)),
        train=TrainConfig(steps=60, batch=256),
        head_c=1.0,
    )


def discovered(folder: Path, *, per_class: int = 9) -> Services:
    """A workspace with one project "tiles" that has a first model version."""
    services = workspace(folder)
    table = image_folder(folder / "data", per_class)
    services.ingest.ingest(
        folder / "data", "tiles", labels=table, split_column="split", group_column="group"
    )
    spec = str(tiny_encoder(folder / "encoder"))
    services.discovery.discover("tiles", encoder=spec, config=small_config())
    return services


def demo_bundle(folder: Path) -> Path:
    """A model version of phantoms, made with `tiny_encoder`: stands for the shipped one."""
    from core.phantoms import CLASSES
    from core.phantoms.dataset import Split, write_dataset

    services = workspace(folder)
    table = write_dataset(folder / "phantoms", (Split("train", 18), Split("test", 6)), size=64)
    services.ingest.ingest(
        folder / "phantoms", "maker", labels=table, mask_column="mask", split_column="split",
        classes=CLASSES,
    )  # fmt: skip
    spec = str(tiny_encoder(folder / "encoder"))
    found = services.discovery.discover("maker", encoder=spec, config=small_config())
    project = services.projects.get("maker")
    return services.settings.versions_folder(project.id) / found.version
