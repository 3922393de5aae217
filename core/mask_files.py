"""Segmentation masks on disk: PNG for people, run lengths for programs.

File names are made here and never taken from class names as they are: "../x" becomes "x".
Legend: H, W pixels; C classes.
"""

import io
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import ConfigError, InputError
from core.files import write_json
from core.images import png_bytes, safe_join
from core.segmentation import Segmentation
from core.types import BoolArray

MAX_CLASSES = 255  # of an indexed PNG; index 0 is background
_STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_GOLDEN = 0.61803398875  # turn of the colour wheel from class to class: neighbours stay apart


def save_masks(folder: Path, stem: str, result: Segmentation) -> tuple[Path, ...]:
    """Write one segmentation and return the files.

    STEM-labels.png      indexed colours, pixel value 0 = background, k + 1 = class k
    STEM-KK-NAME.png     one black and white mask per class that occurs
    STEM-masks.json      size, class names, files and COCO run lengths of every class that occurs

    Args:
        folder: made where it is missing.
        stem: begins the file names: letters, digits, ".", "_" and "-" only, no folder.
        result: of core.segmentation.segment, at most 255 classes.

    Raises:
        InputError: a stem that is no plain file name, or a link that leads out of the folder.
        ConfigError: too many classes.
    """
    if len(result.names) > MAX_CLASSES:
        raise ConfigError(f"{len(result.names)} classes do not fit an indexed picture")
    if not _STEM.fullmatch(stem) or ".." in stem:
        raise InputError(repr(stem), "not a plain file name")
    folder.mkdir(parents=True, exist_ok=True)
    written = [_write(folder, f"{stem}-labels.png", _indexed(result))]
    rows: list[dict[str, Any]] = []
    for k, name in enumerate(result.names):
        mask_HW = result.mask(k)
        if not mask_HW.any():
            continue
        file = f"{stem}-{k:02d}-{slug(name)}.png"
        written.append(_write(folder, file, png_bytes((mask_HW * 255).astype(np.uint8))))
        rows.append({"class": name, "index": k + 1, "file": file, "rle": run_lengths(mask_HW)})
    listing = safe_join(folder, f"{stem}-masks.json")
    height, width = result.labels_HW.shape
    write_json(listing, {"size": [height, width], "names": list(result.names), "masks": rows})
    return (*written, listing)


def slug(name: str) -> str:
    """A name as part of a file name: a-z, 0-9 and "-" only, at most 40 characters, never empty."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "class"


def run_lengths(mask_HW: NDArray[np.bool_]) -> dict[str, list[int]]:
    """COCO's uncompressed run lengths: columns one after the other, zeros first.

    Source: pycocotools' mask format, {"size": [H, W], "counts": [...]}.
    """
    flat = np.asarray(mask_HW, bool).ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    edges = np.concatenate(([0], changes, [flat.size]))
    counts = np.diff(edges)
    if flat.size and flat[0]:
        counts = np.concatenate(([0], counts))
    return {"size": list(mask_HW.shape), "counts": [int(n) for n in counts]}


def from_run_lengths(rle: dict[str, list[int]]) -> BoolArray:
    """The mask bool [H, W] of its run lengths. Raises ConfigError where they do not fill it."""
    height, width = rle["size"]
    counts = np.array(rle["counts"], np.int64)
    if (counts < 0).any() or counts.sum() != height * width:
        raise ConfigError("the run lengths do not fill the picture")
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return np.asarray(flat.reshape((height, width), order="F"))


def palette(count: int) -> NDArray[np.uint8]:
    """Colours uint8 [count + 1, 3]: black for background, then hues a golden turn apart."""
    hue = (np.arange(count) * _GOLDEN) % 1.0
    ramp = np.abs((hue[:, None] * 6 + np.array([0, 4, 2])) % 6 - 3) - 1
    colour = 255 * (0.35 + 0.65 * ramp.clip(0, 1))
    return np.vstack((np.zeros((1, 3)), colour)).round().astype(np.uint8)


def _indexed(result: Segmentation) -> bytes:
    picture = Image.fromarray((result.labels_HW + 1).astype(np.uint8))
    picture.putpalette(palette(len(result.names)).tobytes())  # makes it an indexed picture
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _write(folder: Path, name: str, content: bytes) -> Path:
    """Whole or not at all, and never outside the folder."""
    path = safe_join(folder, name)
    fresh = path.with_name(f".{path.name}.tmp")
    fresh.write_bytes(content)
    fresh.replace(path)
    return path
