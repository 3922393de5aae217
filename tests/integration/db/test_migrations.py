"""The schema goes up, down and up again, and agrees with the models."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.util import CommandError
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from db import migrate
from db.engine import create_engine
from db.models import Base
from db.records import new_id
from db.unit_of_work import uow_factory
from tests.integration.db.builders import DICTIONARY, make_world

ROOT = Path(__file__).resolve().parents[3]


def _tables(url: str) -> set[str]:
    engine = create_engine(url)
    names = set(inspect(engine).get_table_names())
    engine.dispose()
    return names


def test_up_down_and_up_again(empty_url: str) -> None:
    assert migrate.current(empty_url) is None
    migrate.upgrade(empty_url)
    assert migrate.current(empty_url) == migrate.head()
    assert _tables(empty_url) == {*Base.metadata.tables, "alembic_version"}
    migrate.downgrade(empty_url, "base")
    assert _tables(empty_url) == {"alembic_version"}
    migrate.upgrade(empty_url)
    assert migrate.is_current(empty_url)
    migrate.check(empty_url)


def test_a_filled_database_can_go_down(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    engine = create_engine(empty_url)
    factory = uow_factory(engine)
    world = make_world(factory)
    with factory() as uow:
        uow.verdicts.append(
            id=new_id(),
            cue_id=world.cues[0][0].id,
            reviewer_id=world.ada.id,
            value="correct",
            based_on=0,
        )
        uow.commit()
    engine.dispose()
    migrate.downgrade(empty_url, "base")
    migrate.upgrade(empty_url)
    assert migrate.is_current(empty_url)


def test_what_was_said_before_0002_is_counted(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    engine = create_engine(empty_url)
    factory = uow_factory(engine)
    world = make_world(factory)
    with factory() as uow:
        said = {"reviewer_id": world.ada.id, "based_on": 0}
        for cue in world.cues[0][:2]:
            uow.verdicts.append(id=new_id(), cue_id=cue.id, value="spurious", **said)
        uow.verdicts.append(id=new_id(), cue_id=world.cues[1][0].id, value="withdrawn", **said)
        uow.assessments.append(id=new_id(), case_id=world.cases[2].id, agree=True, **said)
        uow.commit()

    def counted() -> tuple[object, ...]:
        with factory(read_only=True) as uow:
            page = uow.concepts.list(world.project.id, DICTIONARY).items
            rows = uow.queue.page(world.version.id, world.ada.id).items
            return (
                uow.queue.progress(world.version.id, world.ada.id),
                [(item.concept.number, item.spurious) for item in page],
                [(row.queue_order, row.done, row.words) for row in rows],
                uow.undo.undoable(world.project.id, world.ada.id),
            )

    before = counted()
    assert before[2] == [(0, True, 1), (1, False, 0), (2, True, 1)]
    engine.dispose()
    migrate.downgrade(empty_url, "0001")
    with engine.begin() as raw:  # gaps, as there were before places were kept dense
        raw.execute(text("UPDATE cases SET queue_order = queue_order * 7 + 3"))
    engine.dispose()
    migrate.upgrade(empty_url)
    migrate.check(empty_url)
    assert counted() == before
    with factory() as uow:
        reasons = uow.queue.reasons(world.version.id)
        assert reasons == {"not planned yet": 3}
        taken = uow.undo.undo(id=new_id(), reviewer_id=world.ada.id, project_id=world.project.id)
        assert taken is not None
        uow.commit()
    with engine.begin() as raw, pytest.raises(IntegrityError, match="append-only"):
        raw.execute(text("UPDATE assessments SET comment = 'forged'"))
    engine.dispose()


def test_a_database_of_0002_goes_up_with_all_that_was_said(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    engine = create_engine(empty_url)
    factory = uow_factory(engine)
    world = make_world(factory)
    cue, ada = world.cues[0][0], world.ada.id
    with factory() as uow:
        uow.verdicts.append(
            id=new_id(), cue_id=cue.id, reviewer_id=ada, value="spurious", based_on=0
        )
        uow.snapshots.add(world.project.id, hash="s" * 64, payload={"schema": 1}, verdicts=1)
        uow.commit()
        before = uow.log.read(world.project.id)
    engine.dispose()
    migrate.downgrade(empty_url, "0002")
    assert migrate.current(empty_url) == "0002"
    assert not {"column_verdicts", "version_events", "run_points"} & _tables(empty_url)
    migrate.upgrade(empty_url)
    migrate.check(empty_url)
    with factory() as uow:
        assert uow.log.read(world.project.id) == before
        stored = uow.snapshots.by_hash(world.project.id, "s" * 64)
        assert stored is not None
        assert stored.payload == {"schema": 1}
        said = uow.column_verdicts.append(
            id=new_id(), project_id=world.project.id, column_name="site", reviewer_id=ada,
            value="spurious", based_on=0,
        )  # fmt: skip
        assert said.seq > uow.verdicts.standing_of_project(world.project.id)[-1].seq
        uow.commit()
    engine.dispose()


def test_upgrade_twice_changes_nothing(url: str) -> None:
    before = migrate.current(url)
    migrate.upgrade(url)
    migrate.check(url)
    assert migrate.current(url) == before == migrate.head()


def test_check_sees_a_drift(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    engine = create_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE images ADD COLUMN stray INTEGER"))
    engine.dispose()
    with pytest.raises(CommandError, match="New upgrade operations"):
        migrate.check(empty_url)


def test_processes_that_migrate_at_once_do_not_collide(empty_url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        # Alembic's own module state is per process, so these are processes.
        code = f"from db import migrate; migrate.upgrade({empty_url!r})"
        command = [sys.executable, "-W", "error", "-c", code]
        done = list(
            pool.map(
                lambda _: subprocess.run(command, cwd=ROOT, capture_output=True, check=False),
                range(2),
            )
        )
    assert [each.returncode for each in done] == [0] * 2, done
    migrate.check(empty_url)


def test_the_alembic_command_takes_the_url_from_the_environment(url: str) -> None:
    command = [sys.executable, "-m", "alembic", "check"]
    environment = os.environ | {"INSIGHT_DATABASE_URL": url}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "No new upgrade operations detected" in done.stdout


def test_the_alembic_command_says_what_is_missing() -> None:
    command = [sys.executable, "-m", "alembic", "current"]
    environment = {key: value for key, value in os.environ.items() if key != "INSIGHT_DATABASE_URL"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "INSIGHT_DATABASE_URL" in done.stderr + done.stdout
