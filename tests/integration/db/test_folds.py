"""Whatever the order of events, what stands is what a plain Python fold says."""

from collections import defaultdict
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.errors import StaleWrite
from db.records import VerdictValue, new_id
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory
from tests.integration.db.builders import DICTIONARY, World, make_world

VALUES: tuple[VerdictValue, ...] = ("correct", "spurious", "unsure", "withdrawn")
CUES = 5


@dataclass(frozen=True)
class Say:
    """A reviewer says something of a cue; `lag` revisions behind what stands."""

    reviewer: int
    cue: int
    value: VerdictValue
    lag: int


@dataclass(frozen=True)
class Undo:
    """A reviewer takes back the latest action."""

    reviewer: int


@dataclass
class Reference:
    """The same rules in the plainest Python: stacks instead of tables."""

    said: dict[tuple[int, int], list[VerdictValue]] = field(
        default_factory=lambda: defaultdict(list)
    )
    actions: dict[int, list[tuple[int, VerdictValue]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def say(self, event: Say) -> bool:
        rows = self.said[event.reviewer, event.cue]
        if event.lag and rows:
            return False
        former = rows[-1] if rows else "withdrawn"
        self.actions[event.reviewer].append((event.cue, former))
        rows.append(event.value)
        return True

    def undo(self, reviewer: int) -> bool:
        if not self.actions[reviewer]:
            return False
        cue, former = self.actions[reviewer].pop()
        self.said[reviewer, cue].append(former)
        return True

    def standing(self) -> dict[tuple[int, int], VerdictValue]:
        latest = {key: rows[-1] for key, rows in self.said.items() if rows}
        return {key: value for key, value in latest.items() if value != "withdrawn"}


says = st.builds(
    Say, st.integers(0, 1), st.integers(0, CUES - 1), st.sampled_from(VALUES), st.integers(0, 2)
)
events = st.lists(st.one_of(says, says, st.builds(Undo, st.integers(0, 1))), max_size=25)


def _play(uow: UnitOfWork, world: World, script: list[Say | Undo]) -> Reference:
    reference = Reference()
    people = (world.ada.id, world.ben.id)
    cues = [cue.id for case in world.cues for cue in case][:CUES]
    for event in script:
        if isinstance(event, Undo):
            taken = uow.verdicts.undo(
                id=new_id(), reviewer_id=people[event.reviewer], project_id=world.project.id
            )
            assert (taken is not None) == reference.undo(event.reviewer)
            continue
        seen = max(0, len(reference.said[event.reviewer, event.cue]) - event.lag)
        if reference.say(event):
            refusal: AbstractContextManager[object] = nullcontext()
        else:
            refusal = pytest.raises(StaleWrite)
        with refusal:
            uow.verdicts.append(
                id=new_id(),
                cue_id=cues[event.cue],
                reviewer_id=people[event.reviewer],
                value=event.value,
                based_on=seen,
            )
    return reference


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(script=events)
def test_any_interleaving_folds_to_the_reference(
    factory: UnitOfWorkFactory, script: list[Say | Undo]
) -> None:
    world = make_world(factory)
    people = (world.ada.id, world.ben.id)
    cues = [cue.id for case in world.cues for cue in case][:CUES]
    with factory() as uow:
        reference = _play(uow, world, script)
        wanted = {
            (people[who], cues[what]): value for (who, what), value in reference.standing().items()
        }
        stands = uow.verdicts.standing_of_project(world.project.id)
        assert {(each.reviewer_id, each.cue_id): each.value for each in stands} == wanted
        _check_tallies(uow, world, wanted)
        _check_queue(uow, world, wanted)


def _check_tallies(
    uow: UnitOfWork, world: World, wanted: dict[tuple[str, str], VerdictValue]
) -> None:
    counts = uow.verdicts.counts(world.project.id)
    said = list(wanted.values())
    assert (counts.standing, counts.spurious) == (len(said), said.count("spurious"))
    page = uow.concepts.list(world.project.id, DICTIONARY)
    number = {cue.id: cue.number for case in world.cues for cue in case}
    for item in page.items:
        own = [value for (_, cue), value in wanted.items() if number[cue] == item.concept.number]
        assert (item.correct, item.spurious, item.unsure) == tuple(
            own.count(value) for value in VALUES[:3]
        )


def _check_queue(
    uow: UnitOfWork, world: World, wanted: dict[tuple[str, str], VerdictValue]
) -> None:
    case_of = {cue.id: cue.case_id for case in world.cues for cue in case}
    done = {case_of[cue] for who, cue in wanted if who == world.ada.id}
    queue = uow.cases.queue(world.version.id, world.ada.id)
    assert {item.case_id for item in queue if item.done} == done
    still_open = [item.case_id for item in queue if not item.done]
    first = uow.cases.first_open(world.version.id, world.ada.id)
    assert first == (still_open[0] if still_open else None)
    anyone = {case_of[cue] for _who, cue in wanted}
    assert uow.cases.counts(world.version.id).reviewed == len(anyone)
