"""Rows of a whole project: every table, out of one back end and into the other."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from db import migrate
from db.archive import LEFT_OUT, PEOPLE, PLACE, TABLES
from db.archive_columns import as_json, from_json
from db.engine import create_engine
from db.errors import Conflict, InvalidValue, NotFound
from db.models import APPEND_ONLY, Base
from db.records import RelationRecord, new_id
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory, uow_factory
from tests.integration.db.builders import DICTIONARY, World
from tests.integration.db.conftest import _empty_database

Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture
def other(
    request: pytest.FixtureRequest, back_end: str, tmp_path: Path
) -> Iterator[UnitOfWorkFactory]:
    """An empty store on the other back end."""
    kind = "postgresql" if back_end == "sqlite" else "sqlite"
    url = _empty_database(request, kind, tmp_path)
    migrate.upgrade(url)
    engine: Engine = create_engine(url)
    yield uow_factory(engine)
    engine.dispose()


def say(factory: UnitOfWorkFactory, world: World) -> None:
    """A little of everything, by two people in turn, with an undo."""
    ada, ben, case = world.ada.id, world.ben.id, world.cases[0].id
    cue, project_id = world.cues[0][0], world.project.id
    with factory() as uow:
        uow.relations.add_many(project_id, DICTIONARY, [RelationRecord(2, 0, "is-a", 0.1 + 0.2, 9)])
        for at, who in enumerate((ada, ben, ada)):
            uow.verdicts.append(
                id=new_id(), cue_id=cue.id, reviewer_id=who, value="spurious",
                comment=f"{at} \u202e \U0001f41d", based_on=at // 2,
            )  # fmt: skip
            uow.notes.add(
                id=new_id(), project_id=project_id, reviewer_id=who, kind="note",
                text=f"note {at}", case_id=case, payload={"b": [1.5, None], "a": True},
            )  # fmt: skip
        uow.undo.undo(id=new_id(), reviewer_id=ada, project_id=project_id)
        uow.concepts.add_name(id=new_id(), concept_id=cue.concept_id, name="x", based_on=0,
                              reviewer_id=ben)  # fmt: skip
        uow.audit.append(actor=world.ada.name, action="x", entity="project",
                         entity_id=project_id, project_id=project_id)  # fmt: skip
        uow.commit()


def read(factory: UnitOfWorkFactory, project_id: str) -> Rows:
    with factory(read_only=True) as uow:
        uow.archive.freeze()
        rows = {table: list(uow.archive.read(project_id, table)) for table in TABLES}
        found: Rows = json.loads(json.dumps(rows, allow_nan=False))
        return found


def write(uow: UnitOfWork, project_id: str, rows: Rows) -> dict[str, str]:
    renamed = uow.archive.meet(rows[PEOPLE])
    places = uow.archive.reserve(sum(PLACE in row for table in rows.values() for row in table))
    for table in TABLES[1:]:
        uow.archive.write(project_id, table, rows[table], places)
    uow.archive.settle(project_id)
    return renamed


def test_every_table_is_carried_or_left_out_for_a_reason() -> None:
    every = {table.name for table in Base.metadata.sorted_tables}
    assert set(TABLES) | LEFT_OUT == every | {PEOPLE}
    chained = {model.__tablename__ for model in APPEND_ONLY} - LEFT_OUT
    assert chained <= set(TABLES)
    assert set(TABLES) & LEFT_OUT == {PEOPLE}


def test_rows_and_their_chain_are_the_same_on_the_other_back_end(
    factory: UnitOfWorkFactory, other: UnitOfWorkFactory, world: World
) -> None:
    say(factory, world)
    project_id = world.project.id
    rows = read(factory, project_id)
    with factory(read_only=True) as uow:
        entries, head = tuple(uow.chain.read(project_id)), uow.chain.head(project_id)
        events = [(e.table, e.id, e.values) for e in uow.log.read(project_id)]
        tallies = uow.concepts.tallies(project_id, DICTIONARY)
    assert sorted(row[PLACE] for table in rows.values() for row in table if PLACE in row) == list(
        range(7)
    )
    with other() as uow:
        assert write(uow, project_id, rows) == {}
        uow.chain.adopt(project_id, entries)
        uow.commit()
    assert read(other, project_id) == rows
    with other(read_only=True) as uow:
        assert (tuple(uow.chain.read(project_id)), uow.chain.head(project_id)) == (entries, head)
        assert uow.chain_check.run(project_id).is_whole
        assert [(e.table, e.id, e.values) for e in uow.log.read(project_id)] == events
        assert uow.concepts.tallies(project_id, DICTIONARY) == tallies
        assert uow.projects.get(project_id).active_version_id == world.version.id
    with other() as uow:  # and what is said next comes after all of it
        verdict = uow.verdicts.append(
            id=new_id(), cue_id=world.cues[1][0].id, reviewer_id=world.ada.id, value="correct",
            based_on=0,
        )  # fmt: skip
        assert uow.log.read(project_id)[-1].id == verdict.id


def test_a_name_that_somebody_else_has_gets_a_number(
    factory: UnitOfWorkFactory, other: UnitOfWorkFactory, world: World
) -> None:
    say(factory, world)
    rows = read(factory, world.project.id)
    with other() as uow:
        uow.reviewers.get_or_create(world.ada.name)
        uow.reviewers.get_or_create(f"{world.ada.name} (2)")
        renamed = write(uow, world.project.id, rows)
        assert renamed == {world.ada.id: f"{world.ada.name} (3)"}
        assert uow.reviewers.get(world.ben.id).name == world.ben.name


def test_a_project_that_is_here_is_refused(factory: UnitOfWorkFactory, world: World) -> None:
    with factory(read_only=True) as uow:
        with pytest.raises(Conflict, match="is here already, as"):
            uow.archive.refuse_known(world.project.id, "another name")
        with pytest.raises(Conflict, match="give another name"):
            uow.archive.refuse_known(new_id(), world.project.name)
        uow.archive.refuse_known(new_id(), "another name")
        assert uow.archive.reserve(0) == []


def test_a_row_cannot_reach_into_another_project(
    factory: UnitOfWorkFactory, other: UnitOfWorkFactory, world: World
) -> None:
    """The other project's ids exist there, so no foreign key would object."""
    say(factory, world)
    project_id = world.project.id
    rows = read(factory, project_id)
    with other() as uow:
        strange = uow.projects.add("strange", "images", classes=("a",))
        uow.commit()
    theirs = new_id()
    image = rows["images"][0] | {"id": theirs, "project_id": strange.id}
    with other() as uow:
        uow.archive.write(strange.id, "images", [image], [])
        uow.commit()
    cases = [row | {"image_id": theirs} for row in rows["cases"][:1]] + rows["cases"][1:]
    with other() as uow, pytest.raises(NotFound, match="image_id of cases in this project"):
        write(uow, project_id, rows | {"cases": cases})
    with other() as uow, pytest.raises(InvalidValue, match="belongs to another project"):
        uow.archive.write(project_id, "images", [image], [])


COLUMNS = {f"{t.name}.{c.name}": c for t in Base.metadata.sorted_tables for c in t.columns}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("images.width", "1"), ("images.width", 1.0), ("images.width", True),
        ("images.width", 2**63), ("images.relpath", 5), ("images.relpath", "a\x00"),
        ("images.relpath", "\ud800"), ("images.relpath", None), ("images.meta", []),
        ("images.meta", "text"), ("images.created_at", "2026-01-01T00:00:00"),
        ("images.created_at", 0), ("cases.probabilities", {}), ("cases.confidence", "1"),
        ("cases.confidence", True), ("cues.map_u8", "a"), ("cues.region_bits", "\u00e4"),
        ("assessments.blind", 1),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidValue):
        from_json(COLUMNS[name], value)


def test_values_come_back_as_they_were() -> None:
    values = {
        "cues.map_u8": b"\x00\xff", "cases.confidence": float("-inf"), "images.label": None,
        "assessments.blind": False, "runs.seed": -(2**63), "cases.probabilities": [["a", 0.1]],
    }  # fmt: skip
    for name, value in values.items():
        assert from_json(COLUMNS[name], as_json(COLUMNS[name], value)) == value
