"""The home screen's figures on a small world, with a clock that stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest
import torch

from dashboard.services.home_words import pace, stretch_of
from dashboard.services.kept import Kept
from db.errors import NotFound
from db.records import new_id
from tests.integration.services.world import World, judge, make_world, reviewer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two people judged twelve cues alike; one case is flagged; one schedule."""
    torch.set_num_threads(1)
    built = make_world(tmp_path_factory.mktemp("home") / "ws", splits={"train": 24, "test": 12})
    for who in ("Ada", "Ben"):
        judge(built, reviewer(built, who), count=12)
    ada = reviewer(built, "Ada")
    with built.services.uow() as uow:
        version = uow.versions.active(built.project_id)
        assert version is not None
        case = uow.queue.page(version.id, "", limit=1).items[0].case_id
        uow.queue.mark(id=new_id(), case_id=case, reviewer_id=ada, kind="flag")
        uow.commit()
    built.services.schedules.add(
        id=new_id(), project_id=built.project_id, reviewer_id=reviewer(built, "Ada"),
        spec={"every": "day", "at": "06:00", "formats": ["json"]}, name="daily",
    )  # fmt: skip
    return built


class TestNow:
    def test_queue_coverage_and_load_agree_with_one_another(self, world: World) -> None:
        view = world.services.home.now(world.project_id)
        assert view.health is not None
        assert view.health.total == 36
        assert view.health.done == sum(part.done for part in view.coverage)
        assert view.health.done + view.health.begun + view.health.untouched == 36
        assert view.health.flagged == 1
        assert {part.name for part in view.by_split} == {"train", "test"}
        assert {row.person for row in view.load} == {"Ada", "Ben"}
        done = world.services.queue.progress(world.project_id, reviewer(world, "Ada"))
        assert {row.person: row.done for row in view.load}["Ada"] == done.mine
        assert [row.name for row in view.schedules] == ["daily"]
        assert view.alerts == ()

    def test_spurious_cues_are_those_that_people_named(self, world: World) -> None:
        view = world.services.home.now(world.project_id)
        assert {cell.name for cell in view.spurious} == {"ruler"}
        assert all(cell.spurious == cell.judged for cell in view.spurious)

    def test_an_unknown_project(self, world: World) -> None:
        with pytest.raises(NotFound):
            world.services.home.now(new_id())

    def test_a_project_without_a_version(self, world: World) -> None:
        with world.services.uow() as uow:
            project = uow.projects.add("bare", "images", classes=("a", "b"))
            uow.commit()
        view = world.services.home.now(project.id)
        assert (view.health, view.load, view.coverage) == (None, (), ())
        history = world.services.home.history(project.id)
        assert (history.work, history.covered, history.agreement) == ((), (), ())
        assert world.services.home.criteria(project.id).outcomes == ()


class TestHistory:
    def test_everything_was_today(self, world: World) -> None:
        found = world.services.home.history(world.project_id)
        assert {row.person for row in found.work} == {"Ada", "Ben"}
        assert len({(row.words, row.cases) for row in found.work}) == 1  # they said the same
        (point,) = found.agreement
        assert point.alpha.value == 1.0
        health = world.services.home.now(world.project_id).health
        assert health is not None
        assert found.covered[-1][1] == health.done

    def test_kept_until_something_is_said(self, world: World) -> None:
        first = world.services.home.history(world.project_id)
        assert world.services.home.history(world.project_id) is first
        judge(world, reviewer(world, "Cleo"), count=1)
        assert world.services.home.history(world.project_id) is not first


class TestWords:
    def test_stretches_grow_with_the_time(self) -> None:
        last = date(2026, 3, 31)
        found = [stretch_of(last - timedelta(days=n), last) for n in (0, 39, 40, 279, 280)]
        assert found == ["day", "day", "week", "week", "month"]

    def test_pace_leaves_out_the_pauses_between_sittings(self) -> None:
        start = datetime(2026, 3, 2, 9, tzinfo=UTC)
        steps = [0, 10, 20, 40, 50, 60, 5000, 5010]
        times = [start + timedelta(seconds=step) for step in steps]
        assert pace(times) == (10.0, 6)
        assert pace([*times, *times]) == (10.0, 6)
        assert pace(times[:4]) == (None, 3)
        assert pace([]) == (None, 0)


@dataclass
class Ticks:
    """A clock that moves when told."""

    at: float = 0.0
    made: list[int] = field(default_factory=list)

    def __call__(self) -> float:
        return self.at

    def make(self, seconds: float) -> int:
        self.at += seconds
        self.made.append(len(self.made))
        return self.made[-1]


class TestKept:
    def test_what_is_quick_is_always_fresh(self) -> None:
        clock = Ticks()
        kept: Kept[int] = Kept(clock)
        assert [kept.of("k", stamp, lambda: clock.make(0.1)) for stamp in (1, 1, 2)] == [0, 0, 1]

    def test_what_is_costly_may_be_behind_for_a_while(self) -> None:
        clock = Ticks()
        kept: Kept[int] = Kept(clock)
        assert kept.of("k", 1, lambda: clock.make(2.0)) == 0
        clock.at += 19
        assert kept.of("k", 2, lambda: clock.make(2.0)) == 0
        clock.at += 2
        assert kept.of("k", 2, lambda: clock.make(2.0)) == 1

    def test_only_the_latest_are_kept(self) -> None:
        clock = Ticks()
        kept: Kept[int] = Kept(clock)
        for key in range(40):
            kept.of(key, 0, lambda: clock.make(0.0))
        assert kept.of(39, 0, lambda: clock.make(0.0)) == 39
        assert kept.of(0, 0, lambda: clock.make(0.0)) == 40
