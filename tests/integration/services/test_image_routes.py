"""The app's own routes over real files: full resolution, guards, passes, headers."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.errors import ImageError
from dashboard.bootstrap import Services
from dashboard.components.served import script
from dashboard.routes import HEADERS, image_path, layer_path, routes, security
from dashboard.services.image_files import FRESH, ImageFiles
from dashboard.services.passes import Passes
from dashboard.settings import Settings
from db.engine import create_engine
from db.errors import NotFound
from db.migrate import upgrade
from db.records import NewImage
from db.unit_of_work import UnitOfWorkFactory, uow_factory

CASE = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
WIDE, HIGH = 90, 60


class FakeLayers:
    """One layer that is there, one whose file has gone."""

    def png(self, case_id: str, key: str) -> bytes:
        if key == "mask":
            return b"\x89PNG mask"
        if key == "lost":
            raise ImageError("mask.png", "the file does not exist")
        raise NotFound("layer", key)


@dataclass(frozen=True)
class FakeServices:
    images: ImageFiles
    layers: FakeLayers


@dataclass(frozen=True)
class Shop:
    """A store with some images, and a browser before the routes."""

    client: TestClient
    passes: Passes
    images: ImageFiles
    ids: dict[str, str]
    folder: Path

    def get(self, path: str, headers: dict[str, str] | None = None, **query: str | int) -> Any:
        return self.client.get(self.passes.url(path, **query), headers=headers or {})


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    folder = tmp_path / "images"
    folder.mkdir()
    names = _pictures(folder)
    settings = Settings.load(tmp_path, environ={})
    upgrade(settings.database_url)
    uow = uow_factory(create_engine(settings.database_url))
    ids = _ingested(uow, folder, names)
    images = ImageFiles(uow)
    services = cast(Services, FakeServices(images, FakeLayers()))
    passes = Passes()
    app = Starlette(routes=routes(lambda: services, passes), middleware=security())
    return Shop(TestClient(app), passes, images, ids, folder)


def _pictures(folder: Path) -> tuple[str, ...]:
    rgb = np.random.default_rng(0).integers(0, 255, (HIGH, WIDE, 3), dtype=np.uint8)
    picture = Image.fromarray(rgb)
    picture.save(folder / "exact.png")
    turned = Image.Exif()
    turned[0x0112] = 6  # lies on its side
    turned[0x010E] = "a patient's name"
    picture.save(folder / "turned.jpg", exif=turned, quality=95)
    Image.fromarray(rgb[..., 0].astype(np.uint16) * 257).save(folder / "deep.tif")
    return ("exact.png", "turned.jpg", "deep.tif")


def _ingested(uow: UnitOfWorkFactory, folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    images = []
    for name in names:
        data = (folder / name).read_bytes()
        width, height = (HIGH, WIDE) if name == "turned.jpg" else (WIDE, HIGH)
        images.append(NewImage(name, hashlib.sha256(data).hexdigest(), width, height))
    with uow() as work:
        project = work.projects.add("tiny", str(folder), classes=("a", "b"))
        stored = work.images.add_many(project.id, images)
        work.commit()
    return {image.relpath: image.id for image in stored}


def opened(answer: Any) -> Image.Image:
    return Image.open(io.BytesIO(answer.content))


def test_a_picture_comes_with_every_pixel(shop: Shop) -> None:
    answer = shop.get(image_path(shop.ids["exact.png"]))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    with Image.open(shop.folder / "exact.png") as original:
        assert np.array_equal(np.asarray(opened(answer)), np.asarray(original))


def test_a_jpeg_stands_upright_and_says_nothing_of_where_it_was_taken(shop: Shop) -> None:
    answer = shop.get(image_path(shop.ids["turned.jpg"]))
    assert answer.headers["content-type"] == "image/jpeg"
    picture = opened(answer)
    assert picture.size == (HIGH, WIDE)
    assert not picture.getexif()
    assert b"patient" not in answer.content


def test_sixteen_bits_become_eight(shop: Shop) -> None:
    picture = opened(shop.get(image_path(shop.ids["deep.tif"])))
    assert (picture.mode, picture.size) == ("RGB", (WIDE, HIGH))


def test_a_preview_is_fitted_and_never_enlarged(shop: Shop) -> None:
    path = image_path(shop.ids["exact.png"])
    assert opened(shop.get(path, side=45)).size == (45, 30)
    assert opened(shop.get(path, side=5000)).size == (WIDE, HIGH)
    assert opened(shop.get(path, side=1)).size == (16, 11)


@pytest.mark.parametrize("query", ["", "?side=1600", "?pass=x&until=9999999999"])
def test_without_a_pass_there_is_nothing(shop: Shop, query: str) -> None:
    for path in (image_path(shop.ids["exact.png"]), layer_path(CASE, "mask")):
        answer = shop.client.get(path + query)
        assert answer.status_code == 403
        assert "reload" in answer.json()["message"]


def test_a_pass_for_one_picture_opens_no_other(shop: Shop) -> None:
    url = shop.passes.url(image_path(shop.ids["exact.png"]))
    other = url.replace(shop.ids["exact.png"], shop.ids["turned.jpg"])
    assert shop.client.get(url).status_code == 200
    assert shop.client.get(other).status_code == 403


@pytest.mark.parametrize("name", ["..", "../../etc/passwd", "%2e%2e%2fx", "a.png", CASE + "/x"])
def test_only_ids_are_taken(shop: Shop, name: str) -> None:
    assert shop.get(f"/insight/image/{name}").status_code in {403, 404}


def test_an_unknown_image_is_not_found(shop: Shop) -> None:
    assert shop.get(image_path(CASE)).status_code == 404


def test_an_altered_or_missing_file_is_refused_in_words(shop: Shop) -> None:
    path = image_path(shop.ids["exact.png"])
    assert shop.get(path).status_code == 200
    file = shop.folder / "exact.png"
    Image.new("RGB", (WIDE, HIGH)).save(file)
    refused = shop.get(path)
    assert refused.status_code == 409
    assert "changed since it was ingested" in refused.json()["message"]
    file.unlink()
    assert shop.get(path).status_code == 409


def test_a_case_is_checked_when_opened_and_not_with_every_verdict(shop: Shop) -> None:
    now = [0.0]
    images = ImageFiles(shop.images._uow, clock=lambda: now[0])
    images.check(shop.ids["exact.png"])
    (shop.folder / "exact.png").unlink()
    now[0] += FRESH - 1
    images.check(shop.ids["exact.png"])
    now[0] += 2
    with pytest.raises(ImageError, match="cannot be read"):
        images.check(shop.ids["exact.png"])
    with pytest.raises(ImageError, match="cannot be read"):  # a refusal is not remembered
        images.check(shop.ids["exact.png"])
    with pytest.raises(NotFound):
        images.ahead(CASE)


def test_the_browser_keeps_what_it_has(shop: Shop) -> None:
    path = image_path(shop.ids["exact.png"])
    first = shop.get(path)
    assert {"private", "immutable"} <= set(first.headers["cache-control"].split(", "))
    again = shop.get(path, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert shop.get(path, side=45).headers["etag"] != first.headers["etag"]


def test_layers_and_their_refusals(shop: Shop) -> None:
    found = shop.get(layer_path(CASE, "mask"))
    assert (found.status_code, found.content) == (200, b"\x89PNG mask")
    assert shop.get(layer_path(CASE, "lost")).json() == {
        "message": str(ImageError("mask.png", "the file does not exist"))
    }
    assert shop.get(layer_path(CASE, "made up")).status_code == 404


def test_every_answer_carries_security_headers(shop: Shop) -> None:
    health = shop.client.get("/health")
    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    assert {name: health.headers[name] for name in HEADERS} == HEADERS
    picture = shop.get(image_path(shop.ids["exact.png"]))
    assert "sandbox" in picture.headers["content-security-policy"]
    assert picture.headers["cross-origin-resource-policy"] == "same-origin"
    assert shop.client.get("/nowhere").headers["x-content-type-options"] == "nosniff"


def test_routes_only_read(shop: Shop) -> None:
    url = shop.passes.url(image_path(shop.ids["exact.png"]))
    assert shop.client.post(url).status_code == 405
    assert shop.client.head(url).status_code == 200


def test_what_was_encoded_is_kept_up_to_a_limit(shop: Shop) -> None:
    once = shop.images.encoded(shop.ids["exact.png"])
    assert shop.images.encoded(shop.ids["exact.png"]) is once
    small = ImageFiles(shop.images._uow, kept_bytes=len(once.content) + 1)
    first = small.encoded(shop.ids["exact.png"])
    small.encoded(shop.ids["turned.jpg"])
    assert small.encoded(shop.ids["exact.png"]) is not first


def test_the_viewers_script_needs_no_pass_and_may_be_kept_for_ever(shop: Shop) -> None:
    path, content = script()
    answer = shop.client.get(path)
    assert answer.status_code == 200
    assert answer.content == content
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]
    assert shop.client.get(path.replace(path.split("/")[3], "0" * 20)).status_code == 404
