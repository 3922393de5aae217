"""Exports by the clock: started once per due time, made up for once, shown when they fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
import torch

from core.errors import ConfigError, InputError
from dashboard.services.export_steps import Asked, ExportSteps, Maker, Order, folder_of, request
from dashboard.services.made import MadeFile
from dashboard.services.report_scope import ReportScope
from dashboard.services.roles import Forbidden
from dashboard.services.run_body import execute
from dashboard.services.schedules import ScheduleService
from dashboard.viewmodels.schedules import ScheduleView
from db.errors import NotFound, StaleWrite
from db.records import new_id, utc_now
from tests.integration.services.queue_world import make_lead
from tests.integration.services.world import World, make_world, reviewer


@dataclass
class Clock:
    """A clock that stands until it is moved; it starts with the real one, as rows do."""

    at: datetime = field(default_factory=lambda: utc_now() + timedelta(seconds=1))

    def __call__(self) -> datetime:
        return self.at

    def to(self, **step: float) -> None:
        self.at += timedelta(**step)


@dataclass
class Told:
    """A queue that remembers what it was told."""

    ids: list[str] = field(default_factory=list)

    def announce(self, run_id: str, workflow_id: str) -> bool:
        self.ids.append(run_id)
        return True


class Bakery:
    """Makes a text file of each format; can be made to refuse or to be killed."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.refuse = ""
        self.kill = ""

    def __call__(self, order: Order) -> tuple[MadeFile, ...]:
        if order.format == self.refuse:
            raise InputError("logo.png", "is no picture")
        path = order.folder / f"report.{order.format}"
        path.write_text(f"{order.format} of {order.scope.sentence()}", encoding="utf-8")
        self.made.append(order.format)
        if order.format == self.kill:
            self.kill = ""
            raise KeyboardInterrupt
        return (MadeFile.of(path, order.format),)

    def makers(self, formats: Sequence[str] = ("html", "json", "csv")) -> dict[str, Maker]:
        return dict.fromkeys(formats, self)


@dataclass
class Shop:
    """A world with its clock, its queue and its makers."""

    world: World
    clock: Clock
    told: Told
    bakery: Bakery
    schedules: ScheduleService

    @property
    def lead(self) -> str:
        return reviewer(self.world, "Lea")

    def add(self, **spec: object) -> ScheduleView:
        asked = {"every": "day", "at": "06:00", "formats": ["html", "json"], **spec}
        name = str(asked.pop("name", ""))
        return self.schedules.add(
            id=new_id(), project_id=self.world.project_id, reviewer_id=self.lead, spec=asked,
            name=name,
        )  # fmt: skip

    def work(self, run_id: str) -> str:
        steps = ExportSteps(self.world.settings, self.bakery.makers()).steps()
        with self.world.services.uow(read_only=True) as uow:
            workflow = uow.runs.get(run_id).workflow_id or ""
        return execute(self.world.services.uow, steps, run_id, workflow)

    def view(self) -> ScheduleView:
        (found,) = self.schedules.list(self.world.project_id)
        return found


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    torch.set_num_threads(1)
    world = make_world(tmp_path / "ws", splits={"train": 12})
    clock, told, bakery = Clock(), Told(), Bakery()
    schedules = ScheduleService(world.services.uow, told, tuple(bakery.makers()), now=clock)
    return Shop(world, clock, told, bakery, schedules)


