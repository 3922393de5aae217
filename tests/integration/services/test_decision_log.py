"""The decision log: written down, read from what was done elsewhere, superseded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import torch

from core.errors import ConfigError
from dashboard.services.roles import Forbidden
from dashboard.viewmodels.decisions import DecisionEntry, DecisionFilter
from db.errors import Conflict, NotFound
from db.records import new_id
from tests.integration.services.queue_world import make_lead, set_rules
from tests.integration.services.world import World, make_world, reviewer

HOSTILE = "<script>alert(1)</script> =cmd() \u202ebidi"


@pytest.fixture
def world(tmp_path: Path) -> World:
    torch.set_num_threads(1)
    return make_world(tmp_path / "ws", splits={"train": 12})


def write(world: World, title: str = "Threshold of the alarm", **changes: object) -> DecisionEntry:
    asked: dict[str, object] = {
        "id": new_id(), "project_id": world.project_id, "reviewer_id": reviewer(world, "Lea"),
        "subject": "threshold", "title": title, "choice": "0.7", "reason": "fewest misses",
        **changes,
    }  # fmt: skip
    return world.services.decision_log.add(**asked)  # type: ignore[arg-type]


class TestWriting:
    def test_with_evidence_and_alternatives(self, world: World) -> None:
        with world.services.uow(read_only=True) as uow:
            version = uow.versions.active(world.project_id)
            assert version is not None
            case = uow.queue.page(version.id, "", limit=1).items[0].case_id
        entry = write(
            world, alternatives="0.5, 0.9",
            evidence=[
                ("version", version.hash[:10]), ("case", case), ("criterion", "kappa"),
                ("address", "https://example.org/minutes.pdf"), ("case", case),
            ],
        )  # fmt: skip
        assert [(link.kind, link.screen) for link in entry.evidence] == [
            ("version", "versions"), ("case", "review"), ("criterion", "home"), ("address", "")
        ]  # fmt: skip
        assert entry.alternatives == "0.5, 0.9"
        assert (entry.by, entry.source, entry.subject) == ("Lea", "written", "threshold")
        with world.services.uow(read_only=True) as uow:
            (line,) = uow.audit.list(entity="decision")
        assert line.action == "decision.written"

    @pytest.mark.parametrize(
        "evidence",
        [("run", new_id()), ("version", "abcdef12"), ("case", "x"), ("export", new_id()),
         ("address", "javascript:alert(1)"), ("address", "https://a b")],
    )  # fmt: skip
    def test_evidence_that_is_not_there(self, world: World, evidence: tuple[str, str]) -> None:
        with pytest.raises(NotFound):
            write(world, evidence=[evidence])
        assert [e for e in world.services.decision_log.timeline(world.project_id)
                if e.source == "written"] == []  # fmt: skip

    def test_what_is_no_decision(self, world: World) -> None:
        for changes in (
            {"subject": "weather"}, {"choice": " "}, {"reason": ""}, {"title": ""},
            {"evidence": [("mood", "x")]}, {"evidence": [("criterion", "luck")]},
        ):  # fmt: skip
            with pytest.raises(ConfigError):
                write(world, **{"title": "x", **changes})  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="invisible"):
            write(world, HOSTILE)

    def test_hostile_text_stays_text(self, world: World) -> None:
        entry = write(world, choice="<b>=1+1</b>", reason="=HYPERLINK(1) <img onerror=x>")
        assert entry.choice == "<b>=1+1</b>"
        assert entry.reason == "=HYPERLINK(1) <img onerror=x>"

    def test_twice_is_once(self, world: World) -> None:
        event = new_id()
        assert write(world, id=event) == write(world, id=event)
        with world.services.uow(read_only=True) as uow:
            assert len(uow.audit.list(entity="decision")) == 1

    def test_roles(self, world: World) -> None:
        make_lead(world)
        with pytest.raises(Forbidden):
            write(world, reviewer_id=reviewer(world, "Somebody"))
        assert write(world).by == "Lea"

    def test_superseded_once(self, world: World) -> None:
        first = write(world)
        second = write(world, choice="0.8", supersedes=first.id)
        rows = world.services.decision_log.timeline(world.project_id)
        assert next(row for row in rows if row.id == first.id).superseded_by == second.id
        standing = world.services.decision_log.list(
            world.project_id, DecisionFilter(standing=True, source="written")
        )
        assert [row.id for row in standing] == [second.id]
        with pytest.raises(Conflict):
            write(world, supersedes=first.id)
        found = world.services.decision_log.find(world.project_id, first.id[:8])
        assert found.id == first.id
        with pytest.raises(NotFound):
            world.services.decision_log.find(world.project_id, "00000000")


class TestTimeline:
    def test_acts_stand_beside_what_was_written(self, world: World) -> None:
        set_rules(world, tolerance=0.05)
        world.services.success.set(
            id=new_id(), project_id=world.project_id, reviewer_id=reviewer(world, "Lea"),
            measure="kappa", comparator=">=", threshold=0.6, reason="as published", based_on=0,
        )  # fmt: skip
        write(world)
        rows = world.services.decision_log.timeline(world.project_id)
        sources = [row.source for row in rows]
        assert sources[:3] == ["written", "criterion", "settings"]
        assert [row.at for row in rows] == sorted((row.at for row in rows), reverse=True)
        rule = rows[2]
        assert rule.choice == "tolerance: 0.03 \u2192 0.05"
        assert rows[1].choice == "Agreement, kappa at least 0.60"

    def test_a_version_made_active_comes_with_its_reason(self, world: World) -> None:
        with world.services.uow() as uow:
            version = uow.versions.active(world.project_id)
            assert version is not None
            other = uow.versions.list(world.project_id)
            assert [each.id for each in other] == [version.id]
        rows = world.services.decision_log.timeline(world.project_id, subject="version")
        told = {(row.title, row.choice) for row in rows}
        assert told <= {(f"Version {version.hash[:10]}", "made active")}

    def test_filters(self, world: World) -> None:
        write(world, "Alarm")
        write(world, "Release", subject="other", choice="in spring")
        log = world.services.decision_log
        spring = DecisionFilter(search="SPRING")
        assert [row.title for row in log.list(world.project_id, spring)] == ["Release"]
        found = log.list(world.project_id, DecisionFilter(subject="threshold", source="written"))
        assert [row.title for row in found] == ["Alarm"]
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
        assert log.timeline(world.project_id, since=tomorrow) == ()
        assert len(log.timeline(world.project_id, until=tomorrow)) >= 2

    def test_what_is_offered_as_evidence(self, world: World) -> None:
        offered = world.services.decision_log.options(world.project_id)
        assert {link.kind for link in offered} >= {"version"}
        assert all(link.label for link in offered)
