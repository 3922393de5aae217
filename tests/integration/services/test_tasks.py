"""Rules, sparse heads and masks on a project's active version, from the command line too."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from core.errors import ConfigError, ImageError, InsightError
from core.rules import RuleConfig
from dashboard.bootstrap import Services
from dashboard.cli import app
from tests.builders import discovered, image_folder, workspace


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Services]:
    folder = tmp_path_factory.mktemp("tasks")
    services = discovered(folder, per_class=9)
    project = services.projects.get("tiles")
    reviewer = services.review.sign_in("Ada")
    rows = services.concepts.list(project.id)
    for number, row in enumerate(rows):  # rules need names; a random encoder gives none
        services.concepts.rename(
            id=f"00000000-0000-4000-8000-{number:012d}", concept_id=row.id, reviewer_id=reviewer,
            name=f"sign {row.concept}", reason="", based_on=0,
        )  # fmt: skip
    return folder, services


def words(folder: Path, *line: object, code: int = 0) -> str:
    given = [*map(str, line), "--workspace", str(folder / "workspace")]
    result = CliRunner().invoke(app, given, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout


def test_rules_use_the_names_that_people_gave(made: tuple[Path, Services]) -> None:
    folder, services = made
    found = services.tasks.rules("tiles", config=RuleConfig(min_cases=2)).rules
    assert found.held_out > 0
    assert found.accuracy is not None
    assert found.fidelity is not None
    named = {condition.name for rule in found.rules for condition in rule.conditions}
    assert named
    assert all(name.startswith("sign ") for name in named)
    line = ("rules", "--project", "tiles", "--cases", 2)
    assert words(folder, *line).startswith("If ")
    body = json.loads(words(folder, *line, "--json"))
    assert len(body["rules"]) == len(found.rules)


def test_heads_grow_from_few_concepts_to_many(made: tuple[Path, Services]) -> None:
    folder, services = made
    found = services.tasks.head_path("tiles")
    used = [len(point.concepts) for point in found.path.points]
    assert used == sorted(used)
    body: dict[str, Any] = json.loads(words(folder, "heads", "--project", "tiles", "--json"))
    assert [row["concepts"] for row in body["heads"]] == used
    assert body["held_out"] == found.path.held_out
    assert "this version" in words(folder, "heads", "--project", "tiles")


def test_masks_have_the_size_of_the_image(made: tuple[Path, Services], tmp_path: Path) -> None:
    folder, _ = made
    picture = tmp_path / "My picture (1).png"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (40, 56, 3), dtype=np.uint8)).save(picture)
    line = ("segment", picture, "--project", "tiles", "--word", "dark spot", "--word", "=1+1<b>")
    printed = words(folder, *line, "--background", "plain", "--out", tmp_path / "masks")
    files = [Path(name) for name in printed.split("\n") if name]
    listing = json.loads(next(f for f in files if f.suffix == ".json").read_text())
    assert listing["size"] == [40, 56]
    assert listing["names"] == ["dark spot", "=1+1<b>", "plain"]
    assert all(file.parent == tmp_path / "masks" and "<" not in file.name for file in files)
    with Image.open(files[0]) as labels:
        assert labels.size == (56, 40)


def test_what_cannot_be_segmented_is_refused(made: tuple[Path, Services], tmp_path: Path) -> None:
    _, services = made
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    with pytest.raises(ImageError, match=r"bad\.png"):
        services.tasks.segment(bad, "tiles", ["a", "b"], tmp_path)
    with pytest.raises(ConfigError, match="two words"):
        services.tasks.segment(bad, "tiles", ["a"], tmp_path)


def test_a_project_without_a_version_is_refused(tmp_path: Path) -> None:
    services = workspace(tmp_path)
    image_folder(tmp_path / "data", 2)
    services.ingest.ingest(tmp_path / "data", "bare")
    with pytest.raises(InsightError, match="no model version"):
        services.tasks.rules("bare")


def test_concepts_are_matched_to_columns_and_masks(made: tuple[Path, Services]) -> None:
    folder, services = made
    found = services.attributes.match_columns("tiles")
    told = {match.attribute.split(" = ")[0] for match in found.report.matches}
    assert {"label", "group"} <= told
    assert "split" not in told
    body = json.loads(words(folder, "attributes", "--project", "tiles", "--json"))
    assert len(body["matches"]) == len(found.report.matches)
    printed = words(folder, "attributes", "--project", "tiles", "--column", "label")
    assert "label = " in printed
    assert "group" not in printed
    with pytest.raises(ConfigError, match="no column 'size'"):
        services.attributes.match_columns("tiles", ["size"])
    assert "label" in services.attributes.columns("tiles")


def test_masks_are_matched_patch_by_patch(tmp_path: Path) -> None:
    services = discovered(tmp_path, per_class=6)
    with pytest.raises(InsightError, match="no image of the project has a mask"):
        services.attributes.match_masks("tiles")
    table = image_folder(tmp_path / "data", 6, masks=True)  # the same pictures, and their masks
    services.ingest.ingest(
        tmp_path / "data", "tiles", labels=table, mask_column="mask",
        split_column="split", group_column="group",
    )  # fmt: skip
    found = services.attributes.match_masks("tiles")
    assert found.report.level == "patch"
    assert [match.attribute for match in found.report.matches] == ["mask"]


def test_a_second_discovery_says_what_became_of_the_names(made: tuple[Path, Services]) -> None:
    folder, _ = made
    options = folder / "settings.toml"
    options.write_text(
        "head_c = 1.0\n[sae]\nn = 32\nk = 4\ngroup_fractions = [0.25, 0.75]\n"
        "[train]\nsteps = 60\nbatch = 256\n",
        encoding="utf-8",
    )
    spec = folder / "encoder"
    line = ("discover", "--project", "tiles", "--encoder", spec, "--settings", options)
    body = json.loads(words(folder, *line, "--seed", 5, "--json"))
    assert body["names_carried"] or body["names_lost"]
    told = words(folder, *line, "--seed", 6)
    assert "name kept" in told or "name lost" in told