class TestDue:
    def test_once_for_each_due_time(self, shop: Shop) -> None:
        shop.add()
        assert shop.schedules.sweep() == ()  # what was due before it was added is not made
        shop.clock.to(days=1)
        (run_id,) = shop.schedules.sweep()
        assert shop.schedules.sweep() == ()
        assert shop.told.ids == [run_id]
        shop.clock.to(days=1)
        (second,) = shop.schedules.sweep()
        assert second != run_id

    def test_after_a_pause_of_the_worker_only_the_latest_is_made_up_for(self, shop: Shop) -> None:
        shop.add()
        shop.clock.to(days=30)
        assert len(shop.schedules.sweep()) == 1
        assert shop.schedules.sweep() == ()
        due = shop.view().runs[0].due
        assert due is not None
        assert timedelta(0) <= shop.clock.at - due < timedelta(days=1)

    def test_several_workers_start_it_once(self, shop: Shop) -> None:
        shop.add()
        shop.clock.to(days=1)
        started: list[str] = []
        others = [
            ScheduleService(shop.world.services.uow, Told(), ("html", "json"), now=shop.clock)
            for _ in range(4)
        ]
        threads = [Thread(target=lambda each=each: started.extend(each.sweep())) for each in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(started) == 1
        assert len(shop.view().runs) == 1

    def test_a_paused_schedule_rests_and_goes_on_with_the_next_time(self, shop: Shop) -> None:
        row = shop.add()
        asked = {"project_id": shop.world.project_id, "reviewer_id": shop.lead,
                 "schedule_id": row.id}  # fmt: skip
        paused = shop.schedules.pause(id=new_id(), based_on=1, **asked)
        assert (paused.active, paused.next_due) == (False, None)
        shop.clock.to(days=2)
        assert shop.schedules.sweep() == ()
        with pytest.raises(StaleWrite):
            shop.schedules.resume(id=new_id(), based_on=1, **asked)
        resumed = shop.schedules.resume(id=new_id(), based_on=2, **asked)
        assert resumed.next_due is not None
        assert resumed.next_due > shop.clock.at

    def test_a_removed_schedule_is_gone(self, shop: Shop) -> None:
        row = shop.add()
        event = new_id()
        for _ in range(2):
            shop.schedules.remove(
                id=event, project_id=shop.world.project_id, reviewer_id=shop.lead,
                schedule_id=row.id, based_on=1,
            )  # fmt: skip
        shop.clock.to(days=2)
        assert shop.schedules.sweep() == ()
        assert shop.schedules.list(shop.world.project_id) == ()
        with shop.world.services.uow(read_only=True) as uow:
            actions = [line.action for line in uow.audit.list(entity="schedule")]
        assert actions == ["schedule.removed", "schedule.added"]

    def test_a_schedule_that_cannot_be_read_does_not_stop_the_others(self, shop: Shop) -> None:
        shop.add(name="good")
        with shop.world.services.uow() as uow:
            uow.schedules.append(
                id=new_id(), project_id=shop.world.project_id, reviewer_id=shop.lead,
                schedule_id=new_id(), name="broken", spec={"every": "aeon"}, active=True,
                based_on=0,
            )  # fmt: skip
            uow.commit()
        shop.clock.to(days=1)
        assert len(shop.schedules.sweep()) == 1
        assert [row.name for row in shop.schedules.list(shop.world.project_id)] == ["good"]

    def test_leads_only(self, shop: Shop) -> None:
        make_lead(shop.world)
        shop.add()
        stranger = reviewer(shop.world, "Bo")
        with pytest.raises(Forbidden):
            shop.schedules.add(
                id=new_id(), project_id=shop.world.project_id, reviewer_id=stranger,
                spec={"every": "day", "formats": ["html"]},
            )  # fmt: skip

    def test_what_is_refused(self, shop: Shop) -> None:
        shop.add(name="weekly")
        with pytest.raises(ConfigError, match="called 'weekly' already"):
            shop.add(name="weekly")
        with pytest.raises(ConfigError, match="cannot make pdf"):
            shop.add(formats=["pdf"])
        with pytest.raises(ConfigError, match="not a class"):
            shop.add(scope={"class_name": "dragon"})
        with pytest.raises(NotFound):
            shop.add(scope={"reviewer": "Nobody"})


class TestMaking:
    def test_files_lie_in_the_workspace_and_are_written_down(self, shop: Shop) -> None:
        row = shop.add()
        shop.clock.to(days=1)
        (run_id,) = shop.schedules.sweep()
        assert shop.work(run_id) == "succeeded"
        (made,) = shop.view().runs
        assert (made.state, [name for name, _, _ in made.files]) == ("succeeded", ["html", "json"])
        for _, path, size in made.files:
            assert path.startswith("exports/tiny-")
            assert (shop.world.settings.workspace / path).stat().st_size == size
        with shop.world.services.uow(read_only=True) as uow:
            exports = uow.exports.list(shop.world.project_id)
            last = uow.exports.last_of(row.id)
            lines = [each for each in uow.audit.list(entity="export") if each.action == "export"]
        assert last is not None
        assert {each.format for each in exports} == {"html", "json"}
        assert {each.reviewer_id for each in exports} == {None}
        assert len(lines) == 2

    def test_a_killed_step_makes_only_what_is_missing(self, shop: Shop) -> None:
        shop.add(formats=["html", "json", "csv"])
        shop.clock.to(days=1)
        (run_id,) = shop.schedules.sweep()
        shop.bakery.kill = "json"
        with pytest.raises(KeyboardInterrupt):
            shop.work(run_id)
        assert shop.work(run_id) == "succeeded"
        assert shop.bakery.made == ["html", "json", "json", "csv"]
        with shop.world.services.uow(read_only=True) as uow:
            assert len(uow.exports.list(shop.world.project_id)) == 3

    def test_a_failure_is_shown_with_its_reason(self, shop: Shop) -> None:
        shop.add()
        shop.clock.to(days=1)
        (run_id,) = shop.schedules.sweep()
        shop.bakery.refuse = "json"
        assert shop.work(run_id) == "failed"
        view = shop.view()
        assert view.failed
        assert "logo.png" in view.runs[0].message
        assert [name for name, _, _ in view.runs[0].files] == ["html"]

    def test_a_format_that_is_not_there_fails_with_words(self, shop: Shop) -> None:
        with shop.world.services.uow() as uow:
            run, fresh = request(uow, shop.world.project_id, new_id(), Asked(("pdf",)), shop.lead)
            uow.commit()
        assert fresh
        assert shop.work(run.id) == "failed"
        with shop.world.services.uow(read_only=True) as uow:
            assert "cannot make pdf" in uow.runs.get(run.id).message

    def test_by_hand(self, shop: Shop) -> None:
        row = shop.add()
        event = new_id()
        for _ in range(2):
            started = shop.schedules.run_now(
                id=event, project_id=shop.world.project_id, reviewer_id=shop.lead,
                schedule_id=row.id,
            )  # fmt: skip
        assert (started.run_id, started.due) == (event, None)
        assert shop.work(event) == "succeeded"
        with shop.world.services.uow(read_only=True) as uow:
            people = {each.reviewer_id for each in uow.exports.list(shop.world.project_id)}
        assert people == {shop.lead}

    def test_a_persons_name_is_kept_by_id(self, shop: Shop) -> None:
        row = shop.add(scope={"reviewer": "Lea"})
        assert "Lea" in row.scope
        with shop.world.services.uow(read_only=True) as uow:
            (kept,) = uow.schedules.standing(shop.world.project_id)
        assert "Lea" not in str(kept.spec)

    def test_a_project_name_cannot_lead_out_of_the_folder(self, shop: Shop) -> None:
        with shop.world.services.uow() as uow:
            project = uow.projects.add("../../étc", "images", classes=("a", "b"))
            run, _ = request(uow, project.id, new_id(), Asked(("html",)), None)
        folder = folder_of(Path("ws"), project, run)
        assert folder.parts[:3] == ("ws", "exports", f"etc-{project.id[:8]}")

    def test_asked_and_back(self) -> None:
        asked = Asked(("html",), ReportScope(class_name="naevus"), "weekly", new_id(),
                      datetime(2026, 3, 1, 6, tzinfo=UTC).isoformat())  # fmt: skip
        assert Asked.from_json(asked.as_json()) == asked
        with pytest.raises(ConfigError):
            Asked.from_json({})
