"""Whatever several people do, what the screens show is a fold over the log, in any order."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.errors import Conflict
from db.log import LoggedEvent, by_subject
from tests.property.conftest import Copies
from tests.property.people import PEOPLE, Deed, Desk, Play, scripts
from tests.property.reference import state
from tests.property.screens import screen

slow = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def interleaved(log: tuple[LoggedEvent, ...], seed: int) -> list[LoggedEvent]:
    """The events in another order that keeps the order of each subject."""
    draw = random.Random(seed)
    waiting = {subject: list(own) for subject, own in by_subject(log).items()}
    order = []
    while waiting:
        subject = draw.choice(sorted(waiting))
        order.append(waiting[subject].pop(0))
        if not waiting[subject]:
            del waiting[subject]
    return order


@slow
@given(script=scripts)
def test_the_screens_show_the_fold_of_the_log(
    store: tuple[Desk, Copies], script: list[Deed]
) -> None:
    desk, copy = store
    with copy() as factory:
        with factory() as uow:
            play = Play(uow, desk).run(script)
            uow.commit()
        with factory(read_only=True) as uow:
            shown = screen(uow, desk)
            assert shown == state(desk, uow.log.read(desk.project_id))
        _check_stacks(play, desk, shown)
        with factory() as uow:
            uow.queue.recount(desk.version_id)
            assert screen(uow, desk) == shown, "the counters are the folds"


def _check_stacks(play: Play, desk: Desk, shown: dict[str, dict[object, object]]) -> None:
    """Undo of any depth, by several people, restores what plain stacks say."""
    cues = {
        (desk.cues[int(thing.split()[1])], desk.people[who]): word
        for (who, thing), word in play.stacks.words("cue").items()
    }
    assert shown["verdicts"] == cues
    cases = {
        (desk.cases[int(thing.split()[1])], desk.people[who])
        for who, thing in play.stacks.words("case")
    }
    assert set(shown["assessments"]) == cases
    drawings = {thing.split()[1] for _who, thing in play.stacks.words("drawing")}
    assert shown["drawings"] == drawings
    assert {who for who, act in shown["undo"].items() if act is not None} == {
        desk.people[who] for who in range(PEOPLE) if play.stacks.acts[who]
    }


@slow
@given(script=scripts, seed=st.integers(0, 2**32))
def test_the_log_replays_in_any_order_to_the_same_screens(
    store: tuple[Desk, Copies], script: list[Deed], seed: int
) -> None:
    desk, copy = store
    with copy() as there, copy() as here:
        with there() as uow:
            Play(uow, desk).run(script)
            log = uow.log.read(desk.project_id)
            shown = screen(uow, desk)
            uow.commit()
        events = interleaved(log, seed)
        with here() as uow:
            assert uow.log.replay(events) == len(log)
            uow.commit()
        with here() as uow:
            assert screen(uow, desk) == shown
            again = interleaved(log, seed + 1)
            assert uow.log.replay(again[: len(again) // 2]) == 0, "repeats are harmless"
            assert screen(uow, desk) == shown
            assert _content(uow.log.read(desk.project_id)) == _content(log)


def _content(log: tuple[LoggedEvent, ...]) -> dict[str, LoggedEvent]:
    return {event.id: event for event in log}


def test_an_event_that_says_other_things_is_refused(store: tuple[Desk, Copies]) -> None:
    desk, copy = store
    with copy() as factory, factory() as uow:
        Play(uow, desk).run([Deed("judge", 0, 0, 0, False)])
        (event,) = uow.log.read(desk.project_id)
        forged = LoggedEvent(
            event.table, event.id, event.subject, event.values | {"value": "unsure"}
        )
        with pytest.raises(Conflict, match="other content"):
            uow.log.replay([forged])
