"""The database itself refuses to change or remove what was said."""

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from db.records import new_id
from db.unit_of_work import UnitOfWorkFactory
from tests.integration.db.builders import World

TABLES = {
    "verdicts": "comment",
    "assessments": "comment",
    "concept_names": "name",
    "audit_log": "action",
}


@pytest.fixture
def said(factory: UnitOfWorkFactory, world: World) -> World:
    """The world with one row in every append-only table."""
    cue, ada = world.cues[0][0], world.ada
    with factory() as uow:
        uow.verdicts.append(
            id=new_id(), cue_id=cue.id, reviewer_id=ada.id, value="spurious", based_on=0
        )
        uow.assessments.append(
            id=new_id(), case_id=cue.case_id, reviewer_id=ada.id, agree=False, based_on=0
        )
        uow.concepts.add_name(
            id=new_id(), concept_id=cue.concept_id, name="ruler", reviewer_id=ada.id, based_on=0
        )
        uow.audit.append(actor=ada.name, action="rename", entity="concept", entity_id="1")
        uow.commit()
    return world


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("statement", ["UPDATE {t} SET {c} = 'forged'", "DELETE FROM {t}"])
def test_rows_can_be_neither_changed_nor_removed(
    engine: Engine, said: World, table: str, statement: str
) -> None:
    forgery = statement.format(t=table, c=TABLES[table])
    with pytest.raises(IntegrityError, match=f"{table} is append-only"), engine.begin() as raw:
        raw.execute(text(forgery))


@pytest.mark.parametrize("table", TABLES)
def test_no_way_around(engine: Engine, back_end: str, said: World, table: str) -> None:
    around = {
        "sqlite": f"INSERT OR REPLACE INTO {table} SELECT * FROM {table} LIMIT 1",
        "postgresql": f"TRUNCATE {table} CASCADE",
    }
    with pytest.raises(IntegrityError, match="append-only"), engine.begin() as raw:
        raw.execute(text(around[back_end]))
