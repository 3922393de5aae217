"""Layers over a case: the mask that came with the image, and attribution maps."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import ImageError
from dashboard.bootstrap import Services
from dashboard.services.layers import SIDE, evidence_png, mask_png
from db.errors import NotFound
from db.records import CaseRecord, VersionRecord, new_id
from tests.builders import image_folder, save_mask, small_config, tiny_encoder, workspace


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Services:
    """A discovered project in which the first image has a mask."""
    folder = tmp_path_factory.mktemp("layers")
    table = image_folder(folder / "data", 6)
    with table.open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    save_mask(folder / "data" / "masks" / "first.png")
    for number, row in enumerate(rows):
        row["mask"] = "masks/first.png" if number == 0 else ""
    with table.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    made = workspace(folder)
    made.ingest.ingest(
        folder / "data", "tiles", labels=table, split_column="split", mask_column="mask"
    )
    made.discovery.discover(
        "tiles", encoder=str(tiny_encoder(folder / "encoder")), config=small_config()
    )
    return made


def cases(services: Services) -> tuple[VersionRecord, CaseRecord, CaseRecord]:
    """The version, the case with a mask and one without."""
    project = services.projects.get("tiles")
    with services.uow(read_only=True) as uow:
        version = uow.versions.active(project.id)
        assert version is not None
        found = uow.cases.list(version.id)
    return (
        version,
        next(case for case in found if case.image.mask_path),
        next(case for case in found if not case.image.mask_path),
    )


def opened(content: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(content))
    assert (picture.format, picture.mode) == ("PNG", "L")
    return np.asarray(picture)


def test_what_there_is(services: Services) -> None:
    version, masked, bare = cases(services)
    first, *methods = services.layers.available(masked, version)
    assert first[:3] == ("mask", "Ground truth", "mask")
    assert [key for key, *_ in services.layers.available(bare, version)] == [m[0] for m in methods]
    keys = {key for key, *_ in methods}
    assert {"concepts", "grad-cam", "occlusion", "rollout"} <= keys
    assert all(kind == "attribution" and about for _, _, kind, about in methods)


def test_the_mask_is_the_one_that_came_with_the_image(services: Services) -> None:
    _, masked, bare = cases(services)
    grey = opened(services.layers.png(masked.id, "mask"))
    assert grey.shape == (masked.image.height, masked.image.width)
    half = masked.image.height // 2
    assert (grey[:half] == 255).all()
    assert (grey[half:] == 0).all()
    with pytest.raises(NotFound, match="mask"):
        services.layers.png(bare.id, "mask")


def test_a_map_is_drawn_from_what_speaks_for_the_decision(services: Services) -> None:
    _, case, _ = cases(services)
    grey = opened(services.layers.png(case.id, "grad-cam"))
    values = services.attribute.case_map(case.id, "grad-cam").values_GV
    assert grey.shape == values.shape
    expected = np.maximum(values, 0) / values.max()
    np.testing.assert_allclose(grey / 255, expected, atol=1 / 255)
    assert services.layers.png(case.id, "grad-cam") == services.layers.png(case.id, "grad-cam")


def test_unknown_keys_are_not_found_whatever_they_hold(services: Services) -> None:
    _, case, _ = cases(services)
    for key in ("magic", "", "../mask", "mask.png"):
        with pytest.raises(NotFound):
            services.layers.png(case.id, key)
    with pytest.raises(NotFound):
        services.layers.png(new_id(), "mask")


def test_a_lost_mask_is_refused_in_words(services: Services, tmp_path: Path) -> None:
    _, masked, _ = cases(services)
    project = services.projects.get("tiles")
    with services.uow(read_only=True) as uow:
        root = Path(uow.projects.get(project.id).root)
    file = root / str(masked.image.mask_path)
    file.rename(tmp_path / "away.png")
    try:
        with pytest.raises(ImageError):
            services.layers.png(masked.id, "mask")
    finally:
        (tmp_path / "away.png").rename(file)


def test_pictures_of_masks_and_maps() -> None:
    wide = np.zeros((600, 3000), bool)
    wide[:, :1500] = True
    grey = opened(mask_png(wide))
    assert grey.shape[1] == SIDE
    assert set(np.unique(grey[:, : SIDE // 2 - 2])) == {255}
    flat = opened(evidence_png(-np.ones((2, 3), np.float32)))
    assert flat.max() == 0
