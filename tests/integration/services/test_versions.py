"""Deciding on versions: guard rails, reasons, going back, and what is kept of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from core.errors import InsightError
from dashboard.services import feedback
from dashboard.services.lineage import sources
from dashboard.services.roles import Forbidden
from dashboard.services.versions import ReasonNeeded, VersionService
from db.errors import Conflict, IllegalTransition, NotFound
from db.feedback_records import NewRun
from db.records import VersionRecord, new_id
from tests.integration.services.descendants import (
    always,
    base,
    child,
    head_of,
    ruler_alone,
    without_ruler,
)
from tests.integration.services.world import World, judge, make_world, reviewer

WHY = "the ruler is gone from the new camera, so the loss does not matter"


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The first version, one that ignores the ruler, and one that is of no use."""
    torch.set_num_threads(1)
    world = make_world(tmp_path_factory.mktemp("versions") / "ws")
    child(world, without_ruler(base(world)), seed=1)
    child(world, always(base(world), 0), seed=2)
    return world


@pytest.fixture
def fresh(grown: World) -> Iterator[World]:
    """As `grown`, with the first version active and nothing discarded."""
    yield grown
    active(grown, base(grown))


def active(world: World, wanted: VersionRecord) -> None:
    with world.services.uow() as uow:
        uow.versions.set_state(wanted.id, "active")
        uow.commit()


def seeded(world: World, seed: int) -> VersionRecord:
    with world.services.uow(read_only=True) as uow:
        return next(v for v in uow.versions.list(world.project_id) if v.seed == seed)


def actions(world: World, version: VersionRecord) -> list[str]:
    with world.services.uow(read_only=True) as uow:
        return [row.action for row in uow.audit.list(entity="version", entity_id=version.id)]


def test_the_list_says_where_each_came_from(fresh: World) -> None:
    rows = fresh.services.versions.list(fresh.project_id)
    assert [row.seed for row in rows] == [2, 1, 0]
    assert [row.state for row in rows] == ["candidate", "candidate", "active"]
    assert rows[0].parent == rows[2].hash
    assert rows[2].parent is None
    detail = fresh.services.versions.view(rows[2].id)
    assert {each.seed for each in detail.children} == {1, 2}
    assert detail.guard is None
    assert not detail.can_activate
    deeper = fresh.services.versions.view(rows[0].id)
    assert [each.hash for each in deeper.parents] == [rows[2].hash]
    assert deeper.guard is not None
    assert fresh.services.versions.find(fresh.project_id, rows[0].hash[:8]).id == rows[0].id
    with pytest.raises(NotFound):
        fresh.services.versions.find(fresh.project_id, "nothing")


def test_a_version_that_loses_nothing_needs_no_reason(fresh: World) -> None:
    better, me = seeded(fresh, 1), reviewer(fresh)
    guard = fresh.services.versions.guard(better.id)
    assert guard.passed
    assert guard.measured
    assert {rail.split for rail in guard.rails} == {"test", "reversed"}
    row = fresh.services.versions.activate(id=new_id(), version_id=better.id, reviewer_id=me)
    assert row.state == "active"
    (event, *_) = fresh.services.versions.events(fresh.project_id)
    assert (event.kind, event.version_hash, event.former_hash) == (
        "activate", better.hash, fresh.version_hash,
    )  # fmt: skip
    assert (event.by, event.reason) == ("Ada", "")
    # What is activated gets a queue with an order and reasons at once.
    assert actions(fresh, better)[:2] == ["queue.planned", "version.activated"]


