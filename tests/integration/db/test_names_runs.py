"""The history of names, runs with their states, snapshots and the audit log."""

from datetime import timedelta
from itertools import product
from typing import get_args

import pytest

from db.errors import Conflict, IllegalTransition, InvalidValue, NotFound, StaleWrite
from db.feedback_records import NewRun
from db.records import RunState, new_id, utc_now
from db.repositories.runs import TRANSITIONS
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory
from tests.integration.db.builders import DICTIONARY, World

STATES: tuple[RunState, ...] = get_args(RunState)
# How to bring a fresh (queued) run into each state.
ROADS: dict[RunState, tuple[RunState, ...]] = {
    "queued": (),
    "running": ("running",),
    "succeeded": ("running", "succeeded"),
    "failed": ("running", "failed"),
    "cancelled": ("cancelled",),
    "interrupted": ("running", "interrupted"),
}


def test_the_latest_name_stands_everywhere(factory: UnitOfWorkFactory, world: World) -> None:
    concept, ada = world.cues[0][1].concept_id, world.ada
    with factory() as uow:
        for revision, name in enumerate(("ruler", "  ruler mark ", "scale bar")):
            uow.concepts.add_name(
                id=new_id(),
                concept_id=concept,
                name=name,
                based_on=revision,
                reviewer_id=ada.id,
                reason="seen on the edge",
            )
        uow.commit()
    with factory(read_only=True) as uow:
        record = uow.concepts.get(concept)
        history = uow.concepts.name_history(concept)
        renames = uow.concepts.renames(world.project.id)
        every = uow.concepts.names(world.project.id, DICTIONARY)
        persons = uow.concepts.names(world.project.id, DICTIONARY, person_only=True)
        cue = uow.cues.get(world.cues[2][1].id)
        page = uow.concepts.list(world.project.id, DICTIONARY, search="SCALE")
    assert (record.name, record.revision, record.model_name) == ("scale bar", 3, "sign 1")
    assert [(each.revision, each.name) for each in history] == [
        (1, "ruler"),
        (2, "ruler mark"),
        (3, "scale bar"),
    ]
    assert {each.reviewer for each in history} == {ada.name}
    assert [(each.former, each.event.name) for each in renames] == [
        ("ruler mark", "scale bar"),
        ("ruler", "ruler mark"),
        ("sign 1", "ruler"),
    ]
    assert every == {0: "sign 0", 1: "scale bar", 2: "sign 2"}
    assert persons == {1: "scale bar"}
    assert cue.name == "scale bar"
    assert [item.concept.id for item in page.items] == [concept]


def test_a_name_is_idempotent_and_never_overwrites_unseen(
    factory: UnitOfWorkFactory, world: World
) -> None:
    concept = world.cues[0][3].concept_id
    event = new_id()
    with factory() as uow:
        first = uow.concepts.add_name(id=event, concept_id=concept, name="veil", based_on=0)
        again = uow.concepts.add_name(id=event, concept_id=concept, name="veil ", based_on=0)
        assert again == first
        with pytest.raises(Conflict):
            uow.concepts.add_name(id=event, concept_id=concept, name="fog", based_on=1)
        with pytest.raises(StaleWrite):
            uow.concepts.add_name(id=new_id(), concept_id=concept, name="fog", based_on=0)
        with pytest.raises(InvalidValue):
            uow.concepts.add_name(id=new_id(), concept_id=concept, name=" ", based_on=1)
        with pytest.raises(NotFound):
            uow.concepts.add_name(id=new_id(), concept_id=new_id(), name="fog", based_on=0)
        with pytest.raises(NotFound):
            uow.concepts.name_history(new_id())
        with pytest.raises(NotFound):
            uow.concepts.get(new_id())
        # The model abstained on this one: what stood before was nothing.
        assert uow.concepts.renames(world.project.id)[0].former is None


def test_a_name_given_by_the_model_is_not_a_persons(
    factory: UnitOfWorkFactory, world: World
) -> None:
    concept = world.cues[0][0].concept_id
    with factory() as uow:
        uow.concepts.add_name(
            id=new_id(), concept_id=concept, name="hair", based_on=0, source="model"
        )
        assert uow.concepts.names(world.project.id, DICTIONARY)[0] == "hair"
        assert uow.concepts.names(world.project.id, DICTIONARY, person_only=True) == {}
        assert uow.concepts.renames(world.project.id) == ()


def _run(uow: UnitOfWork, world: World, state: RunState = "queued") -> str:
    run = uow.runs.add(
        world.project.id,
        NewRun(
            id=new_id(),
            kind="reweight",
            seed=2**40,
            config={"min_regions": 3},
            base_version_id=world.version.id,
            requested_by=world.ada.id,
        ),
    )
    for step in ROADS[state]:
        uow.runs.update(run.id, state=step)
    return run.id


@pytest.mark.parametrize(("start", "to"), list(product(STATES, STATES)))
def test_runs_move_only_along_legal_transitions(
    factory: UnitOfWorkFactory, world: World, start: RunState, to: RunState
) -> None:
    with factory() as uow:
        run = _run(uow, world, start)
        if to == start or to in TRANSITIONS[start]:
            assert uow.runs.update(run, state=to).state == to
        else:
            with pytest.raises(IllegalTransition):
                uow.runs.update(run, state=to)
            with pytest.raises(IllegalTransition):
                uow.runs.transition(run, to, allowed=(start,))
            assert uow.runs.get(run).state == start


