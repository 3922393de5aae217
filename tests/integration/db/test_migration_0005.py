"""A store from before the audit chain: everything in it is chained, and people are named by id."""

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from db import migrate
from db.engine import create_engine
from db.models import CHAINED
from db.records import new_id
from db.unit_of_work import UnitOfWorkFactory, uow_factory
from tests.integration.db.builders import World, make_world
from tests.integration.db.test_append_only import _say_more

# Written by 0005 itself, or from it on only.
NEW = {"redactions", "retentions"}


@pytest.fixture
def old(migrated_url: str) -> Iterator[tuple[str, Engine, UnitOfWorkFactory, World]]:
    """A store at 0004 with a row in each table and audit lines that hold names."""
    engine = create_engine(migrated_url)
    factory = uow_factory(engine)
    world = make_world(factory)
    said = {"reviewer_id": world.ada.id, "based_on": 0}
    with factory() as uow:
        cue = world.cues[0][0]
        uow.verdicts.append(id=new_id(), cue_id=cue.id, value="spurious", comment="é=\n", **said)
        uow.assessments.append(
            id=new_id(), case_id=cue.case_id, agree=None, ratings={"Clarity": 3.0}, **said
        )
        uow.concepts.add_name(id=new_id(), concept_id=cue.concept_id, name="ruler", **said)
        _say_more(uow, world)
        ada = uow.reviewers.get(world.ada.id)
        frozen = {"cues": [{"words": [{"reviewer": ada.name, "value": "spurious"}]}, {"words": []}]}
        study = uow.studies.create(
            id=new_id(), project_id=world.project.id, title="old", about="", kind="study",
            reviewer_id=ada.id,
        )  # fmt: skip
        uow.studies.pin(
            id=new_id(), collection_id=study.id, case_id=world.cases[1].id, note="", frozen=frozen,
            reviewer_id=ada.id,
        )  # fmt: skip
        uow.commit()
    engine.dispose()
    migrate.downgrade(migrated_url, "0004")
    yield migrated_url, engine, factory, world
    engine.dispose()


def old_line(raw: object, actor: str, action: str, entity: str, key: str, detail: object) -> None:
    raw.execute(  # type: ignore[attr-defined]
        text(
            "INSERT INTO audit_log (at, actor, action, entity, entity_id, detail) VALUES "
            "('2025-01-02 03:04:05.000000', :actor, :action, :entity, :key, :detail)"
        ),
        {"actor": actor, "action": action, "entity": entity, "key": key,
         "detail": json.dumps(detail)},
    )  # fmt: skip


def test_everything_is_chained_and_nobody_is_named(
    old: tuple[str, Engine, UnitOfWorkFactory, World],
) -> None:
    url, engine, factory, world = old
    project, cue = world.project.id, world.cues[0][0]
    ada, ben = world.ada.name, "Ben"
    with engine.begin() as raw:
        raw.execute(text("UPDATE reviewers SET name = 'Ben' WHERE id = :id"), {"id": world.ben.id})
        old_line(raw, ada, "member.role", "project", project, {"reviewer": ben, "n": 0.5})
        old_line(raw, ada, "case.assigned", "case", cue.case_id, {"assignee": ben})
        old_line(raw, ada, "x", "cue", cue.id, {"by": [1, None, True]})
        old_line(raw, "engine", "version.publish", "version", world.version.id, {})
        old_line(raw, ben, "reviewer.signed_in", "reviewer", world.ben.id, {})
        old_line(raw, "Somebody", "x", "concept", cue.concept_id, {"reviewer": ben})
    engine.dispose()
    migrate.upgrade(url)
    migrate.check(url)
    with factory(read_only=True) as uow:
        own, free = uow.chain_check.run(project), uow.chain_check.run("workspace")
        assert (own.findings, free.findings, free.entries) == ((), (), 1)
        tables = {entry.table_name for entry in uow.chain.read(project)}
        assert tables == {model.__tablename__ for model in CHAINED} - NEW
        lines = list(uow.audit.read(project))
        actors = [line.actor for line in lines if line.at.year == 2025]
        assert actors == [f"person:{world.ada.id}"] * 3 + ["engine", "Somebody"]
        ids = f"person:{world.ben.id}"
        assert [line.detail for line in lines[-5:]] == [
            {"reviewer": ids, "n": 0.5}, {"assignee": ids}, {"by": [1, None, True]}, {},
            {"reviewer": ben},
        ]  # fmt: skip
        assert uow.audit.list(project_id=project, action="member.role")[0].detail["reviewer"] == ben
        (study,) = [row for row in uow.studies.list(project) if row.title == "old"]
        (pin,) = uow.studies.pins(study.id)
        assert pin.frozen["cues"][0]["words"][0]["reviewer"] == f"person:{world.ada.id}"
        assert pin.people == {world.ada.id: ada}


def test_what_is_said_after_it_follows(
    old: tuple[str, Engine, UnitOfWorkFactory, World],
) -> None:
    url, engine, factory, world = old
    with engine.begin() as raw:
        old_line(raw, "worker", "run.started", "version", world.version.id, {})
    engine.dispose()
    migrate.upgrade(url)
    with factory() as uow:
        before = uow.chain.head(world.project.id)
        uow.verdicts.append(
            id=new_id(), cue_id=world.cues[2][2].id, reviewer_id=world.ben.id, value="correct",
            based_on=0,
        )  # fmt: skip
        uow.commit()
        after = uow.chain.head(world.project.id)
        assert before is not None
        assert after is not None
        assert after.place == before.place + 1
        assert uow.chain_check.run(world.project.id).findings == ()
    for table in ("audit_log", "pins", "chain_entries"):
        with engine.begin() as raw, pytest.raises(IntegrityError, match="append-only"):
            raw.execute(text(f"DELETE FROM {table}"))
    engine.dispose()
    migrate.downgrade(url, "0004")
    migrate.upgrade(url)
    with factory(read_only=True) as uow:
        assert uow.chain_check.run(world.project.id).findings == ()
