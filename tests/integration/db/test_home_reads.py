"""Sums of the home screen against worlds that are counted by hand, on both back ends."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import numpy as np
import pytest
from sqlalchemy import insert

from core.raters import krippendorff
from dashboard.services.home_words import alpha
from dashboard.services.success_readings import ratio_interval
from db.desk_records import QueuePlace
from db.home_records import PairSums, ShareSums
from db.models import Assessment
from db.records import VerdictValue, new_id, utc_now
from db.unit_of_work import UnitOfWorkFactory
from tests.integration.db.builders import World, make_world, new_version
from tests.integration.db.dated import said

MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def assessed(factory: UnitOfWorkFactory, world: World, who: str, case: int, at: datetime) -> None:
    row = {
        "id": new_id(), "case_id": world.cases[case].id, "project_id": world.project.id,
        "reviewer_id": who, "agree": True, "corrected_label": None, "ratings": {}, "comment": "",
        "blank": False, "blind": False, "undoes": None, "revision": 1, "created_at": at,
    }  # fmt: skip
    with factory.engine.begin() as connection:
        connection.execute(insert(Assessment), [row])


@pytest.fixture
def told(factory: UnitOfWorkFactory) -> World:
    """Two people over two weeks; one word changed, one taken back."""
    world = make_world(factory)
    ada, ben = world.ada.id, world.ben.id
    said(factory, world, ada, 0, 0, "spurious", MONDAY)
    said(factory, world, ada, 0, 1, "correct", MONDAY + timedelta(minutes=1))
    said(factory, world, ada, 1, 0, "spurious", MONDAY + timedelta(hours=14, minutes=30))  # 23:30
    said(factory, world, ada, 1, 0, "correct", MONDAY + timedelta(days=1), revision=2)
    said(factory, world, ben, 0, 0, "spurious", MONDAY + timedelta(days=6, hours=14))  # Sunday
    said(factory, world, ben, 0, 1, "spurious", MONDAY + timedelta(days=7))
    said(factory, world, ben, 1, 0, "unsure", MONDAY + timedelta(days=7))
    said(factory, world, ben, 2, 0, "spurious", MONDAY + timedelta(days=7))
    said(factory, world, ben, 2, 0, "withdrawn", MONDAY + timedelta(days=8), revision=2)
    assessed(factory, world, ada, 0, MONDAY + timedelta(minutes=2))
    with factory() as uow:
        uow.queue.recount(world.version.id)
        uow.commit()
    return world


class TestWork:
    def test_words_and_different_cases_by_day_and_person(
        self, factory: UnitOfWorkFactory, told: World
    ) -> None:
        with factory(read_only=True) as uow:
            rows = uow.home.work(told.project.id)
        found = {(row.day, row.reviewer_id): (row.words, row.cases) for row in rows}
        ada, ben = told.ada.id, told.ben.id
        assert found == {
            (date(2026, 3, 2), ada): (4, 2),  # three verdicts and an assessment in two cases
            (date(2026, 3, 3), ada): (1, 1),
            (date(2026, 3, 8), ben): (1, 1),
            (date(2026, 3, 9), ben): (3, 3),
            (date(2026, 3, 10), ben): (1, 1),
        }
        assert [row.day for row in rows] == sorted(row.day for row in rows)

    def test_the_day_on_which_the_last_wanted_person_came(
        self, factory: UnitOfWorkFactory, told: World
    ) -> None:
        with factory(read_only=True) as uow:
            # one person is wanted: the first word counts, taken back since or not
            assert uow.home.covered(told.version.id) == (
                (date(2026, 3, 2), 2), (date(2026, 3, 9), 1)
            )  # fmt: skip

    def test_two_wanted_people(self, factory: UnitOfWorkFactory, told: World) -> None:
        with factory() as uow:
            places = [QueuePlace(case.id, "uncertain", wanted=2) for case in told.cases]
            uow.queue.plan(told.version.id, places)
            uow.commit()
        with factory(read_only=True) as uow:
            assert uow.home.covered(told.version.id) == (
                (date(2026, 3, 8), 1), (date(2026, 3, 9), 1)
            )  # fmt: skip


class TestCoverage:
    def test_by_label_split_and_class(self, factory: UnitOfWorkFactory, told: World) -> None:
        with factory(read_only=True) as uow:
            by_label = uow.home.coverage(told.version.id, "label")
            by_class = uow.home.coverage(told.version.id, "class")
            by_group = uow.home.coverage(told.version.id, "group")
            people = uow.home.people_per_case(told.version.id)
        # labels: melanoma, naevus, melanoma; the word on the third case was taken back
        assert {r.name: (r.cases, r.begun, r.done) for r in by_label} == {
            "melanoma": (2, 1, 1), "naevus": (1, 1, 1)
        }  # fmt: skip
        assert {r.name: (r.cases, r.begun) for r in by_class} == {"melanoma": (3, 2)}
        assert {r.name: r.cases for r in by_group} == {None: 3}
        assert people == {2: 2}

    def test_a_version_without_words(self, factory: UnitOfWorkFactory, world: World) -> None:
        with factory(read_only=True) as uow:
            assert {r.begun for r in uow.home.coverage(world.version.id, "split")} == {0}
            assert uow.home.covered(world.version.id) == ()
            assert uow.home.people_per_case(world.version.id) == {}
            assert uow.home.work(world.project.id) == ()
            assert uow.home.agreement(world.project.id, "week") == ()
            assert uow.home.spurious_share(world.project.id).total == 0
            assert uow.home.pace(world.project.id, world.ada.id, 5) == ()


class TestElsewhere:
    def test_words_that_stand_on_other_versions(
        self, factory: UnitOfWorkFactory, told: World
    ) -> None:
        with factory() as uow:
            # Ada's three and Ben's three that stand; the one taken back does not.
            assert uow.home.elsewhere(told.project.id, told.version.id) == 0
            later = uow.versions.add(told.project.id, new_version("w" * 64, told.version.hash))
            assert uow.home.elsewhere(told.project.id, later.id) == 6
            assert uow.home.elsewhere(new_id(), later.id) == 0


class TestAgreement:
    def test_stretches_begin_on_mondays_and_first_days(
        self, factory: UnitOfWorkFactory, told: World
    ) -> None:
        with factory(read_only=True) as uow:
            weeks = uow.home.agreement(told.project.id, "week")
            days = uow.home.agreement(told.project.id, "day")
            (month,) = uow.home.agreement(told.project.id, "month")
        # cue 0 of case 0 was last spoken on on Sunday the 8th, cue 1 on Monday the 9th
        assert [(w.day, w.cues) for w in weeks] == [(date(2026, 3, 2), 1), (date(2026, 3, 9), 1)]
        assert [d.day for d in days] == [date(2026, 3, 8), date(2026, 3, 9)]
        assert (month.day, month.cues, month.cases) == (date(2026, 3, 1), 2, 1)
        assert (month.c, month.s, month.o) == (1.0, 3.0, 2.0)

    def test_alpha_is_the_engines(self, factory: UnitOfWorkFactory) -> None:
        """Many people on many cues, against core.raters on the same words."""
        world = make_world(factory, images=12, concepts=4)
        rng = np.random.default_rng(3)
        with factory() as uow:
            people = [uow.reviewers.get_or_create(f"P{n} {uuid4().hex[:8]}").id for n in range(4)]
            uow.commit()
        counts, clusters = [], []
        for case in range(12):
            for cue in range(4):
                truth = rng.random() < 0.4
                tally = [0, 0]
                for who in people[: int(rng.integers(0, 5))]:
                    word = truth if rng.random() < 0.8 else not truth
                    tally[int(word)] += 1
                    value: VerdictValue = "spurious" if word else "correct"
                    said(factory, world, who, case, cue, value, MONDAY)
                counts.append(tally)
                clusters.append(case)
        with factory(read_only=True) as uow:
            (sums,) = uow.home.agreement(world.project.id, "month")
        reference = krippendorff(np.array(counts), cluster_I=np.array(clusters))
        found = alpha(sums)
        assert found.value == pytest.approx(reference.value)
        assert reference.analytic is not None
        assert found.low == pytest.approx(reference.analytic[0], abs=0.08)
        assert found.high == pytest.approx(reference.analytic[1], abs=0.08)

    def test_where_it_is_not_defined(self) -> None:
        empty = PairSums(date(2026, 3, 1), 0, 0, *[0.0] * 9)
        assert alpha(empty).value is None
        alike = PairSums(date(2026, 3, 1), 2, 2, 0.0, 4.0, 0.0, 0.0, 8.0, 0.0, 0.0, 0.0, 0.0)
        assert alpha(alike).value is None  # only one word was ever used
        lone = PairSums(date(2026, 3, 1), 2, 1, 0.0, 2.0, 2.0, 0.0, 4.0, 4.0, 0.0, 0.0, 4.0)
        assert (alpha(lone).value, alpha(lone).low) == (1.0, None)


class TestSpurious:
    def test_the_share_and_its_sums(self, factory: UnitOfWorkFactory, told: World) -> None:
        with factory(read_only=True) as uow:
            sums = uow.home.spurious_share(told.project.id)
        # case 0: spurious, correct, spurious, spurious; case 1: correct; case 2: taken back
        assert (sums.cases, sums.hits, sums.total) == (2, 3, 5)
        assert (sums.hits_hits, sums.hits_total, sums.total_total) == (9.0, 12.0, 17.0)
        low, high = ratio_interval(sums)
        assert low == pytest.approx(0.6 - 1.959964 * (2 * 0.72) ** 0.5 / 5)
        assert high == 1.0  # held within [0, 1]

    def test_no_interval_of_one_case(self) -> None:
        assert ratio_interval(ShareSums(1, 1, 2, 1.0, 2.0, 4.0)) == (None, None)

    def test_by_concept_and_decided_class(self, factory: UnitOfWorkFactory, told: World) -> None:
        with factory(read_only=True) as uow:
            ids = uow.home.most_spurious(told.project.id, told.version.dictionary_hash, 5)
            rows = uow.home.by_class(ids)
            named = uow.home.named(told.project.id, told.version.dictionary_hash)
        assert ids == (told.cues[0][0].concept_id, told.cues[0][1].concept_id)
        counts = {row.concept_id: (row.class_name, row.correct, row.spurious) for row in rows}
        assert counts == {ids[0]: ("melanoma", 1, 2), ids[1]: ("melanoma", 1, 1)}
        assert named == (2, 0)

    def test_a_name_that_a_person_gave(self, factory: UnitOfWorkFactory, told: World) -> None:
        with factory() as uow:
            uow.concepts.add_name(
                id=new_id(),
                concept_id=told.cues[0][0].concept_id,
                name="ruler",
                based_on=0,
                reviewer_id=told.ada.id,
            )
            uow.commit()
        with factory(read_only=True) as uow:
            assert uow.home.named(told.project.id, told.version.dictionary_hash) == (2, 1)


class TestQueue:
    def test_health(self, factory: UnitOfWorkFactory, told: World) -> None:
        now = utc_now()
        ada, ben, cases = told.ada.id, told.ben.id, told.cases
        with factory() as uow:
            uow.queue.claim(case_id=cases[2].id, reviewer_id=ada, seconds=600, now=now)
            uow.queue.mark(id=new_id(), case_id=cases[1].id, reviewer_id=ada, kind="escalate")
            uow.queue.mark(id=new_id(), case_id=cases[0].id, reviewer_id=ben, kind="flag")
            uow.queue.mark(id=new_id(), case_id=cases[2].id, reviewer_id=ben, kind="skip")
            uow.queue.mark(id=new_id(), case_id=cases[0].id, reviewer_id=ada, kind="resolve")
            uow.commit()
        with factory(read_only=True) as uow:
            found = uow.home_queue.health(told.version.id, now)
            later = uow.home_queue.health(told.version.id, now + timedelta(minutes=11))
        assert (found.total, found.done, found.begun) == (3, 2, 0)
        assert (found.held, found.stale) == (1, 0)
        assert (later.held, later.stale) == (0, 1)
        assert (found.flagged, found.escalated, found.skipped) == (0, 1, 1)
        assert found.oldest_case == cases[1].id

    def test_load(self, factory: UnitOfWorkFactory, told: World) -> None:
        ada, ben, cases = told.ada.id, told.ben.id, told.cases
        with factory() as uow:
            for case in (cases[0], cases[2]):
                uow.queue.assign(
                    id=new_id(), case_id=case.id, assignee_id=ada, by_id=ben, assigned=True
                )
            uow.commit()
        with factory(read_only=True) as uow:
            rows = uow.home_queue.load(told.project.id, told.version.id, utc_now())
        found = {row.reviewer_id: row for row in rows}
        assert set(found) == {ada, ben}
        assert (found[ada].assigned, found[ada].open, found[ada].done) == (2, 1, 2)
        assert (found[ben].assigned, found[ben].done) == (0, 2)
        assert found[ben].last == MONDAY + timedelta(days=8)

    def test_pace(self, factory: UnitOfWorkFactory, told: World) -> None:
        with factory(read_only=True) as uow:
            times = uow.home.pace(told.project.id, told.ada.id, 3)
        assert times[0] == MONDAY + timedelta(days=1)
        assert len(times) == 3


def test_the_stamp_moves_with_words_and_lines(factory: UnitOfWorkFactory, world: World) -> None:
    with factory(read_only=True) as uow:
        before = uow.home.stamp(world.project.id)
    said(factory, world, world.ada.id, 0, 0, "correct", MONDAY)
    with factory() as uow:
        after = uow.home.stamp(world.project.id)
        uow.audit.append(actor="Ada", action="x", entity="project", entity_id=world.project.id)
        uow.commit()
    with factory(read_only=True) as uow:
        assert before != after != uow.home.stamp(world.project.id)
