"""The audit log as services and commands give it: checks, anchors, extracts, forgetting."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from core.errors import ConfigError, InputError
from dashboard.cli import app
from dashboard.services.audit import AuditService
from dashboard.services.audit_anchors import NAME, Anchors
from dashboard.services.audit_people import ForgetService
from dashboard.services.roles import Forbidden
from dashboard.settings import Settings
from dashboard.viewmodels.audit import LineFilter
from db import migrate
from db.chain_records import AuditLine
from db.engine import create_engine
from db.errors import NotFound
from db.records import new_id
from db.unit_of_work import UnitOfWorkFactory, uow_factory
from tests.integration.db.builders import World, make_world
from tests.integration.db.chain_world import drop_triggers

LINES = LineFilter()


@dataclass(frozen=True)
class Place:
    """A workspace with a project in it and a few words said."""

    settings: Settings
    engine: Engine
    uow: UnitOfWorkFactory
    world: World
    audit: AuditService
    forgetting: ForgetService

    @property
    def project(self) -> str:
        return self.world.project.id

    @property
    def anchors(self) -> list[dict[str, object]]:
        path = self.settings.workspace / NAME
        return [json.loads(line) for line in path.read_text().splitlines() if line]

    def say(self, number: int) -> str:
        cue = self.world.cues[number % 3][number // 3]
        with self.uow() as uow:
            row = uow.verdicts.append(
                id=new_id(), cue_id=cue.id, reviewer_id=self.world.ada.id, value="spurious",
                comment="=1+1", based_on=0,
            )  # fmt: skip
            uow.audit.append(
                actor=self.world.ada.name, action="verdict.given", entity="verdict",
                entity_id=row.id, project_id=self.project, detail={"value": "spurious"},
            )  # fmt: skip
            uow.commit()
        return row.id

    def forge(self, sql: str) -> None:
        with self.engine.begin() as raw:
            drop_triggers(raw)
            raw.execute(text(sql))

    def run(self, *words: str, code: int = 0) -> str:
        done = CliRunner().invoke(
            app, ["audit", *words], env={"INSIGHT_HOME": str(self.settings.workspace)}
        )
        assert done.exit_code == code, done.output
        return done.output


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    settings = Settings.load(tmp_path / "workspace", environ={})
    migrate.upgrade(settings.database_url)
    engine = create_engine(settings.database_url)
    uow = uow_factory(engine, Anchors(settings.workspace).exported)
    made = Place(
        settings, engine, uow, make_world(uow), AuditService(uow, settings), ForgetService(uow)
    )
    for number in range(4):
        made.say(number)
    yield made
    engine.dispose()


def lead(place: Place, reviewer_id: str) -> None:
    with place.uow() as uow:
        uow.members.append(
            id=new_id(), project_id=place.project, reviewer_id=reviewer_id, role="lead",
            by_id=reviewer_id, based_on=0,
        )  # fmt: skip
        uow.commit()


def extract(place: Place, target: Path, **asked: object) -> Path:
    place.audit.extract(
        id=new_id(), project_id=place.project, reviewer_id=place.world.ben.id, target=target,
        **asked,
    )  # fmt: skip
    return target


class TestChecking:
    def test_a_whole_chain_is_anchored(self, place: Place) -> None:
        before = place.audit.state(place.project)
        assert (before.place, before.checked_at) == (8, None)
        steps: list[float] = []
        own, free = sorted(
            place.audit.verify(progress=lambda done, _stage: steps.append(done)),
            key=lambda chain: chain.project_id == "workspace",
        )
        assert (own.is_whole, own.entries, free.entries) == (True, 8, 0)
        assert steps == sorted(steps)
        assert steps[-1] == 1.0
        (anchor,) = place.anchors
        assert (anchor["project"], anchor["place"], anchor["hash"]) == (
            place.project, 8, own.hash,
        )  # fmt: skip
        place.say(4)
        assert "2 more entries since" in place.audit.state(place.project).sentence

    def test_a_broken_one_is_not_and_every_finding_has_a_name(self, place: Place) -> None:
        place.forge("UPDATE verdicts SET value = 'correct'")
        (chain,) = place.audit.verify(place.project)
        assert (chain.found, {row.kind for row in chain.findings}) == (4, {"row edited"})
        assert "BROKEN" in chain.sentence
        assert not (place.settings.workspace / NAME).exists()

    def test_an_end_that_was_cut_off_after_a_check_is_found(self, place: Place) -> None:
        place.audit.verify(place.project)
        with place.uow(read_only=True) as uow:
            last = list(uow.chain.read(place.project))[-3]
        place.forge(f"DELETE FROM chain_entries WHERE place > {last.place}")
        place.forge("DELETE FROM verdicts WHERE seq = (SELECT MAX(seq) FROM verdicts)")
        place.forge("DELETE FROM audit_log WHERE id = (SELECT MAX(id) FROM audit_log)")
        place.forge(f"UPDATE chain_heads SET place = {last.place}, hash = '{last.hash}'")
        (chain,) = place.audit.verify(place.project)
        assert [row.kind for row in chain.findings] == ["end cut off"]
        assert "7 to 8" in chain.sentence + chain.findings[0].sentence

    def test_an_export_is_anchored_by_itself(self, place: Place, tmp_path: Path) -> None:
        extract(place, tmp_path / "x.jsonl")
        (anchor,) = place.anchors
        assert (anchor["why"], anchor["place"]) == ("export", 10)  # the export and its line

    def test_damaged_anchors_are_refused_and_a_torn_line_is_passed_over(self, place: Place) -> None:
        place.audit.verify(place.project)
        path = place.settings.workspace / NAME
        path.write_text(path.read_text() + '{"project": "x", "pl')
        place.audit.verify(place.project)
        assert len(path.read_text().splitlines()) == 3
        with pytest.raises(InputError, match=r"audit-anchors.jsonl.*line 2"):
            place.audit.verify(place.project)

    def test_a_project_that_is_not_there(self, place: Place) -> None:
        with pytest.raises(NotFound):
            place.audit.verify("nowhere")


class TestLines:
    def test_filters(self, place: Place) -> None:
        page = place.audit.lines(place.project, LINES)
        assert (len(page.lines), page.more) == (4, False)
        assert page.people == (place.world.ada.name,)
        assert (page.actions, page.tables) == (("verdict.given",), ("verdict",))
        assert page.lines[0].detail == "value: spurious"
        today = datetime.now(UTC).date()
        for asked, count in (
            (LineFilter(person=place.world.ben.name), 0), (LineFilter(action="verdict."), 4),
            (LineFilter(table="run"), 0), (LineFilter(since=today, until=today), 4),
            (LineFilter(until=today - timedelta(days=1)), 0),
        ):  # fmt: skip
            assert len(place.audit.lines(place.project, asked).lines) == count
        assert place.audit.lines(place.project, LINES, limit=3).more
        with pytest.raises(ConfigError, match="nobody called"):
            place.audit.lines(place.project, LineFilter(person="Nobody"))

    def test_they_are_for_leads(self, place: Place) -> None:
        assert place.audit.lines(place.project, LINES, place.world.ben.id).lines
        lead(place, place.world.ada.id)
        page = place.audit.lines(place.project, LINES, place.world.ben.id)
        assert page.lines == ()
        assert "for leads" in page.note
        assert place.audit.lines(place.project, LINES, place.world.ada.id).lines

    def test_a_blind_project_without_a_lead_shows_none(self, place: Place) -> None:
        with place.uow() as uow:
            uow.settings.append(
                id=new_id(), project_id=place.project, reviewer_id=place.world.ada.id,
                settings={"blind": ["peers"]}, based_on=0,
            )  # fmt: skip
            uow.commit()
        assert "blind" in place.audit.lines(place.project, LINES, place.world.ada.id).note
        lead(place, place.world.ada.id)
        assert place.audit.lines(place.project, LINES, place.world.ada.id).lines


class TestExtracts:
    def test_it_verifies_without_the_database(self, place: Place, tmp_path: Path) -> None:
        path = extract(place, tmp_path / "all.jsonl")
        found = place.audit.check(path)
        assert (found.is_whole, found.entries, found.rows) == (True, 8, 8)
        with place.uow(read_only=True) as uow:
            (row,) = uow.exports.list(place.project, kind="extract")
            assert row.scope["hash"] == found.hash
            assert row.size == path.stat().st_size
        assert place.audit.verify(place.project)[0].is_whole

    def test_rows_outside_the_selection_are_hashes_only(self, place: Place, tmp_path: Path) -> None:
        lead(place, place.world.ben.id)
        path = extract(place, tmp_path / "ben.jsonl", person=place.world.ben.name)
        assert place.audit.check(path).rows == 1
        assert "=1+1" not in path.read_text()
        day = date(2020, 1, 1)
        path = extract(place, tmp_path / "old.jsonl", until=day)
        assert (place.audit.check(path).rows, place.audit.check(path).is_whole) == (0, True)
        path = extract(place, tmp_path / "new.jsonl", since=day)
        assert place.audit.check(path).rows == place.audit.check(path).entries

    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            ('"value":"spurious"', '"value":"correct"', "the row is not what was written"),
            ('"place":3', '"place":4', "place 3 was expected"),
            ('"behind":0', '"behind":1', "the entry was edited"),
            ('"end":true', '"end":false', "was cut off"),
        ],
    )
    def test_any_change_is_found(
        self, place: Place, tmp_path: Path, old: str, new: str, problem: str
    ) -> None:
        path = extract(place, tmp_path / "x.jsonl")
        content = path.read_text()
        assert old in content
        path.write_text(content.replace(old, new, 1))
        found = place.audit.check(path)
        assert not found.is_whole
        assert problem in "\n".join(found.problems)

    def test_lines_taken_out_swapped_or_cut_off(self, place: Place, tmp_path: Path) -> None:
        lines = extract(place, tmp_path / "x.jsonl").read_text().splitlines(keepends=True)
        for name, changed in {
            "out": lines[:3] + lines[4:], "swapped": [*lines[:2], lines[3], lines[2], *lines[4:]],
            "cut": lines[:-2], "more": [*lines, lines[3]],
        }.items():  # fmt: skip
            path = tmp_path / f"{name}.jsonl"
            path.write_text("".join(changed))
            assert not place.audit.check(path).is_whole, name

    @pytest.mark.parametrize(
        "content", ["", "{}", "[1]\n", "not JSON", "\udcff", '{"format": "insight-audit-extract"}']
    )
    def test_what_is_no_extract_is_refused(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "odd.jsonl"
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(InputError, match=r"odd\.jsonl"):
            AuditService(uow_factory(create_engine("sqlite://")), Settings.load(tmp_path)).check(
                path
            )

    def test_it_is_for_leads(self, place: Place, tmp_path: Path) -> None:
        lead(place, place.world.ada.id)
        with pytest.raises(Forbidden):
            extract(place, tmp_path / "x.jsonl")
        assert not (tmp_path / "x.jsonl").exists()

    def test_without_a_target_it_stays_in_the_workspace(self, place: Place) -> None:
        made = place.audit.extract(
            id=new_id(), project_id=place.project, reviewer_id=place.world.ada.id
        )
        assert made.path.is_relative_to(place.settings.workspace)
        with place.uow(read_only=True) as uow:
            (row,) = uow.exports.list(place.project)
            assert row.path is not None
            assert (place.settings.workspace / row.path) == made.path
            assert (row.sha256, row.size) == (made.sha256, made.size)


class TestForgetting:
    def forget(self, place: Place, **more: object) -> object:
        asked = {
            "id": new_id(), "project_id": place.project, "reviewer_id": place.world.ben.id,
            "person": place.world.ada.name, "reason": "she asked for it",
        } | more  # fmt: skip
        return place.forgetting.redact(**asked)  # type: ignore[arg-type]

    def test_a_dry_run_changes_nothing(self, place: Place) -> None:
        before = place.audit.state(place.project).place
        view = self.forget(place, dry_run=True)
        assert not view.done  # type: ignore[attr-defined]
        assert "would become Person " in view.sentence  # type: ignore[attr-defined]
        assert place.audit.state(place.project).place == before

    def test_a_name_goes_and_the_chain_stays(self, place: Place) -> None:
        with place.uow() as uow:
            uow.notes.add(
                id=new_id(), project_id=place.project, kind="note", reviewer_id=place.world.ben.id,
                text=f"as {place.world.ada.name} says",
            )  # fmt: skip
            uow.commit()
        view = self.forget(place)
        assert view.done  # type: ignore[attr-defined]
        assert [(m.table, m.count) for m in view.mentions] == [("notes", 1)]  # type: ignore[attr-defined]
        assert "1 row of text holds the name" in view.sentence  # type: ignore[attr-defined]
        assert place.audit.verify(place.project)[0].is_whole
        lines = place.audit.lines(place.project, LINES).lines
        assert place.world.ada.name not in str(lines)
        assert lines[0].action == "person.redacted"

    def test_one_can_forget_oneself(self, place: Place) -> None:
        self.forget(place, reviewer_id=place.world.ada.id)
        with place.engine.connect() as raw:
            actors = set(raw.execute(text("SELECT actor FROM audit_log")).scalars())
        assert actors == {f"person:{place.world.ada.id}"}

    def test_what_is_refused(self, place: Place) -> None:
        with pytest.raises(ConfigError, match="nobody called"):
            self.forget(place, person="Nobody")
        with pytest.raises(ConfigError, match="must not hold the name"):
            self.forget(place, reason=f"{place.world.ada.name.lower()} asked")
        with pytest.raises(ConfigError, match="the name itself"):
            self.forget(place, pseudonym=place.world.ada.name)
        lead(place, place.world.ada.id)
        with pytest.raises(Forbidden):
            self.forget(place)

    def test_a_lead_of_every_project_in_which_the_person_took_part(self, place: Place) -> None:
        other = make_world(place.uow)
        lead(replace(place, world=other), other.ben.id)
        with place.uow() as uow:
            uow.verdicts.append(
                id=new_id(), cue_id=other.cues[0][0].id, reviewer_id=place.world.ada.id,
                value="correct", based_on=0,
            )  # fmt: skip
            uow.commit()
        with pytest.raises(Forbidden):
            self.forget(place)
        view = self.forget(place, reviewer_id=other.ben.id)
        assert set(view.projects) == {place.project, other.project.id}  # type: ignore[attr-defined]
        assert all(chain.is_whole for chain in place.audit.verify())

    def test_old_lines_go(self, place: Place) -> None:
        at = datetime(2020, 1, 2, tzinfo=UTC)
        with place.uow() as uow:
            for project in (place.project, place.project, None):
                line = AuditLine(new_id(), at, "worker", "old", "run", "1", {}, project)
                assert uow.audit.adopt(line)
            uow.commit()
        ask = {"reviewer_id": place.world.ben.id, "days": 30, "reason": "law"}
        would = place.forgetting.retain(id=new_id(), project_id=place.project, dry_run=True, **ask)
        done = place.forgetting.retain(id=new_id(), project_id=place.project, **ask)
        assert (would.count, would.done, done.count, done.done) == (2, False, 2, True)
        assert "2 lines of before" in done.sentence
        lines = place.audit.lines(place.project, LINES).lines
        assert "old" not in {line.action for line in lines}
        assert lines[0].action == "audit.retained"
        place.forgetting.retain(id=new_id(), project_id=None, **ask)
        own, free = place.audit.verify(place.project)[0], place.audit.verify()[-1]
        assert (own.is_whole, own.removed, free.is_whole, free.removed) == (True, 2, True, 1)
        assert "2 rows removed under retention" in own.sentence

    def test_lines_are_kept_for_a_while(self, place: Place) -> None:
        ask = {"project_id": place.project, "reviewer_id": place.world.ben.id, "reason": "law"}
        view = place.forgetting.retain(id=new_id(), days=1, **ask)
        assert (view.count, view.done) == (0, False)
        with pytest.raises(ConfigError, match="at least 1 day"):
            place.forgetting.retain(id=new_id(), days=0, **ask)
        lead(place, place.world.ada.id)
        with pytest.raises(Forbidden):
            place.forgetting.retain(id=new_id(), days=1, **ask)


class TestCommands:
    def test_verify(self, place: Place) -> None:
        name = place.world.project.name
        assert f"{name}: whole: 8 entries" in place.run("verify")
        told = json.loads(place.run("verify", "--project", name, "--json"))
        assert (told["whole"], told["chains"][0]["entries"]) == (True, 8)
        place.forge("UPDATE verdicts SET comment = 'forged' WHERE revision = 1")
        said = place.run("verify", "--project", name, code=4)
        assert "BROKEN: 4 findings" in said
        assert "row edited: verdicts " in said
        told = json.loads(place.run("verify", "--json", code=4))
        assert told["whole"] is False

    def test_log_extract_and_check(self, place: Place, tmp_path: Path) -> None:
        name, out = place.world.project.name, str(tmp_path / "x.jsonl")
        said = place.run("log", "--project", name, "--limit", "2")
        assert said.count("verdict.given") == 2
        assert "older lines are left out" in said
        assert len(json.loads(place.run("log", "--project", name, "--json"))) == 4
        said = place.run("extract", out, "--project", name, "--as", "Dr Example")
        assert "8 entries, 8 of them with their rows" in said
        assert "whole: 8 entries" in place.run("check", out)
        Path(out).write_text(Path(out).read_text().replace("spurious", "correct", 1))
        assert "the row is not what was written" in place.run("check", out, code=4)
        assert "line 1 is not JSON" in place.run("check", __file__, code=4)

    def test_redact_and_retain(self, place: Place) -> None:
        who = ("--as", "Dr Example", "--reason", "she asked for it")
        name = place.world.project.name
        said = place.run("redact", place.world.ada.name, "--project", name, *who, "--dry-run")
        assert "would become" in said
        said = place.run("redact", place.world.ada.name, "--project", name, *who)
        assert "is now Person " in said
        assert place.world.ada.name not in place.run("log", "--project", name)
        said = place.run("retain", "--days", "30", "--project", name, *who, "--dry-run")
        assert "no line of before" in said
        assert "whole" in place.run("verify")
