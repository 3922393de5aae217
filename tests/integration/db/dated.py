"""Words at moments of a test's own."""

from datetime import datetime

from sqlalchemy import insert

from db.models import Verdict
from db.records import VerdictValue, new_id
from db.unit_of_work import UnitOfWorkFactory
from tests.integration.db.builders import World


def said(
    factory: UnitOfWorkFactory, world: World, who: str, case: int, cue: int, value: VerdictValue,
    at: datetime, revision: int = 1,
) -> None:  # fmt: skip
    """A verdict at a moment of the test's own: the repositories take the clock's."""
    found = world.cues[case][cue]
    row = {
        "id": new_id(), "cue_id": found.id, "case_id": world.cases[case].id,
        "concept_id": found.concept_id, "project_id": world.project.id, "reviewer_id": who,
        "value": value, "scope": "here", "reason": None, "comment": "", "revision": revision,
        "undoes": None, "created_at": at,
    }  # fmt: skip
    with factory.engine.begin() as connection:
        connection.execute(insert(Verdict), [row])
