import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.errors import ConfigError, InputError
from core.mask_files import from_run_lengths, palette, run_lengths, save_masks, slug
from core.segmentation import BACKGROUND, Segmentation


def result(names: tuple[str, ...] = ("../Blue veil", "hair", "never")) -> Segmentation:
    labels = np.array([[0, 0, BACKGROUND], [1, 0, 1]], np.int16)
    return Segmentation(names, labels, np.zeros((2, 3), np.float32))


def test_masks_come_back_as_they_were(tmp_path: Path) -> None:
    found = result()
    written = save_masks(tmp_path / "out", "case-1", found)
    assert [path.name for path in written] == [
        "case-1-labels.png", "case-1-00-blue-veil.png", "case-1-01-hair.png", "case-1-masks.json",
    ]  # fmt: skip
    with Image.open(written[0]) as indexed:
        assert indexed.mode == "P"
        assert np.array_equal(np.asarray(indexed).astype(int) - 1, found.labels_HW)
        assert indexed.getpalette()[3:6] == palette(3)[1].tolist()
    with Image.open(written[1]) as picture:
        assert np.array_equal(np.asarray(picture) > 0, found.mask(0))
    listing = json.loads(written[3].read_text(encoding="utf-8"))
    assert listing["size"] == [2, 3]
    assert [row["class"] for row in listing["masks"]] == ["../Blue veil", "hair"]
    for row in listing["masks"]:
        assert np.array_equal(from_run_lengths(row["rle"]), found.mask(row["index"] - 1))
    assert len(list((tmp_path / "out").iterdir())) == 4


@pytest.mark.parametrize("stem", ["../x", "a/b", "a\\b", "", ".hidden", "a..b", "c:x", "a\0b"])
def test_stems_that_are_no_plain_name_are_refused(tmp_path: Path, stem: str) -> None:
    with pytest.raises(InputError, match="plain file name"):
        save_masks(tmp_path, stem, result())
    assert not list(tmp_path.iterdir())


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    outside.write_bytes(b"mine")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "x-labels.png").symlink_to(outside)
    with pytest.raises(InputError, match="link leads out"):
        save_masks(folder, "x", result())
    assert outside.read_bytes() == b"mine"


def test_too_many_classes_are_refused(tmp_path: Path) -> None:
    names = tuple(f"class {k}" for k in range(256))
    with pytest.raises(ConfigError, match="256 classes"):
        save_masks(tmp_path, "x", result(names))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../etc/passwd", "etc-passwd"),
        ("Ödem (grün)", "odem-grun"),
        ("蓝", "class"),
        ("", "class"),
    ],
)
def test_names_become_safe(name: str, expected: str) -> None:
    assert slug(name) == expected


def test_run_lengths_by_hand() -> None:
    mask = np.array([[True, False], [True, True]])
    assert run_lengths(mask) == {"size": [2, 2], "counts": [0, 2, 1, 1]}
    assert run_lengths(~mask) == {"size": [2, 2], "counts": [2, 1, 1]}
    with pytest.raises(ConfigError, match="do not fill"):
        from_run_lengths({"size": [2, 2], "counts": [3]})


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_run_lengths_and_back(height: int, width: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    assert np.array_equal(from_run_lengths(run_lengths(mask)), mask)


def test_colours_differ() -> None:
    assert len({tuple(row) for row in palette(20).tolist()}) == 21