def test_a_version_that_loses_too_much_needs_a_written_reason(fresh: World) -> None:
    worse, me = seeded(fresh, 2), reviewer(fresh)
    versions = fresh.services.versions
    before = len(versions.events(fresh.project_id))
    guard = versions.guard(worse.id)
    assert not guard.passed
    assert any("more than the 3 this project allows" in text for text in guard.breaches)
    with pytest.raises(ReasonNeeded, match="write down why") as refused:
        versions.activate(id=new_id(), version_id=worse.id, reviewer_id=me)
    assert refused.value.guard == guard
    with pytest.raises(InsightError, match="at least 10"):
        versions.activate(id=new_id(), version_id=worse.id, reviewer_id=me, reason="because")
    with pytest.raises(ReasonNeeded):
        versions.activate(id=new_id(), version_id=worse.id, reviewer_id=me, reason="   ")
    with pytest.raises(InsightError, match="2000"):
        versions.activate(id=new_id(), version_id=worse.id, reviewer_id=me, reason="x" * 2001)
    assert len(versions.events(fresh.project_id)) == before
    assert seeded(fresh, 2).state == "candidate"
    row = versions.activate(id=new_id(), version_id=worse.id, reviewer_id=me, reason=WHY)
    assert row.state == "active"
    assert versions.events(fresh.project_id)[0].reason == WHY
    with fresh.services.uow(read_only=True) as uow:
        line = next(
            row
            for row in uow.audit.list(entity="version", entity_id=worse.id)
            if row.action == "version.activated"
        )
    assert line.detail["reason"] == WHY


def test_a_version_that_leans_more_on_what_was_rejected_needs_a_reason(tmp_path: Path) -> None:
    """Whatever it was made from: no run of its own compared it with the active one."""
    world = make_world(tmp_path / "ws", splits={"train": 30, "test": 30})
    leaning, versions = child(world, ruler_alone(base(world)), seed=3), world.services.versions

    def watched() -> set[str]:
        return {rail.key for rail in versions.guard(leaning.id).rails}

    assert "spurious_share" not in watched()  # nothing was said yet
    judge(world, reviewer(world))
    assert "spurious_share" in watched()
    assert any("rejected concepts" in text for text in versions.guard(leaning.id).breaches)


def test_the_tolerance_is_the_projects(fresh: World) -> None:
    """With a tolerance of everything, the useless version passes."""
    rules, me = fresh.services.settings_of, reviewer(fresh)
    worse = seeded(fresh, 2)
    rules.save(id=new_id(), project_id=fresh.project_id, reviewer_id=me,
               changes={"tolerance": 1.0}, based_on=0)  # fmt: skip
    assert fresh.services.versions.guard(worse.id).passed
    rules.save(id=new_id(), project_id=fresh.project_id, reviewer_id=me,
               changes={"tolerance": 0.03}, based_on=1)  # fmt: skip
    assert not fresh.services.versions.guard(worse.id).passed


def test_a_repeat_changes_nothing_and_is_told_once(fresh: World) -> None:
    told: list[str] = []
    versions = VersionService(fresh.services.uow, fresh.services.judging, activated=told.append)
    better, me, one = seeded(fresh, 1), reviewer(fresh), new_id()
    first = versions.activate(id=one, version_id=better.id, reviewer_id=me)
    before = len(versions.events(fresh.project_id))
    again = versions.activate(id=one, version_id=better.id, reviewer_id=me)
    assert first == again
    assert told == [better.id]
    assert len(versions.events(fresh.project_id)) == before
    # The active version again, with another id, is no decision.
    versions.activate(id=new_id(), version_id=better.id, reviewer_id=me)
    assert len(versions.events(fresh.project_id)) == before
    with pytest.raises(Conflict):
        versions.discard(id=one, version_id=seeded(fresh, 2).id, reviewer_id=me)


def test_a_decision_on_what_has_changed_is_refused(fresh: World) -> None:
    versions, me = fresh.services.versions, reviewer(fresh)
    better, shown = seeded(fresh, 1), base(fresh)
    versions.activate(id=new_id(), version_id=better.id, reviewer_id=me, based_on=shown.id)
    with pytest.raises(Conflict, match="meanwhile"):
        versions.rollback(
            id=new_id(), project_id=fresh.project_id, reviewer_id=me, based_on=shown.id, reason=WHY
        )


