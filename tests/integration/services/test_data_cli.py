"""`insight data` and `insight archive`, as scripts and people use them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dashboard.cli import app
from tests.integration.services.data_world import said, small_world, speak
from tests.integration.services.world import World

PROBLEMS, REFUSED = 3, 4


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    built = small_world(tmp_path_factory.mktemp("cli") / "ws")
    speak(built)
    return built


def call(home: Path, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [*arguments, "--workspace", str(home)])
    assert result.exit_code == code, result.output
    return result


PROJECT = ("--project", "tiny", "--as", "Lea")


def test_data_goes_out_and_in(world: World, tmp_path: Path) -> None:
    home = world.settings.workspace
    for form in ("json", "csv", "parquet", "coco"):
        file = tmp_path / f"data.{form}"
        made = json.loads(
            call(home, "data", "export", str(file), *PROJECT, "--format", form, "--json").stdout
        )
        assert (made["format"], made["size"]) == (form, file.stat().st_size)
        with world.services.uow(read_only=True) as uow:
            kept = uow.exports.get(made["export"])
        assert (kept.kind, kept.format, kept.reviewer) == ("data", form, "Lea")
        assert kept.sha256 == made["sha256"]
        assert f"{form}: read: 6 names" in call(home, "data", "check", str(file)).stdout
        told = json.loads(call(home, "data", "import", str(file), *PROJECT, "--json").stdout)
        assert (told["added"], told["refused"]) == ({}, 0)
        assert told["unchanged"] > len(said(world)["verdicts"])


def test_a_scope_narrows_an_export(world: World, tmp_path: Path) -> None:
    home, file = world.settings.workspace, tmp_path / "data.json"
    narrow = ("--reviewer", "Ada", "--class", "melanoma", "--since", "2020-01-01")
    call(home, "data", "export", str(file), *PROJECT, *narrow)
    body = json.loads(file.read_bytes())
    assert body["scope"] == {
        "class_name": "melanoma", "reviewer": "Ada", "since": "2020-01-01",
    }  # fmt: skip
    assert {row["reviewer"] for row in body["tables"]["verdicts"]} == {"Ada"}
    bad = call(home, "data", "export", str(file), *PROJECT, "--since", "soon", code=REFUSED)
    assert "since of a report" in bad.output


def test_bad_rows_are_named_and_the_exit_code_says_so(world: World, tmp_path: Path) -> None:
    home, folder = world.settings.workspace, tmp_path / "hand"
    folder.mkdir()
    table = folder / "verdicts.csv"
    table.write_text("image,concept,reviewer,value\nnowhere.png,1,Zoe,correct\nx,y,z\n", "utf-8")
    told = call(home, "data", "import", str(folder), *PROJECT, code=PROBLEMS).output
    assert "csv: added: nothing; 0 unchanged, 2 refused" in told
    assert "verdicts.csv line 2: no image 'nowhere.png' in tiny" in told
    assert "verdicts.csv line 3: has 3 cells, not 4" in told
    dry = call(home, "data", "import", str(folder), *PROJECT, "--dry-run", code=PROBLEMS).output
    assert "could be added: nothing" in dry
    assert "1 refused" in call(home, "data", "check", str(folder), code=PROBLEMS).output
    missing = call(home, "data", "import", str(tmp_path / "no"), *PROJECT, code=REFUSED)
    assert "no: cannot be read" in missing.output


def test_the_schema_is_printed(world: World) -> None:
    schema = json.loads(CliRunner().invoke(app, ["data", "schema"]).stdout)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "verdicts" in schema["properties"]["tables"]["properties"]


def test_an_archive_goes_out_and_in(world: World, tmp_path: Path) -> None:
    home, file, other = world.settings.workspace, tmp_path / "tiny.zip", tmp_path / "other"
    made = json.loads(
        call(home, "archive", "export", str(file), *PROJECT, "--with-images", "--json").stdout
    )
    assert (made["size"], made["left_out"]) == (file.stat().st_size, [])
    assert "whole: project 'tiny'" in call(home, "archive", "check", str(file)).stdout
    told = call(other, "archive", "import", str(file), "--name", "copy", "--as", "Eve").stdout
    assert "project 'copy'" in told
    assert "verified" in told
    again = call(other, "archive", "import", str(file), code=REFUSED)
    assert "is here already, as 'copy'" in again.output
    file.write_bytes(file.read_bytes()[:-100])
    cut = call(other, "archive", "import", str(file), "--name", "x", code=REFUSED)
    assert "tiny.zip: is not a zip file, or its end is missing" in cut.output
