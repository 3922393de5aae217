"""Model card and data card: read by the Hub's own reader, and by nothing else than text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import DatasetCard, ModelCard
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from core.errors import ConfigError, InputError, InsightError
from dashboard.cli import app
from dashboard.services.cards_text import front_matter, inline, scalar, seen, slug
from dashboard.services.exported import digest
from dashboard.services.run_work import run_inline
from db.records import NewImage, new_id
from tests.integration.services.world import World, judge, make_world, reviewer

HOSTILE = (
    '"\n---\nlicense: evil\n---\n# owned',
    "<script>alert(1)</script>",
    "[click](javascript:alert(1)) ![x](http://evil/x.png)",
    "| cell | break |",
    "a: b # c",
    "\u202egnp.exe",
    "yes",
    "2026-01-01",
    "&lt;b&gt; {{ 7*7 }} `code` *bold* @someone",
)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, str]:
    torch.set_num_threads(1)
    world = make_world(tmp_path_factory.mktemp("cards") / "ws")
    judge(world, reviewer(world), count=8)
    run = world.services.runs.start_reweight(
        id=new_id(), project_id=world.project_id, reviewer_id=reviewer(world), strategy="groups"
    )
    return world, run_inline(world.services, run.id).result_version or ""


def parsed(path: Path) -> tuple[dict[str, Any], str]:
    """Front matter and text of a card."""
    text = path.read_text(encoding="utf-8")
    _, matter, body = text.split("---\n", 2)
    return yaml.safe_load(matter), body


def both(world: World, folder: Path, version: str | None = None) -> tuple[Path, Path]:
    """Model card and data card."""
    cards = world.services.cards
    model = cards.model(world.project_id, folder / "model" / "README.md", version=version)
    return model.path, cards.data(world.project_id, folder / "data" / "README.md").path


def test_the_hub_reads_the_model_card(learnt: tuple[World, str], tmp_path: Path) -> None:
    world, version = learnt
    card = world.services.cards.model(
        world.project_id, tmp_path / "README.md", version=version[:8], license="cc-by-4.0"
    )
    read = ModelCard(card.path.read_text(encoding="utf-8"))
    assert read.data.license == "cc-by-4.0"
    assert read.data.library_name == "insight-review"
    assert read.data.pipeline_tag == "image-classification"
    assert read.data.eval_results
    splits = {(r.dataset_split, r.metric_type) for r in read.data.eval_results}
    assert splits == {("test", "accuracy"), ("reversed", "accuracy")}
    assert all(0 <= r.metric_value <= 1 for r in read.data.eval_results)
    matter, body = parsed(card.path)
    assert matter["model-index"][0]["results"][0]["metrics"][0]["type"] == "accuracy"
    for part in ("Intended use", "How it was made", "Evaluation", "Groups", "Review by people",
                 "Runs: before and after", "Limits", "Provenance"):  # fmt: skip
        assert f"## {part}\n" in body
    assert version in body
    assert world.version_hash in body
    assert "ruler" in body
    assert "Ada" not in body  # a card names no person


def test_the_figures_are_the_reports(learnt: tuple[World, str], tmp_path: Path) -> None:
    from dashboard.services.report_scope import ReportScope

    world, version = learnt
    card = world.services.cards.model(world.project_id, tmp_path / "a.md", version=version)
    content = world.services.reports.content(world.project_id, ReportScope(version=version))
    matter, body = parsed(card.path)
    told = {
        (result["dataset"]["split"], metric["value"])
        for result in matter["model-index"][0]["results"]
        for metric in result["metrics"][:1]
    }
    assert told == {
        (part.split, round(part.accuracy.value or 0.0, 6))
        for part in content.splits
        if part.held_out
    }
    assert all(inline(figure.text) in body for figure in content.headline)


def test_the_hub_reads_the_data_card(learnt: tuple[World, str], tmp_path: Path) -> None:
    world, _ = learnt
    card = world.services.cards.data(world.project_id, tmp_path / "data.md")
    read = DatasetCard(card.path.read_text(encoding="utf-8"))
    assert read.data.pretty_name == "tiny"
    assert read.data.size_categories == ["n<1K"]
    matter, body = parsed(card.path)
    info = matter["dataset_info"]
    assert info["features"][1]["dtype"]["class_label"]["names"] == {"0": "naevus", "1": "melanoma"}
    assert {s["name"]: s["num_examples"] for s in info["splits"]} == {
        "train": 120, "test": 40, "reversed": 40,
    }  # fmt: skip
    assert "| naevus | 20 | 20 | 60 | 100 |" in body
    assert "dark corner" in body


def test_every_card_is_written_down(learnt: tuple[World, str], tmp_path: Path) -> None:
    world, version = learnt
    paths = both(world, tmp_path / "both", version)
    with world.services.uow(read_only=True) as uow:
        rows = uow.exports.list(world.project_id, kind="card", limit=2)
        lines = uow.audit.list(entity="export", limit=2)
    assert {row.sha256 for row in rows} == {digest(path)[0] for path in paths}
    assert {row.version_hash for row in rows} == {version, None}
    assert {line.action for line in lines} == {"export"}


def test_hostile_names_stay_names(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    world = make_world(tmp_path / "ws", splits={"train": 16, "test": 8})
    name = "x" + "".join(char for char in HOSTILE[1] if char.isprintable())
    with world.services.uow() as uow:
        project = uow.projects.get(world.project_id)
        uow.projects.update(
            project.id, notice=HOSTILE[0],
            vocabulary={"terms": [{"name": text, "synonyms": []} for text in HOSTILE]},
        )  # fmt: skip
        uow.images.add_many(
            project.id,
            [
                NewImage(f"{at}.png", f"{at:064d}", 4, 4, text, "train", text, None, {text: text})
                for at, text in enumerate(HOSTILE)
            ],
        )
        concept = uow.concepts.by_number(project.id, _dictionary(world))[2]
        uow.concepts.add_name(
            id=new_id(), concept_id=concept.id, name=name, based_on=concept.revision,
            reviewer_id=uow.reviewers.get_or_create("Ada").id,
        )  # fmt: skip
        uow.commit()
    judge(world, reviewer(world), count=3)
    for path in both(world, tmp_path / "out"):
        matter, body = parsed(path)
        assert "evil" not in str(matter.get("license"))
        assert all(isinstance(key, str) for key in matter)
        page = MarkdownIt("commonmark").enable("table").render(body)
        assert "<script" not in page
        assert "<img" not in page
        assert "href=" not in page
        assert "<h1>owned" not in page
        assert "\u202e" not in body
        assert body.count("\n---\n") == 0


def _dictionary(world: World) -> str:
    with world.services.uow(read_only=True) as uow:
        version = uow.versions.active(world.project_id)
        assert version is not None
        return version.dictionary_hash


@pytest.mark.parametrize("text", HOSTILE)
def test_front_matter_gives_back_what_was_put_in(text: str) -> None:
    fields = {"a": text, "b": [text, {"c": text, text: [text]}], "d": {"e": [1, 0.5, None, True]}}
    clean = seen(text)
    found = yaml.safe_load(front_matter(fields).strip("-\n"))
    assert found == {
        "a": clean, "b": [clean, {"c": clean, clean: [clean]}], "d": {"e": [1, 0.5, None, True]},
    }  # fmt: skip
    assert scalar(float("nan")) == "null"
    assert slug(text).isascii()


def test_what_is_no_licence_is_refused(learnt: tuple[World, str], tmp_path: Path) -> None:
    world, _ = learnt
    with pytest.raises(ConfigError, match="a licence is a short word"):
        world.services.cards.data(world.project_id, tmp_path / "x.md", license="a: b\n")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        world.services.cards.data(world.project_id, tmp_path / "file" / "x.md")


def test_the_commands(learnt: tuple[World, str], tmp_path: Path) -> None:
    world, version = learnt
    where = ["--project", "tiny", "--workspace", str(world.settings.workspace), "--as", "Ada"]
    for what, more in (("model", ["--version", version[:10]]), ("data", [])):
        out = tmp_path / f"{what}.md"
        told = CliRunner().invoke(app, ["cards", what, *where, "--out", str(out), *more])
        assert told.exit_code == 0, told.output
        assert out.is_file()
        assert digest(out)[0][:12] in told.stdout
    with world.services.uow(read_only=True) as uow:
        assert uow.exports.list(world.project_id, limit=1)[0].reviewer == "Ada"
    unknown = CliRunner().invoke(
        app, ["cards", "model", *where[:-1], "Nobody", "--out", str(tmp_path / "n.md")]
    )
    assert unknown.exit_code == 4


def test_a_project_without_a_version_has_no_model_card(
    learnt: tuple[World, str], tmp_path: Path
) -> None:
    world, _ = learnt
    with world.services.uow() as uow:
        empty = uow.projects.add("empty", str(tmp_path), classes=("a", "b"))
        uow.commit()
    with pytest.raises(InsightError, match="no model version yet"):
        world.services.cards.model(empty.id, tmp_path / "x.md")
    card = world.services.cards.data(empty.id, tmp_path / "y.md")
    assert "0 images" in card.path.read_text()
