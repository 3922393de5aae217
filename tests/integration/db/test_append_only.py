"""The database itself refuses to change or remove what was said."""

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from db.models import APPEND_ONLY
from db.records import new_id
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory
from tests.integration.db.builders import World, new_version

TABLES = {
    "verdicts": "comment",
    "assessments": "comment",
    "concept_names": "name",
    "audit_log": "action",
    "drawings": "note",
    "notes": "text",
    "class_verdicts": "comment",
    "concept_marks": "reason",
    "proposals": "reason",
    "proposal_decisions": "reason",
    "queue_marks": "reason",
    "assignments": "assignee_id",
    "members": "role",
    "project_settings": "reviewer_id",
    "adjudications": "reason",
    "collections": "about",
    "pins": "note",
    "training_answers": "reviewer_id",
    "column_verdicts": "comment",
    "version_events": "reason",
    "criteria": "reason",
    "decisions": "title",
    "schedules": "name",
    "exports": "format",
    "redactions": "pseudonym",
    "retentions": "reason",
    "chain_entries": "table_name",
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
        _say_more(uow, world)
        uow.commit()
    return world


def _say_more(uow: UnitOfWork, world: World) -> None:
    """One row in each of the tables of the review desk."""
    cue, ada, project = world.cues[0][0], world.ada.id, world.project.id
    case, concept = cue.case_id, cue.concept_id
    mine = {"reviewer_id": ada}
    uow.drawings.draw(
        id=new_id(), case_id=case, kind="here", shape="box", points=((0, 0), (1, 1)), **mine
    )
    uow.notes.add(id=new_id(), project_id=project, kind="note", text="x", **mine)
    uow.class_verdicts.append(
        id=new_id(), concept_id=concept, class_name="naevus", value="unsure", based_on=0, **mine
    )
    uow.concept_marks.append(
        id=new_id(), concept_id=concept, kind="locked", value=True, based_on=0, **mine
    )
    proposal = uow.hierarchy.propose(id=new_id(), concept_id=concept, kind="parent", **mine)
    uow.hierarchy.decide(id=new_id(), proposal_id=proposal.id, accepted=True, based_on=0, **mine)
    uow.queue.mark(id=new_id(), case_id=case, kind="flag", **mine)
    uow.queue.assign(id=new_id(), case_id=case, assignee_id=ada, by_id=ada)
    uow.members.append(id=new_id(), project_id=project, role="lead", by_id=ada, based_on=0, **mine)
    uow.settings.append(id=new_id(), project_id=project, settings={}, based_on=0, **mine)
    uow.column_verdicts.append(
        id=new_id(), project_id=project, column_name="site", value="spurious", based_on=0, **mine
    )
    child = uow.versions.add(project, new_version("w" * 64, world.version.hash))
    uow.version_events.append(
        id=new_id(), version_id=child.id, kind="activate", former_id=world.version.id, **mine
    )
    uow.criteria.append(
        id=new_id(), project_id=project, measure="kappa", comparator=">=", threshold=0.6,
        reason="", based_on=0, **mine,
    )  # fmt: skip
    uow.decisions.add(
        id=new_id(), project_id=project, subject="other", title="x", choice="", reason="", **mine
    )
    uow.schedules.append(
        id=new_id(), project_id=project, schedule_id=new_id(), name="weekly", spec={},
        active=True, based_on=0, **mine,
    )  # fmt: skip
    uow.exports.add(
        id=new_id(), project_id=project, kind="report", format="html", scope={}, sha256="0" * 64,
        size=1, **mine,
    )  # fmt: skip
    uow.redactions.append(
        id=new_id(), project_id=project, person_id=world.ben.id, pseudonym=f"Person {new_id()}",
        reason="", **mine,
    )  # fmt: skip
    uow.retentions.apply(
        id=new_id(), project_id=project, older_than=world.project.created_at, reason="old", **mine
    )
    uow.adjudications.append(
        id=new_id(), project_id=project, subject="cue", subject_id=cue.id, value="correct",
        reason="", based_on=0, **mine,
    )  # fmt: skip
    study = uow.studies.create(
        id=new_id(), project_id=project, title="signs", about="", kind="study", **mine
    )
    pin = uow.studies.pin(
        id=new_id(), collection_id=study.id, case_id=case, note="", frozen={}, **mine
    )
    uow.studies.answer(
        id=new_id(), collection_id=study.id, pin_id=pin.id, attempt=1, answers={}, score=0.5, **mine
    )


def test_every_append_only_table_is_tested() -> None:
    assert set(TABLES) == {model.__tablename__ for model in APPEND_ONLY}


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
