"""In which order cases come, and why: the plan, and orders of one's own."""

from collections import Counter
from pathlib import Path

import pytest

from core.errors import InsightError
from dashboard.services import queue_plan
from dashboard.services.queue import PAGE, QueueService
from dashboard.services.roles import Forbidden
from dashboard.viewmodels.queue import QueueFilter
from db.desk_records import QueuePlace
from db.records import new_id
from tests.integration.services.queue_world import (
    lead,
    make_lead,
    queue_world,
    say,
    set_rules,
    someone,
    untouched,
)
from tests.integration.services.world import RULER, World, make_world, reviewer

ALL = QueueFilter()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> World:
    return queue_world(tmp_path_factory.mktemp("queue"))


@pytest.fixture
def world(built: World) -> World:
    return untouched(built)


class TestPlan:
    def test_publishing_plans_every_case_with_a_reason(self, world: World) -> None:
        me = someone(world, "Ada")
        rows = [*page(world, me, 1).rows, *page(world, me, 2).rows]
        assert [row.position for row in rows] == list(range(1, 51))
        keys = {row.reason.partition(":")[0] for row in rows}
        assert keys <= set(queue_plan.REASONS)
        assert {"uncertain", "control"} <= keys
        assert [row.split for row in rows].index("test") == 40  # held-out cases come last
        plan = world.services.queue.plan_of(world.project_id)
        assert plan.total == sum(count for _, _, count in plan.counts) == 50
        assert Counter(row.reason.partition(":")[0] for row in rows) == Counter(
            {key: count for key, _, count in plan.counts if count}
        )

    def test_the_same_settings_give_the_same_order_and_another_seed_another(
        self, world: World
    ) -> None:
        me = someone(world, "Ada")
        before = [row.case_id for row in page(world, me, 1).rows]
        world.services.queue.plan(world.project_id, lead(world))
        assert [row.case_id for row in page(world, me, 1).rows] == before
        set_rules(world, seed=77)
        assert [row.case_id for row in page(world, me, 1).rows] != before

    def test_uncertain_cases_come_in_order_of_their_doubt(self, world: World) -> None:
        set_rules(world, weights={"uncertain": 1}, control_share=0)
        rows = page(world, someone(world, "Ada"), 1).rows
        sure = [row.confidence for row in rows]
        assert sure == sorted(sure)
        set_rules(world, weights={"uncertain": 2, "shortcut": 2, "diverse": 1}, control_share=0.1)

    def test_a_concept_called_artefact_brings_its_cases_forward(self, world: World) -> None:
        me = lead(world)
        concept_id = ruler_of(world, me)
        set_rules(world, weights={"shortcut": 1}, control_share=0)
        world.services.concepts.mark(
            id=new_id(), concept_id=concept_id, reviewer_id=me, kind="artefact", value=True,
            reason="a ruler is no sign", based_on=0,
        )  # fmt: skip
        plan = world.services.queue.plan(world.project_id, me)
        counts = {key: count for key, _, count in plan.counts}
        assert counts["shortcut"] >= 10
        first = page(world, me, 1).rows[0]
        case = world.services.review.case(world.project_id, first.case_id, me)
        assert any(cue.concept == RULER for cue in case.cues)
        set_rules(world, weights={"uncertain": 2, "shortcut": 2, "diverse": 1}, control_share=0.1)

    def test_what_experts_disagree_on_comes_forward(self, world: World) -> None:
        ada, bo = someone(world, "Ada"), someone(world, "Bo")
        case_id = page(world, ada, 1).rows[-1].case_id
        cue = world.services.review.case(world.project_id, case_id, ada).cues[0]
        for me, value in ((ada, "correct"), (bo, "spurious")):
            world.services.review.give_verdict(
                id=new_id(), cue_id=cue.id, reviewer_id=me, value=value, based_on=0
            )
        set_rules(world, weights={"experts": 1}, control_share=0)
        first = page(world, ada, 1).rows[0]
        assert first.case_id == case_id
        assert first.reason == "experts: experts disagree"
        set_rules(world, weights={"uncertain": 2, "shortcut": 2, "diverse": 1}, control_share=0.1)

    def test_only_a_lead_plans(self, world: World) -> None:
        make_lead(world)
        try:
            with pytest.raises(Forbidden, match="needs the role lead"):
                world.services.queue.plan(world.project_id, someone(world, "Eve"))
            assert world.services.queue.plan(world.project_id, lead(world)).total == 50
        finally:
            assert world.services.settings_of.role(world.project_id, lead(world)) == "lead"

    def test_without_codes_the_plan_says_what_it_could_not_use(self, world: World) -> None:
        blunt = QueueService(world.services.uow)
        with world.services.uow(read_only=True) as uow:
            version = uow.versions.active(world.project_id)
        assert version is not None
        notes = blunt.plan_version(version.id).notes
        assert any("not explained yet" in note for note in notes)

    def test_a_queue_from_before_there_were_plans_is_planned_once(self, world: World) -> None:
        queue = world.services.queue
        assert not queue.catch_up(world.project_id)
        with world.services.uow() as uow:
            version = uow.versions.active(world.project_id)
            assert version is not None
            rows = uow.queue.rows(version.id)
            uow.queue.plan(version.id, [QueuePlace(r.case_id, "not planned yet") for r in rows])
            uow.commit()
        assert not queue.catch_up(world.project_id, at_most=49)
        assert queue.catch_up(world.project_id, at_most=50)
        assert queue.plan_of(world.project_id).by == "engine"
        assert not queue.catch_up(world.project_id)
        assert not queue.catch_up(new_id())

    def test_a_project_without_a_version_has_nothing_to_plan(self, world: World) -> None:
        with world.services.uow() as uow:
            empty = uow.projects.add(f"empty {new_id()}", "nowhere")
            uow.commit()
        with pytest.raises(InsightError, match="no model version"):
            world.services.queue.plan(empty.id)
        assert world.services.queue.page(empty.id, "me", ALL).rows == ()
        assert world.services.queue.plan_of(empty.id).total == 0
        assert world.services.queue.progress(empty.id, "me").total == 0


