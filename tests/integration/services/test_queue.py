"""Who reviews what: the plan, claims that expire, marks, assignments, orders of one's own."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from core.errors import ConfigError, InsightError
from dashboard.services import queue_plan
from dashboard.services.queue import PAGE, QueueService
from dashboard.services.review import ReviewService
from dashboard.services.roles import Forbidden
from dashboard.viewmodels.queue import QueueFilter
from db.desk_records import QueuePlace
from db.records import new_id, utc_now
from tests.integration.services.world import RULER, World, make_world, reviewer

ALL = QueueFilter()


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self):  # type: ignore[no-untyped-def]
        return self.now

    def wait(self, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    return make_world(tmp_path_factory.mktemp("queue") / "ws", splits={"train": 40, "test": 10})


@pytest.fixture
def world(built: World) -> World:
    """The same project with a queue nobody has touched: one person a case, planned anew."""
    set_rules(built, overlap_share=0.0, order="priority", seed=len(history(built)))
    with built.services.uow() as uow:
        version = uow.versions.active(built.project_id)
        assert version is not None
        for item in uow.queue.page(version.id, "", limit=100).items:
            for person in uow.reviewers.list():
                uow.queue.release(item.case_id, person.id)
        uow.commit()
    return built


def history(world: World) -> tuple[object, ...]:
    return world.services.settings_of.history(world.project_id)


def set_rules(world: World, **changes: object) -> None:
    rules = world.services.settings_of
    rules.save(
        id=new_id(), project_id=world.project_id, reviewer_id=lead(world), changes=changes,
        based_on=rules.view(world.project_id).revision,
    )  # fmt: skip


def lead(world: World) -> str:
    return reviewer(world, "Lea")


def someone(world: World, name: str) -> str:
    return reviewer(world, f"{name} {new_id()[:6]}")


def at_desk(world: World, clock: Clock) -> tuple[QueueService, ReviewService]:
    services = world.services
    return (
        QueueService(services.uow, services.engines, now=clock),
        ReviewService(services.uow, services.explain, now=clock),
    )


def say(world: World, me: str, case_id: str, label: str = "naevus") -> None:
    world.services.review.assess(
        id=new_id(), case_id=case_id, reviewer_id=me, agree=None, corrected_label=label,
        comment="", based_on=0,
    )  # fmt: skip


def open_for(world: World, me: str) -> list[str]:
    page = world.services.queue.page(world.project_id, me, QueueFilter(status="open"))
    return [row.case_id for row in page.rows]


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


def make_lead(world: World) -> None:
    rules, me = world.services.settings_of, lead(world)
    members = rules.members(world.project_id, me)
    mine = next(member for member in members.members if member.reviewer_id == me)
    if members.open:
        rules.set_role(
            id=new_id(), project_id=world.project_id, reviewer_id=me, role="lead", by_id=me,
            based_on=mine.revision,
        )  # fmt: skip


class TestClaims:
    def test_two_people_get_two_cases(self, world: World) -> None:
        clock = Clock()
        queue, review = at_desk(world, clock)
        ada, bo = someone(world, "Ada"), someone(world, "Bo")
        mine = review.case(world.project_id, None, ada).id
        assert queue.claim(mine, ada).ok
        theirs = review.case(world.project_id, None, bo)
        assert theirs.id != mine
        refused = queue.claim(mine, bo)
        assert (refused.ok, refused.case_id) == (False, mine)
        assert refused.held_by is not None
        assert refused.held_by.startswith("Ada")
        assert refused.until == clock.now + timedelta(minutes=10)
        seen = review.case(world.project_id, mine, bo).place
        assert seen is not None
        assert seen.held_by == refused.held_by

    def test_a_lease_ends_by_itself_and_acting_renews_it(self, world: World) -> None:
        clock = Clock()
        queue, review = at_desk(world, clock)
        ada, bo = someone(world, "Ada"), someone(world, "Bo")
        case = review.case(world.project_id, None, ada)
        queue.claim(case.id, ada)
        clock.wait(9)
        review.draw(
            id=new_id(), case_id=case.id, reviewer_id=ada, cue_id=None, kind="missed",
            shape="box", points=[(0.1, 0.1), (0.2, 0.2)],
        )  # fmt: skip
        clock.wait(9)
        assert not queue.claim(case.id, bo).ok
        clock.wait(2)
        assert queue.claim(case.id, bo).ok
        assert not queue.claim(case.id, ada).ok

    def test_next_takes_the_nearest_free_case_where_somebody_was_quicker(
        self, world: World
    ) -> None:
        clock = Clock()
        queue, review = at_desk(world, clock)
        ada, bo = someone(world, "Ada"), someone(world, "Bo")
        first = review.case(world.project_id, None, ada)
        assert first.next_id is not None
        queue.claim(first.next_id, bo)
        taken = queue.claim(first.next_id, ada, or_next=True)
        assert taken.ok
        assert taken.case_id not in {first.id, first.next_id}
        assert taken.case_id == review.case(world.project_id, first.id, ada).next_id

    def test_leafing_does_not_hoard_cases(self, world: World) -> None:
        clock = Clock()
        queue, _ = at_desk(world, clock)
        ada, bo = someone(world, "Ada"), someone(world, "Bo")
        for case_id in open_for(world, ada)[:6]:
            queue.claim(case_id, ada)
            clock.wait(0.1)
        held = queue.page(world.project_id, bo, QueueFilter(status="held")).rows
        assert len(held) == 2  # two tabs
        assert all(row.held_by and row.held_by.startswith("Ada") for row in held)

    def test_a_finished_case_is_closed_to_others_unless_two_are_wanted(self, world: World) -> None:
        ada, bo, cy = (someone(world, name) for name in ("Ada", "Bo", "Cy"))
        set_rules(world, overlap_share=1.0, reviews_wanted=2)
        case_id = open_for(world, ada)[0]
        assert world.services.queue.claim(case_id, ada).ok
        assert world.services.queue.claim(case_id, bo).ok  # on purpose
        assert not world.services.queue.claim(case_id, cy).ok
        say(world, ada, case_id)
        say(world, bo, case_id)
        assert case_id not in open_for(world, cy)
        done = world.services.queue.progress(world.project_id, ada)
        assert (done.mine, done.team >= 1) == (1, True)
        assert world.services.queue.claim(case_id, ada).ok  # one's own stays open to oneself

    def test_many_at_once_never_meet(self, world: World) -> None:
        people = [someone(world, f"P{n}") for n in range(6)]
        first = open_for(world, people[0])[0]

        def take(me: str) -> str:
            claimed = world.services.queue.claim(first, me, or_next=True)
            assert claimed.ok
            return claimed.case_id

        with ThreadPoolExecutor(6) as pool:
            cases = list(pool.map(take, people))
        assert len(set(cases)) == 6


class TestMarksAndAssignments:
    def test_a_skipped_case_is_not_offered_again_until_resolved(self, world: World) -> None:
        ada = someone(world, "Ada")
        case = world.services.review.case(world.project_id, None, ada)
        one = new_id()
        for _ in range(2):
            world.services.queue.mark(id=one, case_id=case.id, reviewer_id=ada, kind="skip")
        assert world.services.review.case(world.project_id, None, ada).id != case.id
        skipped = world.services.queue.page(world.project_id, ada, QueueFilter(status="skipped"))
        assert [row.case_id for row in skipped.rows] == [case.id]
        assert skipped.rows[0].marks == ("skip",)
        assert case.id in open_for(world, someone(world, "Bo"))
        world.services.queue.mark(id=new_id(), case_id=case.id, reviewer_id=ada, kind="resolve")
        assert world.services.review.case(world.project_id, None, ada).id == case.id
        with world.services.uow(read_only=True) as uow:
            assert len(uow.audit.list(entity="queue mark", entity_id=one)) == 1

    def test_flags_and_escalations_are_seen_by_all(self, world: World) -> None:
        ada, bo = someone(world, "Ada"), someone(world, "Bo")
        case_id = open_for(world, ada)[0]
        for kind in ("flag", "escalate"):
            world.services.queue.mark(
                id=new_id(), case_id=case_id, reviewer_id=ada, kind=kind, reason="blurred <b>"
            )
        place = world.services.review.case(world.project_id, case_id, bo).place
        assert place is not None
        assert set(place.marks) == {"flag", "escalate"}
        found = world.services.queue.page(world.project_id, bo, QueueFilter(status="escalated"))
        assert case_id in {row.case_id for row in found.rows}
        assert case_id not in open_for(world, ada)
        with pytest.raises(ConfigError, match="a mark is one of"):
            world.services.queue.mark(
                id=new_id(), case_id=case_id, reviewer_id=ada, kind="hide",  # type: ignore[arg-type]
            )  # fmt: skip
        world.services.queue.mark(id=new_id(), case_id=case_id, reviewer_id=ada, kind="resolve")

    def test_assigned_cases_belong_to_one_person(self, world: World) -> None:
        ada, bo = someone(world, "Ada"), someone(world, "Bo")
        act = new_id()
        for _ in range(2):
            given = world.services.queue.assign_next(
                id=act, project_id=world.project_id, assignee_id=ada, by_id=lead(world), count=3
            )
            assert given == 3
        mine = world.services.queue.page(world.project_id, ada, QueueFilter(status="assigned"))
        assert mine.total == 3
        assert mine.rows[0].assigned_to[0].startswith("Ada")
        assert not {row.case_id for row in mine.rows} & set(open_for(world, bo))
        world.services.queue.assign(
            id=new_id(), case_id=mine.rows[0].case_id, assignee_id=ada, by_id=lead(world),
            assigned=False,
        )  # fmt: skip
        assert mine.rows[0].case_id in open_for(world, bo)
        with pytest.raises(ConfigError, match="between 1 and 500"):
            world.services.queue.assign_next(
                id=new_id(), project_id=world.project_id, assignee_id=ada, by_id=lead(world),
                count=0,
            )  # fmt: skip

    def test_experts_may_not_assign(self, world: World) -> None:
        make_lead(world)
        eve = someone(world, "Eve")
        with pytest.raises(Forbidden):
            world.services.queue.assign(
                id=new_id(), case_id=open_for(world, eve)[0], assignee_id=eve, by_id=eve
            )


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
