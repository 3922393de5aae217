"""The home screen's figures on a small world, with a clock that stands."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import torch

from dashboard.services import home_words
from dashboard.services.home_words import pace, stretch_of
from dashboard.services.kept import Kept
from dashboard.viewmodels.home import Anew, RunLine
from dashboard.viewmodels.words import RunState
from db.errors import NotFound
from db.feedback_records import RunRecord
from db.records import new_id
from tests.integration.db.builders import new_version
from tests.integration.services.world import RULER, World, judge, make_world, reviewer


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


class TestAnew:
    def test_a_version_made_active_begins_at_nothing_and_says_what_is_kept(
        self, tmp_path: Path
    ) -> None:
        torch.set_num_threads(1)
        world = make_world(tmp_path / "ws", splits={"train": 24, "test": 12})
        home = world.services.home
        ada = reviewer(world)
        judge(world, ada, count=3)
        before = home.now(world.project_id)
        with world.services.uow() as uow:
            first = uow.versions.active(world.project_id)
            assert first is not None
            later = uow.versions.add(world.project_id, new_version("b7" * 32, first.hash))
            (today,) = uow.home.work(world.project_id)  # verdicts alone, none of them changed
            event = uow.version_events.append(
                id=new_id(), version_id=later.id, kind="activate", former_id=first.id,
                reviewer_id=ada, reason="tried",
            )  # fmt: skip
            uow.commit()

        after = home.now(world.project_id)

        assert before.anew is None
        assert before.health is not None
        assert before.health.begun + before.health.done > 0
        assert after.health is not None
        assert (after.health.done, after.health.begun) == (0, 0)
        assert after.anew == Anew(later.hash, event.created_at, today.words)

    def test_a_first_version_has_nothing_to_say(self, world: World) -> None:
        assert world.services.home.now(world.project_id).anew is None


class TestNames:
    def test_two_concepts_of_one_name_are_two_rows_with_their_numbers(self, tmp_path: Path) -> None:
        torch.set_num_threads(1)
        world = make_world(tmp_path / "ws", splits={"train": 24, "test": 12})
        ada, given = reviewer(world), Counter[tuple[int, str]]()
        for row in world.services.review.queue(world.project_id, ada)[:6]:
            case = world.services.review.case(world.project_id, row.case_id, ada)
            for cue in case.cues:
                if cue.concept in (0, RULER):
                    world.services.review.give_verdict(
                        id=new_id(), cue_id=cue.id, reviewer_id=ada, value="spurious", based_on=0
                    )
                    given[cue.concept, case.prediction] += 1
        with world.services.uow(read_only=True) as uow:
            version = uow.versions.active(world.project_id)
            assert version is not None
            ids = uow.concepts.ids(world.project_id, version.dictionary_hash)
        world.services.concepts.rename(
            id=new_id(), concept_id=ids[0], reviewer_id=ada, name="Ruler", based_on=0
        )

        cells = world.services.home.now(world.project_id).spurious

        assert {n for n, _ in given} == {0, RULER}
        names = {ids[0]: "Ruler · no. 0", ids[RULER]: f"ruler · no. {RULER}"}
        assert {(c.concept_id, c.name, c.class_name): (c.spurious, c.judged) for c in cells} == {
            (ids[n], names[ids[n]], where): (count, count) for (n, where), count in given.items()
        }


class TestLines:
    def test_a_run_that_is_done_says_so_once(self) -> None:
        assert home_words.run_line(a_run("succeeded", "done"), "", START).text == ""
        assert home_words.run_line(a_run("running", "refitting"), "", START).text == "refitting"
        assert home_words.run_line(a_run("cancelled", "refitting"), "", START).text == "refitting"

    def test_an_alert_on_drift_is_said_once(self) -> None:
        line = RunLine("r", "evaluate", "drift", "succeeded", 1.0, START, "Drift: it differs.",
                       ("drift", ()))  # fmt: skip
        (found,) = home_words.alerts(None, (), (line,), {"r": True}, (), START)
        assert found.text == "Drift: it differs."


START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def a_run(state: RunState, stage: str) -> RunRecord:
    return RunRecord(
        id=new_id(), project_id=new_id(), kind="reweight", state=state, progress=0.5, stage=stage,
        message="", seed=0, config={}, metrics={}, base_version_id=None, result_version_id=None,
        snapshot_id=None, workflow_id=None, requested_by=None, created_at=START, started_at=START,
        heartbeat_at=START, finished_at=None,
    )  # fmt: skip