def page(world: World, me: str, number: int):  # type: ignore[no-untyped-def]
    return world.services.queue.page(world.project_id, me, QueueFilter(page=number))


def ruler_of(world: World, me: str) -> str:
    for row in world.services.review.queue(world.project_id, me):
        case = world.services.review.case(world.project_id, row.case_id, me)
        for cue in case.cues:
            if cue.concept == RULER:
                return cue.concept_id
    raise AssertionError("no case shows a ruler")


class TestOrders:
    def test_each_reviewer_has_an_order_of_their_own_that_stays(self, world: World) -> None:
        set_rules(world, order="random")
        ada, bo = someone(world, "Ada"), someone(world, "Bo")
        orders = {me: [row.case_id for row in world.services.review.queue(world.project_id, me)]
                  for me in (ada, bo)}  # fmt: skip
        assert orders[ada] != orders[bo]
        assert sorted(orders[ada]) == sorted(orders[bo])
        again = [page(world, ada, number) for number in (1, 2)]
        assert [row.case_id for each in again for row in each.rows] == orders[ada]
        assert again[0].order == "random"

    def test_the_way_on_and_back_is_the_reviewers_own(self, world: World) -> None:
        set_rules(world, order="random", overlap_share=1.0, reviews_wanted=10)
        ada = someone(world, "Ada")
        listed = [row.case_id for row in world.services.review.queue(world.project_id, ada)]
        case = world.services.review.case(world.project_id, None, ada)
        assert (case.id, case.position, case.previous_id) == (listed[0], 1, None)
        for place in range(1, 6):
            say(world, ada, case.id)
            assert case.next_id is not None
            following = world.services.review.case(world.project_id, case.next_id, ada)
            assert (following.position, following.previous_id) == (place + 1, case.id)
            case = following
        assert world.services.review.case(world.project_id, None, ada).id == case.id

    def test_the_way_goes_round_to_what_was_left_open(self, world: World) -> None:
        for order in ("priority", "random"):
            set_rules(world, order=order, overlap_share=1.0, reviews_wanted=10)
            ada = someone(world, "Ada")
            listed = [row.case_id for row in world.services.review.queue(world.project_id, ada)]
            last = world.services.review.case(world.project_id, listed[-1], ada)
            assert last.position == 50
            assert last.next_id == listed[0]

    def test_pages_and_filters(self, world: World) -> None:
        me = someone(world, "Ada")
        far = world.services.queue.page(world.project_id, me, QueueFilter(page=99))
        assert (far.page, far.pages, len(far.rows)) == (2, 2, 50 - PAGE)
        one = world.services.queue.page(world.project_id, me, QueueFilter(search="TRAIN-003"))
        assert [row.image_name for row in one.rows] == ["train-003.png"]
        naevi = world.services.queue.page(
            world.project_id, me, QueueFilter(label="naevus", split="test")
        )
        assert naevi.total == 5
        assert {row.label for row in naevi.rows} == {"naevus"}
        doubtful = world.services.queue.page(world.project_id, me, QueueFilter(reason="uncertain"))
        assert doubtful.total > 0
        assert {row.reason.partition(":")[0] for row in doubtful.rows} == {"uncertain"}
        facets = world.services.queue.facets(world.project_id)
        assert [key for key, _ in facets.splits] == ["test", "train"]
        assert QueueFilter(page=3).narrowed is False
        assert QueueFilter(status="open").narrowed


def test_new_images_come_behind_those_that_people_are_at(tmp_path: Path) -> None:
    world = make_world(tmp_path / "ws", splits={"train": 12})
    me = reviewer(world)
    before = [row.case_id for row in world.services.review.queue(world.project_id, me)]
    with world.services.uow(read_only=True) as uow:
        version = uow.versions.active(world.project_id)
    assert version is not None
    world.services.queue.published(version.id, 12)
    assert [row.case_id for row in world.services.review.queue(world.project_id, me)] == before
    world.services.queue.activated(version.id)
    say(world, me, before[3])
    kept = [row.case_id for row in world.services.review.queue(world.project_id, me)]
    world.services.queue.activated(version.id)  # somebody works on it: it stays
    assert [row.case_id for row in world.services.review.queue(world.project_id, me)] == kept