def test_where_somebody_is_lead_only_leads_decide(tmp_path: Path) -> None:
    world = make_world(tmp_path / "ws", splits={"train": 20, "test": 10})
    better, waits = (
        child(world, head_of(base(world)), seed=1), child(world, head_of(base(world)), seed=2)
    )  # fmt: skip
    versions, project = world.services.versions, world.project_id
    lead, expert = reviewer(world, "Lea"), reviewer(world, "Exa")
    assert versions.why_not(project, expert) == ""  # nobody is lead yet: everybody may
    versions.activate(id=new_id(), version_id=better.id, reviewer_id=expert)
    world.services.settings_of.set_role(
        id=new_id(), project_id=project, reviewer_id=lead, role="lead", by_id=lead, based_on=0
    )
    assert versions.why_not(project, expert).startswith("This needs the role lead in this project")
    before = versions.events(project)
    with pytest.raises(Forbidden):
        versions.activate(id=new_id(), version_id=waits.id, reviewer_id=expert)
    with pytest.raises(Forbidden):
        versions.rollback(id=new_id(), project_id=project, reviewer_id=expert)
    with pytest.raises(Forbidden):
        versions.discard(id=new_id(), version_id=waits.id, reviewer_id=expert)
    assert versions.events(project) == before
    assert seeded(world, 1).state == "active"
    assert seeded(world, 2).state == "candidate"
    assert versions.why_not(project, lead) == ""
    back = versions.rollback(id=new_id(), project_id=project, reviewer_id=lead)
    assert back.hash == world.version_hash


def test_a_version_that_was_in_use_says_until_when(tmp_path: Path) -> None:
    world = make_world(tmp_path / "ws", splits={"train": 20, "test": 10})
    better = child(world, head_of(base(world)), seed=1)
    never = child(world, head_of(base(world)), seed=2)
    versions, me = world.services.versions, reviewer(world)
    versions.activate(id=new_id(), version_id=better.id, reviewer_id=me)
    versions.rollback(id=new_id(), project_id=world.project_id, reviewer_id=me)
    rows = {row.id: row for row in versions.list(world.project_id)}
    left = versions.events(world.project_id)[0].at
    assert (rows[better.id].state, rows[better.id].used_until) == ("candidate", left)
    assert rows[never.id].used_until is None
    assert rows[base(world).id].used_until is None  # it is in use now
    view = versions.lineage(world.project_id)
    nodes = {node.ref: node for node in view.nodes}
    assert nodes[better.id].used_until == left
    assert "was in use until" in view.text[1]
    assert "was in use until" not in view.text[0]


def test_the_accuracy_now_is_that_of_the_projects_own_images(fresh: World) -> None:
    """A bundle may have been measured on images that never came into the project."""
    found = fresh.services.versions.held_out(base(fresh).id)
    better = seeded(fresh, 1)
    view = fresh.services.versions.compare(fresh.project_id, fresh.version_hash, better.hash)
    assert view.pooled is not None
    accuracy = next(each for each in view.pooled.figures if each.key == "accuracy")
    assert (found.accuracy.value, found.cases) == (accuracy.before.value, view.pooled.n)
    assert found.split == "reversed, test"
    assert found.note == ""


def test_going_back_leads_further_back_and_is_guarded_too(tmp_path: Path) -> None:
    world = make_world(tmp_path / "ws")
    first, me = base(world), reviewer(world)
    better = child(world, without_ruler(first), seed=1)
    other = child(world, without_ruler(better), seed=2, parent=better)
    versions = world.services.versions
    with pytest.raises(InsightError, match="no earlier"):
        versions.rollback(id=new_id(), project_id=world.project_id, reviewer_id=me)
    for each in (better, other):
        versions.activate(id=new_id(), version_id=each.id, reviewer_id=me)
    former = versions.former(world.project_id)
    assert former is not None
    assert former.id == better.id
    one = new_id()
    back = versions.rollback(id=one, project_id=world.project_id, reviewer_id=me)
    assert back.id == better.id
    # The same click again does not go back twice.
    assert versions.rollback(id=one, project_id=world.project_id, reviewer_id=me).id == better.id
    # The first version leans on the ruler: going back to it loses on the reversed images.
    with pytest.raises(ReasonNeeded):
        versions.rollback(id=new_id(), project_id=world.project_id, reviewer_id=me)
    last = versions.rollback(id=new_id(), project_id=world.project_id, reviewer_id=me, reason=WHY)
    assert last.id == first.id
    assert versions.former(world.project_id) is None
    kinds = [each.kind for each in versions.events(world.project_id)]
    assert kinds == ["rollback", "rollback", "activate", "activate"]
    assert actions(world, better).count("version.rolled_back") == 1


