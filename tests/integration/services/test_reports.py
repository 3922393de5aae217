"""Reports: one view, three formats, nothing that a browser or a spreadsheet would run."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from core.errors import ConfigError
from dashboard.services.overlays import OUTLINE, overlay
from dashboard.services.reports import CSV_COLUMNS
from dashboard.services.tables import quote_cell, unquote_cell
from dashboard.services.verdict_io import COLUMNS
from db.records import new_id
from tests.integration.services.world import RULER, World, judge, make_world, reviewer

NASTY = '=HYPERLINK("http://x")<script>alert(1)</script>'


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    world = make_world(tmp_path_factory.mktemp("reports") / "ws", splits={"train": 40, "test": 8})
    me = reviewer(world)
    judge(world, me, count=4)
    row = next(r for r in world.services.concepts.list(world.project_id) if r.concept == RULER)
    world.services.concepts.rename(
        id=new_id(), concept_id=row.id, reviewer_id=me, name=NASTY, reason="=1+1", based_on=0
    )
    return world


class Page(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_view_adds_up(world: World) -> None:
    view = world.services.reports.view(world.project_id)
    assert view.spurious == 4
    assert view.verdicts == view.correct + view.spurious + view.unsure
    assert (view.cases_total, view.reviewers) == (48, ("Ada",))
    assert view.cases_reviewed >= 4
    assert view.concepts[0].spurious == 4
    assert view.concepts[0].name == NASTY
    assert [(former, event.name) for former, event in view.renames] == [("ruler", NASTY)]
    assert view.version is not None
    assert view.version.hash == world.version_hash


def test_html_stands_alone_and_runs_nothing(world: World) -> None:
    text = world.services.reports.export(world.project_id, "html").decode()
    page = Page(text)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object"}
    assert "&lt;script&gt;" in text
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert images
    assert all((a["src"] or "").startswith("data:image/") and a["alt"] for a in images)
    assert not re.search(r"(src|href)=.https?:", text)
    assert text.count("synthetic phantom, not for clinical use") >= 2
    assert "@media print" in text
    assert "prefers-color-scheme: dark" in text
    assert world.version_hash in text


def test_csv_is_safe_in_a_spreadsheet(world: World) -> None:
    body = world.services.reports.export(world.project_id, "csv").decode()
    rows = list(csv.DictReader(io.StringIO(body)))
    view = world.services.reports.view(world.project_id)
    assert len(rows) == view.verdicts
    spurious = [row for row in rows if row["value"] == "spurious"]
    assert {row["concept_name"] for row in spurious} == {"'" + NASTY}
    assert not any((cell or "").startswith(("=", "+", "-", "@", "\t", "\r"))
                   for row in rows for cell in row.values())  # fmt: skip
    assert {row["notice"] for row in rows} == {"synthetic phantom, not for clinical use"}


def test_json_has_the_documented_structure(world: World) -> None:
    body = json.loads(world.services.reports.export(world.project_id, "json"))
    assert (body["format"], body["schema"]) == ("insight-report", 1)
    assert body["project"]["notice"] == "synthetic phantom, not for clinical use"
    assert len(body["verdicts_standing"]) == body["verdicts"]
    assert body["generated_at"].endswith("+00:00")
    assert set(body["verdicts_standing"][0]) >= {"id", "image_sha256", "concept", "value"}
    page = (Path(__file__).resolve().parents[3] / "docs" / "files.md").read_text("utf-8")
    documented = set(re.findall(r"`(\w+)`", page))
    assert set(body) <= documented
    assert set(CSV_COLUMNS) | set(COLUMNS) <= documented


def test_an_unknown_format_is_refused(world: World) -> None:
    with pytest.raises(ConfigError, match="html, csv or json"):
        world.services.reports.export(world.project_id, "pdf")


@pytest.mark.parametrize("text", ["=1", "'=1", "''-x", "plain", "'plain", "", "@a", "\tb", "-"])
def test_quoting_comes_back_unchanged(text: str) -> None:
    quoted = quote_cell(text)
    assert unquote_cell(quoted) == text
    assert not quoted.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_the_overlay_colours_the_map_and_outlines_the_region() -> None:
    import numpy as np

    grey = np.full((40, 40, 3), 128, dtype=np.uint8)
    region = np.zeros((4, 4), dtype=bool)
    region[0, 0] = True
    drawn = overlay(grey, bytes([255] + [0] * 15), np.packbits(region).tobytes(), (4, 4))
    assert tuple(drawn[0, 0]) == OUTLINE
    assert drawn[4, 4, 0] > 150 > 110 > drawn[4, 4, 2]
    assert tuple(drawn[35, 35]) == (128, 128, 128)
