"""What runs make of words that look wrong: refused, or followed with a warning beside the run."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.strategies.sanity import FOLLOWED
from dashboard.services.finetune_steps import ONLY_MARKED
from dashboard.services.learning_steps import REFUSED, TOO_FEW, folder_of
from dashboard.services.run_body import Facts
from dashboard.services.run_work import run_inline
from dashboard.viewmodels import RunView
from db.records import new_id
from tests.integration.services.tuned_world import CORNER, judge_stickers, make_tuned_world
from tests.integration.services.world import World, judge, make_world, reviewer

SIGNS, NOISE = (0, 1), 3  # concepts from NOISE on go with every label alike
SMALL = {"train": 32, "val": 8, "reversed": 12}


@pytest.fixture(scope="module")
def swapped(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The true signs are called spurious, and what comes with every label correct."""
    torch.set_num_threads(1)
    world = make_world(tmp_path_factory.mktemp("swapped") / "ws")
    review, me = world.services.review, reviewer(world)
    given: Counter[int] = Counter()
    for row in review.queue(world.project_id, me):
        if row.split != "train":
            continue
        for cue in review.case(world.project_id, row.case_id, me).cues:
            if (cue.concept in SIGNS or cue.concept >= NOISE) and given[cue.concept] < 6:
                given[cue.concept] += 1
                review.give_verdict(
                    id=new_id(), cue_id=cue.id, reviewer_id=me, based_on=0,
                    value="spurious" if cue.concept in SIGNS else "correct",
                )  # fmt: skip
    assert min(given[concept] for concept in SIGNS) == 6
    return world


@pytest.fixture
def stickers(tmp_path: Path) -> World:
    torch.set_num_threads(1)
    return make_tuned_world(tmp_path / "ws", splits=SMALL)


def reweight(world: World, strategy: str) -> RunView:
    return world.services.runs.start_reweight(
        id=new_id(), project_id=world.project_id, reviewer_id=reviewer(world), seed=3,
        strategy=strategy, options={},
    )  # fmt: skip


def finetune(world: World) -> RunView:
    run = world.services.runs.start_finetune(
        id=new_id(), project_id=world.project_id, reviewer_id=reviewer(world), seed=4,
        options={"epochs": 1},
    )  # fmt: skip
    return run_inline(world.services, run.id)


def warnings(run: RunView) -> list[str]:
    return [each.text for each in run.notices if each.level == "warning"]


def test_auto_refuses_words_that_look_swapped(swapped: World) -> None:
    ended = run_inline(swapped.services, reweight(swapped, "auto").id)
    assert ended.state == "failed"
    assert "words look swapped. Nothing was changed" in ended.message


@pytest.mark.parametrize("strategy", ["concept_penalty", "concept_lasso", "counterfactual"])
def test_a_strategy_chosen_by_hand_follows_them_and_says_so(swapped: World, strategy: str) -> None:
    ended = run_inline(swapped.services, reweight(swapped, strategy).id)
    assert ended.state == "succeeded", ended.message
    (text,) = warnings(ended)
    assert text.startswith(FOLLOWED)
    assert "words look swapped" in text
    assert "Nothing was changed" not in text
    assert ended.details["cues_problem_kind"] == REFUSED


def test_honest_words_bring_no_warning(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    world = make_world(tmp_path / "ws")
    judge(world, reviewer(world), count=8)
    for strategy in ("groups", "counterfactual", "concept_penalty"):
        ended = run_inline(world.services, reweight(world, strategy).id)
        assert ended.state == "succeeded", ended.message
        assert warnings(ended) == []
        assert ended.details["cues_problem_kind"] == ""


@pytest.mark.parametrize("kept", [True, False])
def test_a_run_that_goes_on_says_the_same(swapped: World, kept: bool) -> None:
    """Also where the step was done by a program that did not keep the check yet."""
    straight = run_inline(swapped.services, reweight(swapped, "concept_penalty").id)
    run = reweight(swapped, "concept_penalty")

    def stop_before_refit(step: str, work: Any) -> Facts:
        if step == "refit":
            swapped.services.runs.cancel(run.id)
        return work()

    assert swapped.services.work.execute(run.id, run.id, stop_before_refit) == "cancelled"
    facts = step_file(swapped, run.id)
    found = json.loads(facts.read_text())
    assert "words look swapped" in found["words"]["refusal"]
    if not kept:
        facts.write_text(json.dumps({k: found[k] for k in ("cues", "notices", "problem")}))
    swapped.services.runs.resume(run.id)
    swapped.services.work.execute_inline(run.id)
    ended = swapped.services.runs.get(run.id)
    assert ended.state == "succeeded", ended.message
    assert ended.result_version == straight.result_version
    assert ended.judgement == straight.judgement
    assert ended.notices == straight.notices


def step_file(world: World, run_id: str) -> Path:
    """Where the step "cues" of a run keeps its facts."""
    with world.services.uow(read_only=True) as uow:
        run = uow.runs.get(run_id)
    scratch = folder_of(world.settings, run, str(run.metrics["work"]["folder"]))
    assert scratch.has("step-cues.json")
    return scratch.path(".") / "step-cues.json"


def test_fine_tuning_refuses_words_that_were_drawn_by_a_coin(stickers: World) -> None:
    """The same sticker is called spurious and correct in turn; nothing is tuned on that."""
    review, me = stickers.services.review, reviewer(stickers)
    with stickers.services.uow(read_only=True) as uow:
        images = uow.images.list(stickers.project_id)
    shown = {image.relpath for image in images if image.meta.get("sticker") == "yes"}
    given = 0
    for row in review.queue(stickers.project_id, me):
        if row.split != "train" or row.image_name not in shown:
            continue
        for cue in review.case(stickers.project_id, row.case_id, me).cues:
            if int(np.frombuffer(cue.map_u8, dtype=np.uint8).argmax()) in CORNER:
                review.give_verdict(
                    id=new_id(), cue_id=cue.id, reviewer_id=me, based_on=0,
                    value="correct" if given % 2 else "spurious",
                )  # fmt: skip
                given += 1
                break
    assert given >= 6
    ended = finetune(stickers)
    assert ended.state == "failed"
    assert "Nothing was changed" in ended.message
    assert stickers.services.runs.curves(ended.id) == ()
    assert not ended.resumable  # it begins anew, with the verdicts as they stand then


def test_fine_tuning_goes_on_with_few_honest_words(stickers: World) -> None:
    """One mark teaches no detector, but nothing speaks against it."""
    assert judge_stickers(stickers, most=1)["spurious"] == 1
    ended = finetune(stickers)
    assert ended.state == "succeeded", ended.message
    assert ended.details["cues_problem_kind"] == TOO_FEW
    (said,) = [each for each in ended.notices if each.level == "warning"]
    assert said.text == ended.details["cues_problem"]
    assert said.advice == ONLY_MARKED
