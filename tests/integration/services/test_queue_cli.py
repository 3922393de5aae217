"""`insight queue`, `insight settings` and `insight members`, as scripts and people use them."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from dashboard.cli import app
from tests.integration.services.world import World, make_world, reviewer

REFUSED = 4


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    built = make_world(tmp_path_factory.mktemp("cli") / "ws", splits={"train": 12})
    for name in ("Lea", "Bo"):
        reviewer(built, name)
    return built


def call(world: World, *arguments: str, code: int = 0) -> Result:
    home: Path = world.settings.workspace
    result = CliRunner().invoke(app, [*arguments, "--project", "tiny", "--workspace", str(home)])
    assert result.exit_code == code, result.output
    return result


def test_the_queue_is_planned_shown_and_assigned(world: World) -> None:
    plan = json.loads(call(world, "queue", "plan", "--as", "Lea", "--json").stdout)
    assert (plan["total"], sum(plan["counts"].values())) == (12, 12)
    assert "12 cases planned, seed 0" in call(world, "queue", "plan", "--as", "Lea").stdout
    given = call(world, "queue", "assign", "--as", "Lea", "--to", "Bo", "--count", "2")
    assert "2 cases assigned to Bo" in given.stdout
    shown = call(world, "queue", "show", "--as", "Bo", "--status", "assigned").stdout
    assert "2 cases match" in shown
    assert "for Bo" in shown
    rows = json.loads(call(world, "queue", "show", "--as", "Bo", "--json").stdout)
    assert rows["total"] == 12
    assert rows["rows"][0]["reason"]
    assert (
        "not 'gone'"
        in call(world, "queue", "show", "--as", "Bo", "--status", "gone", code=REFUSED).output
    )


def test_a_typo_makes_no_person(world: World) -> None:
    said = call(world, "queue", "assign", "--as", "Lea", "--to", "Boo", code=REFUSED)
    assert "no reviewer Boo" in said.output
    said = call(world, "members", "--as", "Lea", "--give", "Boo=lead", code=REFUSED)
    assert "no reviewer Boo" in said.output


def test_rules_are_set_and_shown(world: World) -> None:
    said = call(
        world, "settings", "set", "--as", "Lea", "order=random", "seed=7", 'blind=["model"]'
    )
    assert "saved as revision" in said.stdout
    stands = json.loads(call(world, "settings", "show").stdout)
    assert (stands["order"], stands["seed"], stands["blind"]) == ("random", 7, ["model"])
    assert (
        "seed must be"
        in call(world, "settings", "set", "--as", "Lea", "seed=-1", code=REFUSED).output
    )
    assert "NAME=VALUE" in call(world, "settings", "set", "--as", "Lea", "seed", code=2).output


def test_roles_are_given(world: World) -> None:
    assert "nobody is lead" in call(world, "members", "--as", "Lea").stdout
    call(world, "members", "--as", "Lea", "--give", "Lea=lead")
    found = json.loads(call(world, "members", "--as", "Lea", "--json").stdout)
    assert not found["open"]
    assert {each["name"]: each["role"] for each in found["members"]} == {
        "Bo": "expert", "Lea": "lead",
    }  # fmt: skip
    said = call(world, "settings", "set", "--as", "Bo", "seed=1", code=REFUSED)
    assert "needs the role lead" in said.output
