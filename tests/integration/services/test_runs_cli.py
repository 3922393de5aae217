"""Runs from the command line: ask, list, show, cancel, resume; what it prints and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from dashboard.cli import app
from dashboard.services.run_work import run_inline
from tests.integration.services.world import World, judge, make_world, reviewer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    world = make_world(tmp_path_factory.mktemp("cli") / "ws", splits={"train": 80, "reversed": 20})
    judge(world, reviewer(world), count=8)
    return world


def call(world: World, *arguments: str, code: int = 0) -> Result:
    line = [*arguments, "--project", "tiny", "--workspace", str(world.settings.workspace)]
    result = CliRunner().invoke(app, ["run", *line], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def said(world: World, *arguments: str, code: int = 0) -> Any:
    return json.loads(call(world, *arguments, "--json", code=code).stdout)


def test_a_run_from_asking_to_its_figures(world: World) -> None:
    asked = said(
        world, "reweight", "--strategy", "groups", "--seed", "7", "--option", "min_auc=0.85",
        "--no-wait",
    )  # fmt: skip
    assert (asked["state"], asked["strategy"], asked["seed"]) == ("queued", "groups", 7)
    assert asked["options"] == {"min_auc": 0.85}
    assert [row["id"] for row in said(world, "list")] == [asked["id"]]
    run_inline(world.services, asked["id"])
    shown = said(world, "show", asked["id"][:8])
    assert shown["state"] == "succeeded", shown["message"]
    assert shown["version_state"] == "candidate"
    figures = {(row["split"], row["key"]): row for row in shown["metrics"]}
    assert figures["reversed", "accuracy"]["after"] > figures["reversed", "accuracy"]["before"]
    text = call(world, "show", asked["id"]).stdout
    assert "strategy groups" in text
    assert "Worst-group accuracy" in text
    assert asked["id"] in call(world, "list").stdout


def test_cancel_and_resume(world: World) -> None:
    asked = said(world, "reweight", "--strategy", "groups", "--no-wait")
    assert "cancelled" in call(world, "cancel", asked["id"]).stdout
    assert said(world, "show", asked["id"])["state"] == "cancelled"
    again = said(world, "resume", asked["id"], "--no-wait")
    assert again["state"] == "queued"
    # A second time it is under way already, and is only looked at.
    assert said(world, "resume", asked["id"], "--no-wait")["state"] == "queued"
    call(world, "cancel", asked["id"])


def test_a_fine_tuning_is_asked_for_with_its_options(world: World) -> None:
    asked = said(world, "finetune", "--option", "epochs=2", "--option", "part=adapters",
                 "--no-wait")  # fmt: skip
    assert (asked["kind"], asked["strategy"]) == ("finetune", "")
    assert asked["options"] == {"blocks": 1, "epochs": 2, "part": "adapters"}
    call(world, "cancel", asked["id"])


def test_strategies_say_what_they_lack(world: World) -> None:
    found = {each["key"]: each for each in said(world, "strategies")}
    assert found["groups"]["available"]
    assert not found["columns"]["available"]
    assert found["columns"]["why_not"]
    text = call(world, "strategies").stdout
    assert found["columns"]["why_not"] in text
    assert found["groups"]["line"] in text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["reweight", "--strategy", "magic", "--no-wait"], 4, "no strategy 'magic'"),
        (["reweight", "--option", "min_auc", "--no-wait"], 2, "KEY=VALUE"),
        (["reweight", "--option", "min_auc=high", "--no-wait"], 4, "min_auc must be a number"),
        (["finetune", "--option", "epochs=0", "--no-wait"], 4, "whole number in 1..1000"),
        (["show", "no-such-run"], 4, "no run has an id"),
    ],
)
def test_what_cannot_be_done_is_said(
    world: World, arguments: list[str], code: int, words: str
) -> None:
    result = call(world, *arguments, code=code)
    assert words in " ".join(result.output.replace("│", " ").split())


def test_an_id_that_fits_several_runs_is_not_guessed(world: World) -> None:
    for _ in range(2):
        said(world, "reweight", "--strategy", "groups", "--no-wait")
    assert "runs have an id" in call(world, "show", "", code=4).output


def test_help_names_every_command(tmp_path: Path) -> None:
    text = CliRunner().invoke(app, ["run", "--help"]).output
    for command in ("reweight", "finetune", "strategies", "list", "show", "cancel", "resume"):
        assert command in text
