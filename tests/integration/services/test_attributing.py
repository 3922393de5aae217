"""Attribution of stored cases and of files, kept on the workspace."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from core.errors import ConfigError, InsightError
from dashboard.bootstrap import Services, build
from dashboard.cli import app
from tests.builders import (
    discovered,
    image_folder,
    save_picture,
    small_config,
    tiny_encoder,
    workspace,
)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Services:
    return discovered(tmp_path_factory.mktemp("attributing"), per_class=6)


def first_case(services: Services) -> str:
    project = services.projects.get("tiles")
    with services.uow(read_only=True) as uow:
        version = uow.versions.active(project.id)
        assert version is not None
        case = uow.cases.first(version.id)
    assert case is not None
    return case


def kept(services: Services) -> list[Path]:
    return sorted(services.settings.workspace.rglob("attributions/*/*.json"))


def test_a_map_is_computed_once(services: Services) -> None:
    case = first_case(services)
    found = services.attribute.case_map(case, "grad-cam")
    assert found.values_GV.shape == (4, 4)
    (file,) = kept(services)
    stamp = file.stat().st_mtime_ns
    again = services.attribute.case_map(case, "grad-cam")
    np.testing.assert_array_equal(again.values_GV, found.values_GV)
    assert (again.score, again.baseline, again.seed) == (found.score, found.baseline, found.seed)
    assert file.stat().st_mtime_ns == stamp
    file.write_text("{", encoding="utf-8")  # a damaged file is made anew
    healed = services.attribute.case_map(case, "grad-cam")
    np.testing.assert_array_equal(healed.values_GV, found.values_GV)
    file.unlink()


def test_methods_and_classes_are_kept_apart(services: Services) -> None:
    case = first_case(services)
    maps = [
        services.attribute.case_map(case, method, name)
        for method in ("concepts", "lrp")
        for name in ("red", "blue")
    ]
    assert len({m.values_GV.tobytes() for m in maps}) == 4
    assert len(kept(services)) == 4
    with pytest.raises(InsightError, match="no class 'green': choose from"):
        services.attribute.case_map(case, "lrp", "green")
    with pytest.raises(ConfigError, match="'magic' is unknown"):
        services.attribute.case_map(case, "magic")
    assert len(kept(services)) == 4


def test_any_image_file(services: Services, tmp_path: Path) -> None:
    path = save_picture(tmp_path / "one.png", 7, (200, 60, 50))
    before = kept(services)
    found = services.attribute.image_map(path, "tiles", "concepts")
    explained = services.explain.explain_image(path, "tiles")
    assert found.class_index == explained.class_index
    assert found.score == pytest.approx(explained.logit, abs=0.05)
    other = services.attribute.image_map(path, "tiles", "concepts", "blue")
    assert services.projects.get("tiles").classes[other.class_index] == "blue"
    assert kept(services) == before


def test_what_there_is(services: Services, tmp_path: Path) -> None:
    assert "rollout" in [info.name for info in services.attribute.methods()]
    empty = workspace(tmp_path)
    empty.ingest.ingest(save_picture(tmp_path / "raw" / "a.png").parent, "empty")
    with pytest.raises(InsightError, match="no model version: run discover"):
        empty.attribute.image_map(tmp_path / "raw" / "a.png", "empty", "concepts")


def test_methods_are_compared(services: Services, tmp_path: Path) -> None:
    path = save_picture(tmp_path / "one.png", 7, (200, 60, 50))
    line = ["compare", str(path), "--project", "tiles", "--class", "blue"]
    line += ["--workspace", str(services.settings.workspace)]
    some = ["--method", "concepts", "--method", "rollout", "--method", "grad-cam"]
    said = CliRunner().invoke(app, [*line, *some, "--json"], catch_exceptions=False)
    assert said.exit_code == 0
    body = json.loads(said.stdout)
    assert (body["class"], len(body["methods"])) == ("blue", 3)
    concepts, rollout, _ = body["methods"]
    assert concepts["likeness"] == pytest.approx(1)
    assert -1 <= rollout["likeness"] <= 1
    assert concepts["gap"] == pytest.approx(0, abs=1e-3)
    values = np.array(concepts["values"])
    row, column = concepts["strongest"]
    assert values[row - 1, column - 1] == values.max()
    table = CliRunner().invoke(app, [*line, *some], catch_exceptions=False).stdout
    assert [text.split()[0] for text in table.splitlines()[2:]] == some[1::2]
    wrong = CliRunner().invoke(app, [*line, "--method", "magic"], catch_exceptions=False)
    assert wrong.exit_code == 4


def test_options_of_an_encoder_pass_through_discovery(tmp_path: Path) -> None:
    """Windows give a finer grid; the version finds its encoder again by the whole spec."""
    services = workspace(tmp_path)
    table = image_folder(tmp_path / "data", 6)
    services.ingest.ingest(tmp_path / "data", "fine", labels=table, split_column="split")
    spec = f"{tiny_encoder(tmp_path / 'encoder')}?dense=maskclip-residual&size=48&window=32"
    services.discovery.discover("fine", encoder=spec, config=small_config())
    project = services.projects.get("fine")
    with services.uow(read_only=True) as uow:
        version = uow.versions.active(project.id)
    assert version is not None
    assert version.encoder_spec == spec
    fresh = build(services.settings)  # another process
    path = save_picture(tmp_path / "one.png", 7, (200, 60, 50))
    assert fresh.explain.explain_image(path, "fine").provenance.encoder_spec == spec
    assert fresh.attribute.image_map(path, "fine", "lrp").values_GV.shape == (6, 6)
