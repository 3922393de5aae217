"""What every run does around its steps: progress, curves, notices, cancelling, failing."""

from pathlib import Path

import pytest
import torch

from dashboard.services.run_body import Facts, Step, StepContext, execute, notice
from dashboard.viewmodels import RunView
from db.records import new_id
from tests.integration.services.world import World, make_world, reviewer


@pytest.fixture
def bare(tmp_path: Path) -> World:
    torch.set_num_threads(1)
    return make_world(tmp_path / "ws", splits={"train": 16, "test": 8})


def start(world: World) -> RunView:
    return world.services.runs.start_evaluate(
        id=new_id(), project_id=world.project_id, reviewer_id=reviewer(world), task="none",
        config={},
    )  # fmt: skip


def step(work: object, name: str = "one", low: float = 0.0, high: float = 1.0) -> Step:
    return Step(name, name, low, high, work)  # type: ignore[arg-type]


def run(world: World, run_id: str, *steps: Step) -> str:
    return execute(world.services.uow, steps, run_id, run_id)


def test_cancelling_in_the_middle_is_noticed_at_the_next_report(bare: World) -> None:
    asked = start(bare)
    reached = []

    def work(context: StepContext) -> Facts:
        bare.services.runs.cancel(asked.id)
        reached.append("before")
        context.progress(1.0)
        reached.append("after")
        return {}

    assert run(bare, asked.id, step(work), step(work, "two", 1.0)) == "cancelled"
    assert reached == ["before"]


def test_an_engine_that_asks_instead_of_reporting_is_told_to_stop(bare: World) -> None:
    asked = start(bare)
    answers = []

    def work(context: StepContext) -> Facts:
        answers.append(context.stopped())
        answers.append(context.stopped())  # asked again at once: not looked up again
        bare.services.runs.cancel(asked.id)
        context._asked = float("-inf")
        answers.append(context.stopped())
        context.check()
        return {}

    assert run(bare, asked.id, step(work)) == "cancelled"
    assert answers == [False, False, True]


def test_an_unexpected_error_fails_the_run_without_its_traceback(
    bare: World, caplog: pytest.LogCaptureFixture
) -> None:
    asked = start(bare)

    def work(context: StepContext) -> Facts:
        raise RuntimeError("secret detail")

    assert run(bare, asked.id, step(work)) == "failed"
    message = bare.services.runs.get(asked.id).message
    assert "secret" not in message
    assert "log" in message
    assert "secret detail" in caplog.text


def test_a_task_that_nobody_knows_fails_in_words(bare: World) -> None:
    asked = start(bare)
    assert bare.services.work.execute(asked.id, asked.id) == "failed"
    assert "no run of kind 'evaluate none'" in bare.services.runs.get(asked.id).message


def test_curves_are_live_and_telling_them_again_changes_nothing(bare: World) -> None:
    asked = start(bare)
    seen = []

    def work(context: StepContext) -> Facts:
        for number in range(3):
            context.curve("train.loss", number, 1.0 / (number + 1))
        context.curve("train.loss", 3, float("nan"))
        context.progress(1.0)
        seen.append(bare.services.runs.curves(asked.id))
        context.curve("train.loss", 2, 1.0 / 3)
        context.curve("odd", 7, 1.0)
        return {}

    run(bare, asked.id, step(work))
    (live,) = seen[0]
    assert live.points == ((0, 1.0), (1, 0.5), (2, 1.0 / 3))
    assert (live.label, live.unit) == ("Loss, training", "nats")
    known, odd = bare.services.runs.curves(asked.id)
    assert known == live
    assert (odd.series, odd.label, odd.points) == ("odd", "odd", ((7, 1.0),))


def test_notices_stand_beside_the_run_at_once_and_once(bare: World) -> None:
    asked = start(bare)
    seen = []

    def work(context: StepContext) -> Facts:
        context.notice("warning", "One rater turns words round.", "Ask them.")
        context.notice("info", "All is well.")
        context.notice("warning", "One rater turns words round.", "Ask them again.")
        seen.append(bare.services.runs.get(asked.id).notices)
        return {}

    run(bare, asked.id, step(work))
    said = [(each.level, each.text, each.advice) for each in seen[0]]
    assert said == [
        ("info", "All is well.", ""),
        ("warning", "One rater turns words round.", "Ask them again."),
    ]
    assert notice("info", "x") == {"level": "info", "text": "x", "advice": ""}


def test_a_run_that_was_cancelled_is_told_nothing_any_more(bare: World) -> None:
    asked = start(bare)

    def work(context: StepContext) -> Facts:
        bare.services.runs.cancel(asked.id)
        context.notice("info", "too late")
        return {}

    assert run(bare, asked.id, step(work)) == "cancelled"
    assert bare.services.runs.get(asked.id).notices == ()
