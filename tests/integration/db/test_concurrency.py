"""Writers at the same moment: one wins, the others are told, nothing is lost."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import pytest
from sqlalchemy import text

from db.desk_records import QueuePlace
from db.errors import Busy, StaleWrite
from db.feedback_records import NewRun, VerdictRecord
from db.records import CueRecord, RunState, VerdictValue, new_id
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory
from tests.integration.db.builders import World, new_case, new_cue, new_image

Answer = TypeVar("Answer")
WRITERS = 4


def _at_once(actions: list[Callable[[], Answer]]) -> list[Answer | StaleWrite]:
    barrier = Barrier(len(actions), timeout=60)

    def start(action: Callable[[], Answer]) -> Answer | StaleWrite:
        barrier.wait()
        try:
            return action()
        except StaleWrite as refused:
            return refused

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(start, actions))


def _writer(
    factory: UnitOfWorkFactory,
    world: World,
    *,
    event: str | None = None,
    cue: int = 0,
    value: VerdictValue = "spurious",
) -> Callable[[], VerdictRecord]:
    def write() -> VerdictRecord:
        with factory() as uow:
            record = uow.verdicts.append(
                id=event or new_id(),
                cue_id=world.cues[0][cue].id,
                reviewer_id=world.ada.id,
                value=value,
                based_on=0,
            )
            uow.commit()
        return record

    return write


def test_of_writers_at_one_cue_exactly_one_wins(factory: UnitOfWorkFactory, world: World) -> None:
    values: tuple[VerdictValue, ...] = ("correct", "spurious", "unsure", "correct")
    answers = _at_once([_writer(factory, world, value=value) for value in values])
    winners = [each for each in answers if isinstance(each, VerdictRecord)]
    refused = [each for each in answers if isinstance(each, StaleWrite)]
    assert (len(winners), len(refused)) == (1, WRITERS - 1)
    assert {each.current for each in refused} == {1}
    with factory(read_only=True) as uow:
        assert uow.verdicts.history(world.cues[0][0].id) == tuple(winners)


def test_writers_at_different_cues_all_succeed(factory: UnitOfWorkFactory, world: World) -> None:
    answers = _at_once([_writer(factory, world, cue=cue) for cue in range(WRITERS)])
    assert all(isinstance(each, VerdictRecord) for each in answers)
    with factory(read_only=True) as uow:
        assert len(uow.verdicts.standing(world.cases[0].id, world.ada.id)) == WRITERS


def test_one_event_sent_several_times_at_once_is_kept_once(
    factory: UnitOfWorkFactory, world: World
) -> None:
    event = new_id()
    answers = _at_once([_writer(factory, world, event=event)] * WRITERS)
    assert len({each.seq for each in answers if isinstance(each, VerdictRecord)}) == 1
    assert not [each for each in answers if isinstance(each, StaleWrite)]


def test_undo_at_once_takes_back_different_actions_or_is_refused(
    factory: UnitOfWorkFactory, world: World
) -> None:
    for cue in range(3):
        _writer(factory, world, cue=cue)()

    def undo() -> VerdictRecord | None:
        with factory() as uow:
            taken = uow.verdicts.undo(
                id=new_id(), reviewer_id=world.ada.id, project_id=world.project.id
            )
            uow.commit()
        return taken

    answers = _at_once([undo] * 3)
    taken = [each.undoes for each in answers if isinstance(each, VerdictRecord)]
    assert taken
    assert len(taken) == len(set(taken))


def test_one_name_many_sign_ins_one_reviewer(factory: UnitOfWorkFactory) -> None:
    name = f"Grace {new_id()}"

    def sign_in() -> str:
        with factory() as uow:
            reviewer = uow.reviewers.get_or_create(f"  {name} ")
            uow.commit()
        return reviewer.id

    answers = _at_once([sign_in] * WRITERS)
    assert len(set(answers)) == 1


def test_two_explainers_keep_one_set_of_cues(factory: UnitOfWorkFactory, world: World) -> None:
    with factory() as uow:
        version = uow.versions.get(world.version.id)
        concept = uow.concepts.ids(world.project.id, version.dictionary_hash)[0]
    bare = _bare_case(factory, world)

    def explain() -> tuple[bool, tuple[str, ...]]:
        with factory() as uow:
            cues = uow.cues.add_many(bare, [new_cue(concept, 0)])
            mine = uow.cases.set_explanation(bare, {"narrative": new_id()})
            uow.commit()
        return mine, tuple(cue.id for cue in cues)

    answers = [each for each in _at_once([explain] * WRITERS) if isinstance(each, tuple)]
    assert sum(mine for mine, _cues in answers) == 1
    assert len({cues for _mine, cues in answers}) == 1


def _bare_case(factory: UnitOfWorkFactory, world: World) -> str:
    with factory() as uow:
        (image,) = uow.images.add_many(world.project.id, [new_image(77)])
        uow.cases.add_many(world.version.id, [new_case(image.id, 77)])
        case = uow.cases.by_image(world.version.id, image.id)
        uow.commit()
    assert case is not None
    return case.id


def test_cancel_and_success_at_once_leave_one_outcome(
    factory: UnitOfWorkFactory, world: World
) -> None:
    run = NewRun(id=new_id(), kind="reweight", seed=1)
    with factory() as uow:
        uow.runs.add(world.project.id, run)
        uow.runs.update(run.id, state="running")
        uow.commit()

    def move(to: RunState) -> Callable[[], bool]:
        def act() -> bool:
            with factory() as uow:
                moved = uow.runs.transition(run.id, to, allowed=("running",))
                uow.commit()
            return moved

        return act

    answers = _at_once([move("cancelled"), move("succeeded")])
    assert sorted(map(bool, answers)) == [False, True]


def test_of_writers_who_wait_for_each_other_one_is_told(
    factory: UnitOfWorkFactory, world: World, back_end: str
) -> None:
    if back_end == "sqlite":
        pytest.skip("SQLite lets one writer in at a time: nobody can wait for each other")
    first, second = world.cues[0][0], world.cues[1][1]

    def judge(uow: UnitOfWork, cue: CueRecord, who: str) -> None:
        uow.verdicts.append(
            id=new_id(), cue_id=cue.id, reviewer_id=who, value="correct", based_on=0
        )

    def other() -> str:
        try:
            with factory() as uow:
                judge(uow, second, world.ben.id)  # holds the cue, waits for the team's counter
                uow.commit()
        except Busy as busy:
            return str(busy)
        return "kept"

    with ThreadPoolExecutor(1) as pool, factory() as uow:
        judge(uow, first, world.ada.id)
        waiting = pool.submit(other)
        _until_somebody_waits(factory)
        try:
            judge(uow, second, world.ada.id)
            uow.commit()
            mine = "kept"
        except Busy as busy:
            uow.rollback()
            mine = str(busy)
        said = sorted((mine, waiting.result()))
    assert said == ["another writer was faster at the same rows: try again in a moment", "kept"]


def test_a_plan_waits_for_whoever_is_judging_and_neither_is_turned_away(
    factory: UnitOfWorkFactory, world: World, back_end: str
) -> None:
    if back_end == "sqlite":
        pytest.skip("SQLite lets one writer in at a time: nobody can wait for each other")
    case, cue = world.cases[0], world.cues[0][0]

    def plan() -> int:
        with factory() as uow:
            last_first = [QueuePlace(each.id, "doubt", 0.5) for each in reversed(world.cases)]
            planned = uow.queue.plan(world.version.id, last_first)
            uow.commit()
        return planned

    with ThreadPoolExecutor(1) as pool, factory() as uow:
        uow.queue.claim(case_id=case.id, reviewer_id=world.ada.id, seconds=600)
        waiting = pool.submit(plan)
        _until_somebody_waits(factory)
        uow.verdicts.append(
            id=new_id(), cue_id=cue.id, reviewer_id=world.ada.id, value="correct", based_on=0
        )
        uow.commit()
        assert waiting.result() == len(world.cases)
    with factory(read_only=True) as uow:
        last = uow.queue.rows(world.version.id)[-1]
        assert (last.case_id, last.queue_order) == (case.id, len(world.cases) - 1)
        assert len(uow.verdicts.history(cue.id)) == 1


def _until_somebody_waits(factory: UnitOfWorkFactory) -> None:
    with factory.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for _look in range(3000):
            waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if connection.execute(waits).scalar_one():
                return
            time.sleep(0.02)
    raise AssertionError("nobody waits for a lock")
