"""Rules of review as revisions, and roles that are asked for."""

from pathlib import Path

import pytest
import torch

from core.errors import ConfigError
from dashboard.services.project_settings import ProjectSettings
from dashboard.services.roles import Forbidden
from db.errors import Conflict, StaleWrite
from db.records import new_id
from tests.integration.services.world import World, make_world, reviewer


@pytest.fixture
def world(tmp_path: Path) -> World:
    torch.set_num_threads(1)
    return make_world(tmp_path / "ws", splits={"train": 8})


def save(world: World, me: str, based_on: int, id: str | None = None, **changes: object) -> object:
    return world.services.settings_of.save(
        id=id or new_id(), project_id=world.project_id, reviewer_id=me, changes=changes,
        based_on=based_on,
    )  # fmt: skip


def give(world: World, who: str, role: str, by: str, based_on: int = 0) -> None:
    world.services.settings_of.set_role(
        id=new_id(), project_id=world.project_id, reviewer_id=who, role=role, by_id=by,
        based_on=based_on,
    )  # fmt: skip


def test_the_defaults_stand_until_somebody_changes_them(world: World) -> None:
    rules, ada = world.services.settings_of, reviewer(world)
    assert rules.of(world.project_id) == ProjectSettings()
    view = rules.view(world.project_id)
    assert (view.revision, view.by, view.criteria_fixed) == (0, None, False)
    save(world, ada, 0, order="random", blind=["labels"])
    assert rules.of(world.project_id).order == "random"
    assert rules.view(world.project_id).by == "Ada"
    save(world, ada, 1, seed=4)
    assert rules.of(world.project_id).order == "random"  # what is not named stays
    history = rules.history(world.project_id)
    assert [each.fields for each in history] == [("seed",), ("blind", "order")]
    assert [each.revision for each in history] == [2, 1]


def test_a_repeat_is_harmless_and_a_lost_update_refused(world: World) -> None:
    ada, one = reviewer(world), new_id()
    first = save(world, ada, 0, id=one, seed=4)
    assert save(world, ada, 0, id=one, seed=4) == first
    with pytest.raises(Conflict):
        save(world, ada, 0, id=one, seed=5)
    with pytest.raises(StaleWrite):
        save(world, ada, 0, seed=6)
    with world.services.uow(read_only=True) as uow:
        audit = [row.action for row in uow.audit.list(entity="project")]
    assert audit.count("settings.changed") == 1


def test_bad_values_are_refused_by_name_and_change_nothing(world: World) -> None:
    ada = reviewer(world)
    with pytest.raises(ConfigError, match="control_share"):
        save(world, ada, 0, control_share=2)
    assert world.services.settings_of.view(world.project_id).revision == 0


def test_a_change_of_the_plan_plans_anew_and_others_do_not(world: World) -> None:
    ada = reviewer(world)
    made = world.services.queue.plan_of(world.project_id).at
    save(world, ada, 0, lease_minutes=30)
    assert world.services.queue.plan_of(world.project_id).at == made
    save(world, ada, 1, seed=11)
    plan = world.services.queue.plan_of(world.project_id)
    assert plan.at != made
    assert (plan.seed, plan.by) == (11, "Ada")


def test_criteria_are_fixed_once_somebody_rated_by_them(world: World) -> None:
    ada = reviewer(world)
    own = [{"label": "Would I biopsy", "text": "1: no. 5: yes."}]
    save(world, ada, 0, criteria=own)
    case = world.services.review.case(world.project_id, None, ada)
    assert [each.label for each in case.criteria] == ["Would I biopsy"]
    word = world.services.review.assess(
        id=new_id(), case_id=case.id, reviewer_id=ada, agree=True, corrected_label=None,
        comment="", based_on=0, ratings={"would-i-biopsy": 4},
    )  # fmt: skip
    assert word.ratings == (("would-i-biopsy", 4),)
    assert world.services.settings_of.view(world.project_id).criteria_fixed
    with pytest.raises(ConfigError, match="fixed"):
        save(world, ada, 1, criteria=[])
    save(world, ada, 1, criteria=own, seed=3)  # the same criteria are no change
    assert world.services.settings_of.of(world.project_id).seed == 3


