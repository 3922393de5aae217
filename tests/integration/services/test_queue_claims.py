"""Who reviews what: claims that expire, marks, assignments."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from core.errors import ConfigError
from dashboard.services.queue import QueueService
from dashboard.services.review import ReviewService
from dashboard.services.roles import Forbidden
from dashboard.viewmodels.queue import QueueFilter
from db.records import new_id, utc_now
from tests.integration.services.queue_world import (
    lead,
    make_lead,
    open_for,
    queue_world,
    say,
    set_rules,
    someone,
    untouched,
)
from tests.integration.services.world import World


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
    return queue_world(tmp_path_factory.mktemp("queue"))


@pytest.fixture
def world(built: World) -> World:
    return untouched(built)


def at_desk(world: World, clock: Clock) -> tuple[QueueService, ReviewService]:
    services = world.services
    return (
        QueueService(services.uow, services.engines, now=clock),
        ReviewService(services.uow, services.explain, now=clock),
    )


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
