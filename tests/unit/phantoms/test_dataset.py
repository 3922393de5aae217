"""The image folder that the demo project is ingested from."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.phantoms import CUE_NAMES, NOTICE, PLANTED, Split, generate, read_cue_masks, write_dataset

SPLITS = (Split("train", 4), Split("reversed", 3, strength=0.05))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    write_dataset(folder, SPLITS, seed=11, size=96)
    return folder


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_row_points_at_files_that_say_what_the_row_says(folder: Path) -> None:
    rows = _rows(folder)
    assert [row["split"] for row in rows] == ["train"] * 4 + ["reversed"] * 3
    for index, row in enumerate(rows):
        strength = 0.95 if row["split"] == "train" else 0.05
        phantom = generate(index, seed=11, size=96, shortcuts=PLANTED, strength=strength)
        with Image.open(folder / row["file"]) as image:
            assert np.array_equal(np.asarray(image), phantom.image)
        with Image.open(folder / row["mask"]) as mask:
            assert np.array_equal(np.asarray(mask) > 0, phantom.masks["lesion"])
        assert row["label"] == phantom.label
        assert row["group"].startswith(phantom.label)
        assert [row[name] for name in CUE_NAMES] == [str(int(n in phantom.cues)) for n in CUE_NAMES]


def test_ground_truth_reads_back(folder: Path) -> None:
    phantom = generate(0, seed=11, size=96, shortcuts=PLANTED, strength=0.95)
    masks = read_cue_masks(folder, _rows(folder)[0]["file"])
    assert masks.keys() == phantom.masks.keys()
    assert all(np.array_equal(masks[name], phantom.masks[name]) for name in masks)
    with pytest.raises(FileNotFoundError):
        read_cue_masks(folder, "images/other.png")


def test_the_folder_says_what_it_is(folder: Path) -> None:
    assert NOTICE in (folder / "NOTICE.txt").read_text(encoding="utf-8")


def test_writing_again_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path, SPLITS, seed=11, size=96)
    for path in sorted(folder.rglob("*.*")):
        if path.suffix in {".png", ".csv"}:
            assert path.read_bytes() == (tmp_path / path.relative_to(folder)).read_bytes()