def test_ratings_are_checked(world: World) -> None:
    ada = reviewer(world)
    case = world.services.review.case(world.project_id, None, ada)
    for bad, says in (({"beauty": 3}, "no criterion"), ({"clarity": 6}, "1 to 5")):
        with pytest.raises(ConfigError, match=says):
            world.services.review.assess(
                id=new_id(), case_id=case.id, reviewer_id=ada, agree=True, corrected_label=None,
                comment="", based_on=0, ratings=bad,
            )  # fmt: skip


def test_the_projects_own_reasons_count(world: World, tmp_path: Path) -> None:
    ada = reviewer(world)
    save(world, ada, 0, reasons=["gel bubble", "artefact"])
    case = world.services.review.case(world.project_id, None, ada)
    assert case.reasons == ("gel bubble", "artefact")
    cue = case.cues[0]

    def judge(reason: str) -> object:
        return world.services.review.give_verdict(
            id=new_id(), cue_id=cue.id, reviewer_id=ada, value="spurious", reason=reason,
            based_on=0,
        )  # fmt: skip

    with pytest.raises(ConfigError, match="gel bubble, artefact"):
        judge("leakage")
    assert judge("gel bubble")
    # What was said with the project's own words can be carried out and in again.
    table = tmp_path / "verdicts.csv"
    table.write_bytes(world.services.verdicts.export_csv("tiny").replace(b",Ada,", b",Bea,"))
    lines = table.read_text("utf-8").splitlines()
    table.write_text("\n".join([lines[0], lines[1].replace(lines[1][:36], new_id())]), "utf-8")
    save(world, ada, 1, reasons=["something else"])
    report = world.services.verdicts.import_csv(table)
    assert (report.added, report.problems) == (1, ())


def test_a_project_is_open_until_somebody_is_lead(world: World) -> None:
    rules = world.services.settings_of
    ada, bo, cy = (reviewer(world, name) for name in ("Ada", "Bo", "Cy"))
    assert rules.role(world.project_id, bo) == "lead"
    assert rules.members(world.project_id, bo).open
    give(world, ada, "lead", bo)
    assert [rules.role(world.project_id, who) for who in (ada, bo)] == ["lead", "expert"]
    give(world, cy, "annotator", ada)
    rules.require(world.project_id, cy, "annotator")
    with pytest.raises(Forbidden, match="yours is expert"):
        rules.require(world.project_id, bo, "annotator")
    with pytest.raises(Forbidden):
        save(world, bo, 0, seed=1)
    with pytest.raises(Forbidden):
        give(world, bo, "lead", bo)
    shown = rules.members(world.project_id, ada)
    assert {member.name: member.role for member in shown.members} == {
        "Ada": "lead", "Bo": "expert", "Cy": "annotator",
    }  # fmt: skip
    assert not shown.open


def test_the_last_lead_stays_and_roles_can_be_taken(world: World) -> None:
    rules = world.services.settings_of
    ada, bo = reviewer(world, "Ada"), reviewer(world, "Bo")
    give(world, ada, "lead", ada)
    for role in ("expert", "removed"):
        with pytest.raises(ConfigError, match="at least one lead"):
            give(world, ada, role, ada, based_on=1)
    give(world, bo, "lead", ada)
    give(world, ada, "removed", bo, based_on=1)
    assert rules.role(world.project_id, ada) == "expert"
    with pytest.raises(StaleWrite):
        give(world, ada, "expert", bo, based_on=1)
    give(world, ada, "annotator", bo, based_on=2)
    with pytest.raises(ConfigError, match="one of expert"):
        give(world, ada, "king", bo, based_on=3)
    with world.services.uow(read_only=True) as uow:
        actions = [row.action for row in uow.audit.list(entity="project")]
    assert actions.count("member.role") == 4
