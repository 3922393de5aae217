"""`insight criteria`, `insight decisions` and `insight schedule`, as scripts use them."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from dashboard.cli import app
from tests.integration.services.world import World, make_world

REFUSED, FAILED = 4, 3


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    return make_world(tmp_path_factory.mktemp("lead") / "ws", splits={"train": 24, "test": 12})


def call(world: World, *arguments: str, code: int = 0) -> Result:
    home: Path = world.settings.workspace
    result = CliRunner().invoke(app, [*arguments, "--project", "tiny", "--workspace", str(home)])
    assert result.exit_code == code, result.output
    return result


def test_criteria_are_set_checked_and_withdrawn(world: World) -> None:
    who = ("--as", "Lea", "--why", "agreed beforehand")
    assert "no criterion stands" in call(world, "criteria", "list").stdout
    assert "shortcut_gap" in call(world, "criteria", "list", "--measures").stdout
    said = call(world, "criteria", "set", "accuracy>=10%", *who).stdout
    assert said == "Accuracy at least 10.0 % (revision 1)\n"
    call(world, "criteria", "check")
    call(world, "criteria", "set", "kappa>=.6", *who)
    said = call(world, "criteria", "check").stdout
    assert "PASS  Accuracy is " in said
    assert "?     Agreement, kappa cannot be said" in said
    assert "1 pass, 0 fail, 1 cannot be said" in said
    call(world, "criteria", "check", "--strict", code=FAILED)
    call(world, "criteria", "set", "coverage>=0.8", *who)
    rows = json.loads(call(world, "criteria", "check", "--json", code=FAILED).stdout)
    assert {row["measure"]: row["verdict"] for row in rows} == {
        "accuracy": "pass", "kappa": "cannot be said", "coverage": "fail"
    }  # fmt: skip
    call(world, "criteria", "withdraw", "coverage", *who)
    call(world, "criteria", "check", "--version", world.version_hash[:10])
    listed = json.loads(call(world, "criteria", "list", "--json").stdout)
    assert [row["measure"] for row in listed] == ["accuracy", "kappa"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("luck>=1",), "no measure 'luck'"),
        (("coverage",), "is no criterion"),
        (("coverage>=80",), "0..1"),
        ((), "one criterion, or --preset"),
        (("kappa>=.6", "--preset", "review"), "one criterion, or --preset"),
        (("--preset", "luck"), "no preset 'luck'"),
    ],
)
def test_criteria_that_cannot_be_meant(world: World, arguments: tuple[str, ...], said: str) -> None:
    who = ("--as", "Lea", "--why", "because")
    assert said in call(world, "criteria", "set", *arguments, *who, code=REFUSED).output


def test_decisions_are_written_listed_and_superseded(world: World) -> None:
    who = ("--as", "Lea", "--why", "fewest misses")
    said = call(
        world, "decisions", "add", "Threshold of the alarm", "--choice", "0.7", "--subject",
        "threshold", "--evidence", f"version:{world.version_hash[:10]}", *who,
    ).stdout  # fmt: skip
    first = said.split()[0]
    call(
        world, "decisions", "add", "Threshold of the alarm", "--choice", "0.8", "--subject",
        "threshold", "--supersedes", first, *who,
    )  # fmt: skip
    listed = call(world, "decisions", "list", "--subject", "threshold").stdout
    assert "Lea: Threshold of the alarm: 0.7 (superseded) Why: fewest misses" in listed
    assert f"version  version {world.version_hash[:10]}" in listed
    rows = json.loads(
        call(world, "decisions", "list", "--subject", "threshold", "--standing", "--json").stdout
    )
    assert [row["choice"] for row in rows] == ["0.8"]
    said = call(
        world, "decisions", "add", "x", "--choice", "y", "--evidence", "run:none", *who,
        code=REFUSED,
    ).output  # fmt: skip
    assert "no run of this project none" in said
    call(world, "decisions", "add", "x", "--choice", "y", "--evidence", "run", *who, code=2)


def test_schedules_are_added_made_paused_and_removed(world: World) -> None:
    who = ("--as", "Lea")
    said = call(
        world, "schedule", "add", "--every", "week", "--on", "fri", "--at", "07:30", "--tz",
        "Europe/Berlin", "--format", "json,csv", "--name", "weekly", *who,
    ).stdout  # fmt: skip
    assert "weekly: every Friday at 07:30 Europe/Berlin; next " in said
    made = call(world, "schedule", "run-now", "weekly", *who).stdout
    assert "json" in made
    assert "exports/tiny-" in made
    (row,) = json.loads(call(world, "schedule", "list", "--json").stdout)
    assert [run["state"] for run in row["runs"]] == ["succeeded"]
    assert "paused" in call(world, "schedule", "pause", "weekly", *who).stdout
    assert "next " in call(world, "schedule", "resume", row["id"][:8], *who).stdout
    assert "succeeded" in call(world, "schedule", "list").stdout
    assert "removed" in call(world, "schedule", "remove", "weekly", *who).stdout
    assert "no schedule yet" in call(world, "schedule", "list").stdout
    said = call(
        world, "schedule", "add", "--every", "day", "--at", "25:00", "--format", "json", *who,
        code=REFUSED,
    ).output  # fmt: skip
    assert "time of day" in said
    call(world, "schedule", "pause", "weekly", *who, code=REFUSED)