def test_discarding_is_for_good_and_not_for_the_active_one(tmp_path: Path) -> None:
    world = make_world(tmp_path / "ws", splits={"train": 20, "test": 10})
    me, versions = reviewer(world), world.services.versions
    worse = child(world, always(base(world), 1), seed=1)
    with pytest.raises(IllegalTransition):
        versions.discard(id=new_id(), version_id=base(world).id, reviewer_id=me)
    row = versions.discard(id=new_id(), version_id=worse.id, reviewer_id=me, reason="of no use")
    assert row.state == "discarded"
    assert versions.events(world.project_id)[0].reason == "of no use"
    assert "version.discarded" in actions(world, worse)
    with pytest.raises(IllegalTransition):
        versions.activate(id=new_id(), version_id=worse.id, reviewer_id=me, reason=WHY)
    detail = versions.view(worse.id)
    assert not detail.can_activate
    assert not detail.can_discard


def test_a_discarded_version_is_passed_by_on_the_way_back(tmp_path: Path) -> None:
    world = make_world(tmp_path / "ws", splits={"train": 40, "test": 20})
    me, versions = reviewer(world), world.services.versions
    same = child(world, head_of(base(world)), seed=1)
    again = child(world, head_of(base(world)), seed=2, parent=same)
    for each in (same, again):
        versions.activate(id=new_id(), version_id=each.id, reviewer_id=me)
    versions.discard(id=new_id(), version_id=same.id, reviewer_id=me)
    former = versions.former(world.project_id)
    assert former is not None
    assert former.id == base(world).id


def test_without_held_out_labels_nothing_is_known(tmp_path: Path) -> None:
    world = make_world(tmp_path / "ws", splits={"train": 20})
    worse = child(world, ruler_alone(base(world)), seed=1)
    guard = world.services.versions.guard(worse.id)
    assert guard.measured
    view = world.services.versions.compare(world.project_id, world.version_hash, worse.id)
    assert "There is no held-out split" in view.notes[0]


def test_a_run_and_its_verdicts_stand_between_two_versions(tmp_path: Path) -> None:
    world = make_world(tmp_path / "ws", splits={"train": 20, "test": 10})
    me, run_id = reviewer(world), new_id()
    judge(world, me, count=1)
    with world.services.uow() as uow:
        first = base(world)
        snapshot = feedback.take_snapshot(uow, world.project_id, first.dictionary_hash)
        uow.runs.add(
            world.project_id,
            NewRun(run_id, "reweight", 4, {"strategy": "groups"}, first.id, None, me),
        )
        uow.commit()
    made = child(world, without_ruler(first), seed=4, run_id=run_id, snapshot=snapshot)
    view = world.services.versions.lineage(world.project_id)
    nodes = {node.id: node for node in view.nodes}
    run, said = nodes[f"run:{run_id}"], nodes[f"snapshot:{snapshot.hash}"]
    old, new = nodes[f"version:{first.id}"], nodes[f"version:{made.id}"]
    assert (run.title, run.line) == ("Reweighting", "by Ada, seed 4, groups")
    assert (old.column, said.column, run.column, new.column) == (1, 1, 2, 3)
    pairs = {(edge.source, edge.target): edge.label for edge in view.edges}
    assert pairs[run.id, new.id] == "made"
    assert pairs[old.id, run.id] == "started from"
    assert pairs[said.id, run.id] == "verdicts used"
    assert set(sources(view.edges, new.id)) >= {run.id, said.id, old.id}
    assert "(reweighting, candidate), made by a run, asked for by Ada" in view.text[1]
    row = world.services.versions.list(world.project_id)[0]
    assert (row.run_kind, row.by, row.verdicts) == ("reweight", "Ada", snapshot.verdicts)


def test_the_lineage_goes_from_data_to_version(fresh: World) -> None:
    view = fresh.services.versions.lineage(fresh.project_id)
    kinds = [node.kind for node in view.nodes]
    assert kinds.count("version") == 3
    assert kinds.count("data") == 1
    ids = {node.id: node for node in view.nodes}
    for edge in view.edges:
        assert ids[edge.source].column < ids[edge.target].column
    assert view.active == f"version:{base(fresh).id}"
    assert len({(node.column, node.row) for node in view.nodes}) == len(view.nodes)
    assert len(view.text) == 3
    assert fresh.version_hash[:10] in view.text[0]
    assert f"from version {fresh.version_hash[:10]}" in view.text[1]
    (data,) = (node for node in view.nodes if node.kind == "data")
    assert data.title == f"Data {data.ref[:10]}"