def test_a_run_tells_its_progress_and_outcome(factory: UnitOfWorkFactory, world: World) -> None:
    with factory() as uow:
        run = _run(uow, world)
        queued = uow.runs.get(run)
        running = uow.runs.update(
            run, state="running", progress=1.7, stage="detectors", message="3 of 6", workflow_id="w"
        )
        done = uow.runs.update(
            run, state="succeeded", metrics={"after": 0.98}, result_version_id=world.version.id
        )
        assert uow.runs.update(run, progress=0.1, stage="late") == done
        assert uow.runs.update(run, state="succeeded", metrics={"after": 0.98}) == done
        with pytest.raises(Conflict):
            uow.runs.update(run, metrics={"after": 0.1})
        uow.commit()
    assert (queued.started_at, queued.finished_at, queued.heartbeat_at) == (None, None, None)
    assert (running.progress, running.stage, running.message) == (1.0, "detectors", "3 of 6")
    assert running.started_at is not None
    assert (done.metrics, done.workflow_id, done.seed) == ({"after": 0.98}, "w", 2**40)
    assert done.finished_at is not None
    with factory(read_only=True) as uow:
        assert uow.runs.get(run) == done


def test_a_restarted_run_starts_afresh(factory: UnitOfWorkFactory, world: World) -> None:
    with factory() as uow:
        run = _run(uow, world, "failed")
        again = uow.runs.update(run, state="queued")
        assert (again.progress, again.stage, again.message) == (0.0, "", "")
        assert (again.started_at, again.finished_at) == (None, None)


def test_a_run_is_asked_for_once(factory: UnitOfWorkFactory, world: World) -> None:
    run = NewRun(id=new_id(), kind="discover", seed=3, config={"n": [1, 2]})
    with factory() as uow:
        first = uow.runs.add(world.project.id, run)
        uow.runs.update(run.id, state="running")
        assert uow.runs.add(world.project.id, run).id == first.id
        for other in (NewRun(id=run.id, kind="discover", seed=4), NewRun(run.id, "reweight", 3)):
            with pytest.raises(Conflict):
                uow.runs.add(world.project.id, other)
        with pytest.raises(InvalidValue):
            uow.runs.add(world.project.id, NewRun(id=new_id(), kind="dance", seed=1))  # type: ignore[arg-type]
        assert [each.id for each in uow.runs.list(world.project.id, kind="discover")] == [run.id]
        assert uow.runs.list(world.project.id, state="failed") == ()
        assert run.id in {each.id for each in uow.runs.unfinished()}


def test_a_cancelled_run_never_succeeds(factory: UnitOfWorkFactory, world: World) -> None:
    with factory() as uow:
        run = _run(uow, world, "running")
        assert uow.runs.transition(run, "cancelled", allowed=("queued", "running"))
        assert not uow.runs.transition(run, "succeeded", allowed=("running",))
        assert uow.runs.update(run, progress=0.5).state == "cancelled"
        with pytest.raises(NotFound):
            uow.runs.transition(new_id(), "cancelled", allowed=("running",))


def test_silent_runs_are_marked_interrupted(factory: UnitOfWorkFactory, world: World) -> None:
    with factory() as uow:
        silent, queued, done = (
            _run(uow, world, state) for state in ("running", "queued", "succeeded")
        )
        later = utc_now() + timedelta(minutes=10)
        assert uow.runs.mark_interrupted(timedelta(minutes=20), now=later) == ()
        marked = uow.runs.mark_interrupted(timedelta(minutes=5), now=later)
        states = [uow.runs.get(run).state for run in (silent, queued, done)]
        resumed = uow.runs.update(silent, state="running")
    assert [run.id for run in marked if run.project_id == world.project.id] == [silent]
    assert states == ["interrupted", "queued", "succeeded"]
    assert resumed.state == "running"


def test_snapshots_are_addressed_by_content(factory: UnitOfWorkFactory, world: World) -> None:
    payload = {"marks": [{"id": "a", "x": 0.5}]}
    with factory() as uow:
        first = uow.snapshots.add(world.project.id, hash="h", payload=payload, verdicts=1)
        again = uow.snapshots.add(world.project.id, hash="h", payload=payload, verdicts=1)
        assert again == first == uow.snapshots.get(first.id)
        assert uow.snapshots.by_ids([first.id]) == {first.id: first}
        with pytest.raises(Conflict):
            uow.snapshots.add(world.project.id, hash="h", payload={}, verdicts=1)
        with pytest.raises(NotFound):
            uow.snapshots.get(new_id())


def test_the_audit_log_is_in_order(factory: UnitOfWorkFactory, world: World) -> None:
    entity = new_id()
    with factory() as uow:
        for action in ("start", "activate", "discard"):
            uow.audit.append(
                actor="Ada", action=action, entity="run", entity_id=entity, detail={"a": [1]}
            )
        lines = uow.audit.list(entity="run", entity_id=entity)
        assert uow.audit.list(entity="run", entity_id=entity, limit=1, offset=1) == lines[1:2]
    assert [line.action for line in lines] == ["discard", "activate", "start"]
    assert lines[0].detail == {"a": [1]}
