"""The viewer's packet and script, and the plain views."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from importlib import resources

import numpy as np
import pytest
from PIL import Image

from core import agreement
from dashboard.components import words
from dashboard.components.bundle import MODULES, asset, bundle
from dashboard.components.picture import Picture
from dashboard.components.viewer import Ack, Sitting, packet
from dashboard.services.project_settings import parse
from dashboard.viewmodels import ClassSetView, MetricRow, RegionView
from dashboard.views import chrome, figures, pictures, text
from tests import fakes

SITTING = Sitting("s", "r", "p", ("naevus", "melanoma"))


def unpack(data: bytes) -> tuple[dict[str, object], dict[str, bytes]]:
    length = int.from_bytes(data[:4], "little")
    model = json.loads(data[4 : 4 + length])
    blobs = model["blobs"].items()
    return model, {name: data[4 + length + at :][:size] for name, (at, size) in blobs}


def test_packet_carries_picture_and_maps_untouched() -> None:
    services = fakes.services(fakes.Book(hostile=True))
    case = services.review.case("", None, services.review.sign_in("Ada"))
    picture = Picture(bytes(range(256)), "image/png")
    model, blobs = unpack(packet(case, picture, SITTING, {"e": Ack(False, "no")}))
    assert blobs["image"] == picture.content
    assert [blobs[f"map{i}"] for i in range(len(case.cues))] == [c.map_u8 for c in case.cues]
    assert model["acks"] == {"e": {"ok": False, "message": "no"}}
    assert model["cues"][1]["name"] == fakes.HOSTILE  # type: ignore[index]


def test_equal_cases_make_equal_packets() -> None:
    """Streamlit leaves the component alone only when nothing changed."""
    services = fakes.services()
    case = services.review.case("", None, services.review.sign_in("Ada"))
    picture = Picture(b"x", "image/png")
    assert packet(case, picture, SITTING, {}) == packet(case, picture, SITTING, {})


def test_every_module_is_bundled_and_nothing_is_imported_any_more() -> None:
    folder = resources.files("dashboard.components") / "viewer_assets"
    files = {item.name for item in folder.iterdir() if item.name.endswith(".js")}
    assert files == {f"{name}.js" for name in MODULES}
    script = bundle()
    assert not re.search(r"^\s*import\b", script, re.MULTILINE)
    assert re.findall(r"^export \w+", script, re.MULTILINE) == ["export default"]


def test_modules_do_not_clash_when_put_together() -> None:
    names = re.findall(r"^(?:async )?(?:const|let|function|class) (\w+)", bundle(), re.MULTILINE)
    names += [n for row in re.findall(r"^const (\w+ = \d+(?:, \w+ = \d+)+)", bundle(), re.MULTILINE)
              for n in re.findall(r"(\w+) =", row)[1:]]  # fmt: skip
    assert not {name for name, count in Counter(names).items() if count > 1}


@pytest.mark.parametrize("sink", ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"])
def test_the_script_never_parses_markup(sink: str) -> None:
    assert sink not in bundle()


def test_the_style_sheet_follows_the_theme() -> None:
    css = asset("viewer.css")
    for variable in ("--st-text-color", "--st-background-color", "--st-border-color"):
        assert variable in css


def test_the_packet_says_what_is_hidden_and_nothing_of_it() -> None:
    services = fakes.services()
    services.settings_of.now = parse({"blind": ["prediction", "labels", "model", "peers"]})
    case = services.review.case("", None, services.review.sign_in("Ada"))
    model, _ = unpack(packet(case, Picture(b"x", "image/png"), SITTING, {}))
    assert model["hidden"] == ["labels", "model", "peers", "prediction"]
    assert (model["prediction"], model["label"], model["version"]) == ("", None, "")
    assert (model["what_if"], model["narrative"], model["probabilities"]) == (None, "", [])
    assert "Prediction hidden" in str(model["alt"])
    assert "logit" not in str(model["alt"])


def test_trust_has_the_engines_words() -> None:
    assert (words.FAIR, words.GOOD) == (agreement.FAIR, agreement.GOOD)
    for value in (0.0, words.FAIR, words.GOOD, 1.0):
        assert words.trust(value) == agreement.trust_in_words(value)


def test_sets_of_classes_in_words() -> None:
    some = ClassSetView(("naevus", "melanoma"), 0.9, True, "Checked.")
    many = ClassSetView(("seborrhoeic keratosis", "melanoma"), 0.9, True, "")
    assert words.held(None, 3) == ""
    assert words.held(some, 3) == "naevus, melanoma"
    assert words.held(some, 2) == "any class"
    assert words.held(many, 3) == "2 of 3 classes"
    assert words.held_in_full(some) == (
        "Answer set of 90 %: naevus, melanoma. Checked. A class outside it is not excluded for "
        "this very case."
    )
    assert words.held_in_full(None) == ""


def test_places_in_words() -> None:
    corner = RegionView(0.0, 0.0, 0.2, 0.2, 0.04)
    middle = RegionView(0.4, 0.4, 0.6, 0.6, 0.03)
    assert words.place(()) == "no clear region"
    assert words.place((corner,)) == "upper left, 4 % of the image"
    assert words.place((middle, RegionView(0.9, 0.9, 1, 1, 0.01))) == (
        "centre and 1 more, 4 % of the image"
    )


def test_text_alternative_names_prediction_label_and_cues() -> None:
    services = fakes.services()
    case = services.review.case("", None, services.review.sign_in("Ada"))
    said = words.picture(case)
    for part in (case.image_name, case.prediction, str(case.label), case.cues[0].name):
        assert part in said


@pytest.mark.parametrize("name", ["*x*", "[a](b)", "<i>x</i>", ":red[x]", "$x$", "`x`", "# x"])
def test_plain_escapes_what_markdown_reads(name: str) -> None:
    shown = chrome.plain(name)
    assert re.sub(r"\\(.)", r"\1", shown) == name
    assert not re.search(r"(?<!\\)[*_\[\]<>:$`#]", shown)


def test_words_for_figures() -> None:
    assert text.share(0.9876) == "98.8 %"
    assert text.share(None) == "\u2013"
    assert text.change(0.5, 0.625) == "+12.5 points"
    assert text.change(0.5, 0.4) == "\u221210.0 points"
    assert text.change(0.5, 0.5) == "\u00b10.0 points"
    assert text.change(None, 0.5) == "\u2013"
    assert text.plural(1, "case") == "1 case"


def test_plot_alternative_says_the_figures() -> None:
    rows = (MetricRow("test", "accuracy", "Accuracy", "share", 0.5, 0.75, True, ""),)
    _, said = figures.before_after(rows, "test")
    assert "Accuracy from 50.0 % to 75.0 %" in said


def test_overlay_tints_where_the_map_fires_only() -> None:
    grey = np.full((64, 64, 3), 128, dtype=np.uint8)
    map_GV = np.zeros((8, 8), dtype=np.uint8)
    map_GV[:, :4] = 255
    drawn = pictures.overlay(pictures.png(grey), (8, 8), map_GV.tobytes())
    rgb = np.asarray(Image.open(io.BytesIO(drawn)))
    assert tuple(rgb[112, 200]) == (128, 128, 128)
    assert rgb[112, 30, 2] > rgb[112, 30, 0]


@pytest.mark.parametrize("shape", [(64, 30), (30, 64), (1, 500), (500, 500)])
def test_examples_are_squares_whatever_the_image(shape: tuple[int, int]) -> None:
    image = pictures.png(np.full((*shape, 3), 200, dtype=np.uint8))
    for drawn in (pictures.thumbnail(image), pictures.overlay(image, (2, 2), bytes(4))):
        assert Image.open(io.BytesIO(drawn)).size == (pictures.SIDE, pictures.SIDE)
