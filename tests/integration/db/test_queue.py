"""The queue: order, claims that expire, marks, assignments, progress."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest

from db.desk_records import ClaimRecord, QueuePlace
from db.errors import Conflict, InvalidValue, NotFound
from db.records import new_id
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory
from tests.integration.db.builders import World, make_world, new_case, new_image

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CASES = 6


@pytest.fixture
def wide(factory: UnitOfWorkFactory) -> World:
    """A world of six cases."""
    return make_world(factory, images=CASES)


def _judge(uow: UnitOfWork, world: World, case: int, who: str, value: str = "correct") -> None:
    cue = world.cues[case][0]
    stood = uow.verdicts.standing(cue.case_id, who).get(cue.id)
    uow.verdicts.append(
        id=new_id(),
        cue_id=cue.id,
        reviewer_id=who,
        value=value,
        based_on=0 if stood is None else stood.revision,
    )


def _claim(uow: UnitOfWork, world: World, case: int, who: str, now: datetime) -> ClaimRecord:
    return uow.queue.claim(case_id=world.cases[case].id, reviewer_id=who, seconds=600, now=now)


def _open(uow: UnitOfWork, world: World, who: str, now: datetime = NOON) -> list[int]:
    rows = uow.queue.page(world.version.id, who, state="open", now=now)
    assert rows.total == len(rows.items)
    return [row.queue_order for row in rows.items]


class TestOrder:
    def test_a_plan_orders_the_queue_and_says_why(
        self, factory: UnitOfWorkFactory, wide: World
    ) -> None:
        ids = [case.id for case in wide.cases]
        with factory() as uow:
            places = [
                QueuePlace(ids[4], "uncertain: 51 % sure", 0.9, wanted=2),
                QueuePlace(ids[1], "uncertain: 55 % sure", 0.8),
                QueuePlace(ids[5], "random control"),
            ]
            assert uow.queue.plan(wide.version.id, places) == CASES
            rows = uow.queue.page(wide.version.id, wide.ada.id).items
            assert [row.case_id for row in rows] == [ids[n] for n in (4, 1, 5, 0, 2, 3)]
            assert [row.queue_order for row in rows] == list(range(CASES))
            assert (rows[0].reason, rows[0].score, rows[0].wanted) == (
                "uncertain: 51 % sure",
                0.9,
                2,
            )
            assert uow.queue.reasons(wide.version.id) == {
                "": 3,
                "uncertain": 2,
                "random control": 1,
            }
            assert uow.queue.at(wide.version.id, [0, 2, 99]) == {0: ids[4], 2: ids[5]}
            near = uow.cases.neighbours(ids[1])
            assert (near.position, near.total) == (2, CASES)
            assert (near.previous_id, near.next_id) == (ids[4], ids[5])
            facts = uow.queue.rows(wide.version.id)
            assert [each.case_id for each in facts][:2] == [ids[4], ids[1]]
            assert not facts[0].explained

    def test_a_plan_is_checked(self, factory: UnitOfWorkFactory, wide: World, world: World) -> None:
        first = wide.cases[0].id
        for places, refusal in (
            ([QueuePlace(first, ""), QueuePlace(first, "")], InvalidValue),
            ([QueuePlace(world.cases[0].id, "")], NotFound),
            ([QueuePlace(first, "", wanted=0)], InvalidValue),
        ):
            with factory() as uow, pytest.raises(refusal):
                uow.queue.plan(wide.version.id, places)

    def test_new_cases_come_last_and_places_stay_dense(
        self, factory: UnitOfWorkFactory, wide: World
    ) -> None:
        with factory() as uow:
            images = uow.images.add_many(wide.project.id, [new_image(n) for n in (70, 71)])
            fresh = [new_case(images[0].id, 9), new_case(images[1].id, 3)]
            assert uow.cases.add_many(wide.version.id, fresh) == 2
            rows = uow.cases.queue(wide.version.id, wide.ada.id)
            assert [row.queue_order for row in rows] == list(range(CASES + 2))
            assert [row.image_id for row in rows[-2:]] == [images[1].id, images[0].id]
            assert uow.cases.total(wide.version.id) == CASES + 2

    def test_filters_of_a_page(self, factory: UnitOfWorkFactory, wide: World) -> None:
        version, ada = wide.version.id, wide.ada.id
        with factory() as uow:
            uow.queue.plan(version, [QueuePlace(wide.cases[2].id, "100% odd_case: x")])
            _judge(uow, wide, 3, ada)
            page = uow.queue.page
            assert [r.case_id for r in page(version, ada, reason="100% odd_").items] == [
                wide.cases[2].id
            ]
            assert page(version, ada, reason="100%_odd").total == 0
            assert [r.case_id for r in page(version, ada, state="done").items] == [wide.cases[3].id]
            assert page(version, ada, label="naevus").total == CASES // 2
            assert page(version, ada, prediction="naevus").total == 0
            assert page(version, ada, search="0004.PNG").items[0].relpath == "images/00004.png"
            middle = page(version, ada, limit=2, offset=2)
            assert (len(middle.items), middle.total) == (2, CASES)
            assert [r.queue_order for r in middle.items] == [2, 3]


class TestClaims:
    def test_one_at_a_time_until_the_lease_ends(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        ada, ben = world.ada.id, world.ben.id
        with factory() as uow:
            assert _claim(uow, world, 0, ada, NOON).granted
            refused = _claim(uow, world, 0, ben, NOON + timedelta(seconds=599))
            assert not refused.granted
            assert [lease.reviewer for lease in refused.holders] == [world.ada.name]
            assert refused.lease is None
            assert _open(uow, world, ben) == [1, 2]
            assert _open(uow, world, ada) == [0, 1, 2]
            assert _claim(uow, world, 0, ada, NOON + timedelta(seconds=300)).granted
            late = NOON + timedelta(seconds=899)
            assert not _claim(uow, world, 0, ben, late).granted, "renewed by Ada"
            assert _claim(uow, world, 0, ben, NOON + timedelta(seconds=901)).granted
            gone = _claim(uow, world, 0, ada, NOON + timedelta(seconds=902))
            assert not gone.granted, "expired and taken over"

    def test_given_back(self, factory: UnitOfWorkFactory, world: World) -> None:
        with factory() as uow:
            _claim(uow, world, 0, world.ada.id, NOON)
            held = uow.queue.page(world.version.id, world.ben.id, state="held", now=NOON).items
            assert [(row.queue_order, row.held_by) for row in held] == [(0, world.ada.name)]
            mine = uow.queue.leases_of(world.ada.id, now=NOON)
            assert [lease.case_id for lease in mine] == [world.cases[0].id]
            uow.queue.release(world.cases[0].id, world.ada.id)
            uow.queue.release(world.cases[0].id, world.ada.id)
            assert _claim(uow, world, 0, world.ben.id, NOON).granted

    def test_two_where_two_are_wanted(self, factory: UnitOfWorkFactory, world: World) -> None:
        first = world.cases[0].id
        with factory() as uow:
            cleo = uow.reviewers.get_or_create(f"Cleo {new_id()}").id
            uow.queue.plan(world.version.id, [QueuePlace(first, "overlap", wanted=2)])
            assert _claim(uow, world, 0, world.ada.id, NOON).granted
            assert _claim(uow, world, 0, world.ben.id, NOON).granted
            assert not _claim(uow, world, 0, cleo, NOON).granted
            _judge(uow, world, 0, world.ada.id)
            later = NOON + timedelta(days=1)
            assert _claim(uow, world, 0, cleo, later).granted, "Ben went home without a word"
            _judge(uow, world, 0, cleo)
            refused = _claim(uow, world, 0, world.ben.id, later)
            assert (refused.granted, refused.words, refused.wanted) == (False, 2, 2)
            assert _claim(uow, world, 0, world.ada.id, later).granted, "own work stays open"

    def test_assigned_is_granted_and_reserves_a_place(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        ada, ben = world.ada.id, world.ben.id
        given = {"case_id": world.cases[0].id, "assignee_id": ben, "by_id": ada}
        with factory() as uow:
            event = new_id()
            uow.queue.assign(id=event, **given)
            again = uow.queue.assign(id=event, **given)
            assert (again.assignee, again.by) == (world.ben.name, world.ada.name)
            assert not _claim(uow, world, 0, ada, NOON).granted, "reserved for Ben"
            answer = _claim(uow, world, 0, ben, NOON)
            assert (answer.granted, answer.assigned) == (True, True)
            assert _open(uow, world, ada) == [1, 2]
            only = uow.queue.page(world.version.id, ada, assignee_id=ben, now=NOON).items
            assert [row.assigned_to for row in only] == [(world.ben.name,)]
            uow.queue.assign(id=new_id(), assigned=False, **given)
            uow.queue.release(world.cases[0].id, ben)
            assert _claim(uow, world, 0, ada, NOON).granted
            with pytest.raises(Conflict):
                uow.queue.assign(id=event, **given | {"assignee_id": ada})

    def test_assigned_to_me_though_done_by_another(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        with factory() as uow:
            _judge(uow, world, 0, world.ada.id)
            assert _open(uow, world, world.ben.id) == [1, 2]
            _claim(uow, world, 1, world.ben.id, NOON)  # searches start behind case 0 from now on
            uow.queue.assign(
                id=new_id(),
                case_id=world.cases[0].id,
                assignee_id=world.ben.id,
                by_id=world.ada.id,
            )
            found = uow.queue.next_open(world.version.id, world.ben.id, now=NOON)
            assert found is not None
            assert found.case_id == world.cases[0].id

    def test_of_two_at_once_one_gets_the_case(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        barrier = Barrier(2, timeout=60)

        def claim(who: str) -> bool:
            barrier.wait()
            with factory() as uow:
                answer = _claim(uow, world, 0, who, NOON)
                uow.commit()
            return answer.granted

        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(claim, (world.ada.id, world.ben.id)))
        assert sorted(answers) == [False, True]


class TestMarks:
    def test_a_skip_is_my_own(self, factory: UnitOfWorkFactory, world: World) -> None:
        ada, ben, first = world.ada.id, world.ben.id, world.cases[0].id
        with factory() as uow:
            event = new_id()
            for _again in range(2):
                uow.queue.mark(
                    id=event, case_id=first, reviewer_id=ada, kind="skip", reason="tired"
                )
            assert _open(uow, world, ada) == [1, 2]
            assert _open(uow, world, ben) == [0, 1, 2]
            aside = uow.queue.page(world.version.id, ada, state="put-aside").items
            assert [(row.queue_order, row.marks) for row in aside] == [(0, ("skip",))]
            uow.queue.mark(id=new_id(), case_id=first, reviewer_id=ben, kind="resolve")
            assert _open(uow, world, ada) == [1, 2], "another's resolve ends no skip"
            uow.queue.mark(id=new_id(), case_id=first, reviewer_id=ada, kind="resolve")
            assert _open(uow, world, ada) == [0, 1, 2]
            with pytest.raises(Conflict):
                uow.queue.mark(id=event, case_id=first, reviewer_id=ada, kind="flag")
            with pytest.raises(InvalidValue, match="mark must be one of"):
                uow.queue.mark(id=new_id(), case_id=first, reviewer_id=ada, kind="burn")

    def test_flags_and_escalations_are_everybodys(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        ada, ben, first = world.ada.id, world.ben.id, world.cases[0].id
        with factory() as uow:
            uow.queue.mark(
                id=new_id(), case_id=first, reviewer_id=ada, kind="flag", reason="blurred"
            )
            uow.queue.mark(id=new_id(), case_id=first, reviewer_id=ada, kind="escalate")
            assert _open(uow, world, ada) == [1, 2]
            place = uow.queue.place(first, ben, now=NOON)
            assert [(mark.kind, mark.reason) for mark in place.marks] == [
                ("flag", "blurred"),
                ("escalate", ""),
            ]
            assert uow.queue.page(world.version.id, ben, mark="flag").total == 1
            uow.queue.mark(id=new_id(), case_id=first, reviewer_id=ben, kind="resolve")
            assert uow.queue.place(first, ben, now=NOON).marks == ()
            assert uow.queue.page(world.version.id, ben, mark="flag").total == 0
            assert _open(uow, world, ada) == [0, 1, 2]


class TestProgress:
    def test_mine_team_and_by_person(self, factory: UnitOfWorkFactory, wide: World) -> None:
        ada, ben, version = wide.ada.id, wide.ben.id, wide.version.id
        with factory() as uow:
            uow.queue.plan(version, [QueuePlace(wide.cases[0].id, "overlap", wanted=2)])
            for case in (0, 1, 2):
                _judge(uow, wide, case, ada)
            _judge(uow, wide, 0, ben)
            shown = uow.queue.progress(version, ben)
            assert (shown.total, shown.mine, shown.team) == (CASES, 1, 3)
            assert shown.by_reviewer == ((wide.ada.name, 3), (wide.ben.name, 1))
            _judge(uow, wide, 0, ben, "withdrawn")
            shown = uow.queue.progress(version, ada)
            assert (shown.mine, shown.team) == (3, 2), "case 0 lacks its second person"
            uow.queue.plan(version, [QueuePlace(wide.cases[0].id, "no overlap")])
            assert uow.queue.progress(version, ada).team == 3

    def test_a_word_is_a_verdict_or_an_assessment(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        ada, case = world.ada.id, world.cases[0].id

        def done(uow: UnitOfWork) -> tuple[int, bool]:
            return uow.queue.progress(world.version.id, ada).mine, uow.queue.place(case, ada).mine

        with factory() as uow:
            word = {"case_id": case, "reviewer_id": ada}
            uow.assessments.append(id=new_id(), agree=True, based_on=0, **word)
            _judge(uow, world, 0, ada)
            assert done(uow) == (1, True)
            uow.assessments.append(id=new_id(), agree=None, based_on=1, **word)
            assert done(uow) == (1, True)
            _judge(uow, world, 0, ada, "withdrawn")
            assert done(uow) == (0, False)

    def test_the_search_starts_where_work_begins_and_goes_back_when_it_must(
        self, factory: UnitOfWorkFactory, wide: World
    ) -> None:
        ada, version = wide.ada.id, wide.version.id

        def first(uow: UnitOfWork) -> int | None:
            found = uow.queue.next_open(version, ada, now=NOON)
            return None if found is None else found.queue_order

        with factory() as uow:
            for case in range(4):
                _judge(uow, wide, case, ada)
                _claim(uow, wide, case + 1, ada, NOON)
            assert first(uow) == 4
            assert uow.cases.first_open(version, ada) == wide.cases[4].id
            assert uow.undo.undo(id=new_id(), reviewer_id=ada, project_id=wide.project.id)
            assert first(uow) == 3
            _judge(uow, wide, 1, ada, "withdrawn")
            assert first(uow) == 1
            for case in (1, 3, 4, 5):
                _judge(uow, wide, case, ada)
                _claim(uow, wide, case, ada, NOON)
            assert first(uow) is None
            assert uow.cases.first_open(version, ada) is None
            (image,) = uow.images.add_many(wide.project.id, [new_image(90)])
            uow.cases.add_many(version, [new_case(image.id, 0)])
            assert first(uow) == CASES

    def test_two_first_words_at_once_are_both_counted(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        with factory() as uow:
            uow.queue.plan(world.version.id, [QueuePlace(world.cases[0].id, "overlap", wanted=2)])
            uow.commit()
        barrier = Barrier(2, timeout=60)

        def judge(at: int) -> Callable[[], None]:
            def act() -> None:
                barrier.wait()
                with factory() as uow:
                    uow.verdicts.append(
                        id=new_id(),
                        cue_id=world.cues[0][at].id,
                        reviewer_id=(world.ada.id, world.ben.id)[at],
                        value="correct",
                        based_on=0,
                    )
                    uow.commit()

            return act

        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(judge(at)) for at in range(2)]:
                done.result()
        with factory(read_only=True) as uow:
            shown = uow.queue.progress(world.version.id, world.ada.id)
            assert (shown.mine, shown.team) == (1, 1)
            assert uow.queue.place(world.cases[0].id, world.ada.id).words == 2
