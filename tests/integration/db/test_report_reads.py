"""What a report counts, against worlds that are counted by hand, on both back ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert

from db.models import Assessment
from db.records import NewCase, new_id
from db.report_records import CaseWords, Selection, SharedWord
from db.unit_of_work import UnitOfWorkFactory
from tests.integration.db.builders import World, make_world, new_version
from tests.integration.db.dated import said


def _on(month: int, day: int) -> datetime:
    return datetime(2026, month, day, 12, tzinfo=UTC)


def assessed(factory: UnitOfWorkFactory, world: World, who: str, case: int, at: datetime) -> None:
    row = {
        "id": new_id(), "case_id": world.cases[case].id, "project_id": world.project.id,
        "reviewer_id": who, "agree": True, "corrected_label": None, "ratings": {"clarity": 4},
        "comment": "", "blank": False, "blind": False, "undoes": None, "revision": 1,
        "created_at": at,
    }  # fmt: skip
    with factory.engine.begin() as connection:
        connection.execute(insert(Assessment), [row])


@pytest.fixture
def told(factory: UnitOfWorkFactory) -> World:
    """Ada and Ben in March and April; in April Ada takes a word of March back."""
    world = make_world(factory)
    ada, ben = world.ada.id, world.ben.id
    said(factory, world, ada, 0, 0, "spurious", _on(3, 1))
    said(factory, world, ada, 0, 1, "correct", _on(3, 10))
    said(factory, world, ben, 0, 0, "correct", _on(3, 20))
    said(factory, world, ada, 0, 0, "withdrawn", _on(4, 2), revision=2)
    said(factory, world, ben, 1, 0, "spurious", _on(4, 5))
    assessed(factory, world, ben, 2, _on(4, 6))
    with factory() as uow:
        uow.queue.recount(world.version.id)  # counters that the repositories keep at every write
        uow.commit()
    return world


def whole(world: World) -> Selection:
    return Selection(world.project.id, decides_id=world.version.id)


def march(world: World) -> Selection:
    return replace(whole(world), since=datetime(2026, 3, 1, tzinfo=UTC),
                   until=datetime(2026, 4, 1, tzinfo=UTC))  # fmt: skip


class TestWords:
    def test_the_whole_project(self, factory: UnitOfWorkFactory, told: World) -> None:
        ids = [case.id for case in told.cases]
        with factory(read_only=True) as uow:
            read, sel = uow.report, whole(told)
            assert read.case_ids(sel) == tuple(ids)
            assert (read.case_total(sel), read.spoken_total(sel)) == (3, 3)
            assert set(read.by_case(sel)) == {
                CaseWords(ids[0], 2, 0, 0), CaseWords(ids[1], 0, 1, 0),
            }  # fmt: skip
            assert read.span(sel) == (_on(3, 10), _on(4, 6))
            found = [(p.reviewer[:3], p.verdicts, p.assessments, p.cases) for p in read.people(sel)]
            assert found == [("Ada", 1, 0, 1), ("Ben", 2, 1, 3)]

    def test_a_month_stays_as_it_stood_at_its_end(
        self, factory: UnitOfWorkFactory, told: World
    ) -> None:
        first = told.cases[0].id
        with factory(read_only=True) as uow:
            read, sel = uow.report, march(told)
            assert read.by_case(sel) == (CaseWords(first, 2, 1, 0),)
            assert read.case_ids(sel) == (first,)
            assert tuple(read.shared_cues(sel)) == (
                SharedWord(told.cues[0][0].id, first, told.cues[0][0].concept_id,
                           told.ada.name, "spurious"),
                SharedWord(told.cues[0][0].id, first, told.cues[0][0].concept_id,
                           told.ben.name, "correct"),
            )  # fmt: skip
            april = replace(sel, since=sel.until, until=None)
            assert read.by_case(april) == (CaseWords(told.cases[1].id, 0, 1, 0),)
            assert read.spoken_total(april) == 2

    def test_a_person(self, factory: UnitOfWorkFactory, told: World) -> None:
        with factory(read_only=True) as uow:
            ada = replace(whole(told), reviewer_id=told.ada.id)
            assert uow.report.by_case(ada) == (CaseWords(told.cases[0].id, 1, 0, 0),)
            assert uow.report.case_ids(ada) == (told.cases[0].id,)
            assert list(uow.report.shared_cues(whole(told))) == []  # Ada took hers back
            both = uow.report.shared_cues(march(told), of=told.ben.id)
            assert len(list(both)) == 2
            assert list(uow.report.shared_cues(march(told), of=new_id())) == []

    def test_a_class_is_what_is_labelled_or_decided_so(
        self, factory: UnitOfWorkFactory, told: World
    ) -> None:
        with factory(read_only=True) as uow:
            naevus = replace(whole(told), class_name="naevus")  # one image is labelled so
            assert uow.report.case_ids(naevus) == (told.cases[1].id,)
            assert uow.report.by_case(naevus) == (CaseWords(told.cases[1].id, 0, 1, 0),)
            melanoma = replace(whole(told), class_name="melanoma")  # all are decided so
            assert uow.report.case_total(melanoma) == 3

    def test_one_case(self, factory: UnitOfWorkFactory, told: World) -> None:
        with factory(read_only=True) as uow:
            sel = replace(whole(told), case_id=told.cases[1].id, version_id=told.version.id)
            assert uow.report.case_ids(sel) == (told.cases[1].id,)
            assert uow.report.by_case(sel) == (CaseWords(told.cases[1].id, 0, 1, 0),)

    def test_committed_tells_only_where_the_own_word_is_in(
        self, factory: UnitOfWorkFactory, told: World
    ) -> None:
        with factory(read_only=True) as uow:
            sel = replace(whole(told), reviewer_id=told.ben.id, committed=True)
            assert uow.report.case_ids(sel) == (told.cases[2].id,)
            assert uow.report.by_case(sel) == ()
            assert uow.report.parts(sel, [told.cases[0].id]) == {}


class TestFigures:
    def test_concepts_and_their_examples(self, factory: UnitOfWorkFactory, told: World) -> None:
        with factory(read_only=True) as uow:
            first, second = uow.report.by_concept(whole(told))
            assert (first.number, first.correct, first.spurious, first.cases) == (0, 1, 1, 2)
            assert (first.people, first.name) == (1, "sign 0")
            assert first.mean_causal_effect == pytest.approx(1.0)
            assert (second.number, second.correct, second.people) == (1, 1, 1)
            assert second.mean_causal_effect == pytest.approx(0.9)
            [cue] = uow.report.spurious_cues(whole(told), [first.concept_id], 3)
            assert (cue.cue_id, cue.people) == (told.cues[1][0].id, 1)
            shown = uow.report.shown_concepts(whole(told))
            assert [(c.number, c.cues) for c in shown] == [(0, 3), (1, 3), (2, 3), (3, 3)]
            assert [c.largest_effect for c in shown] == pytest.approx([1.0, 0.9, 0.8, 0.7])

    def test_coverage(self, factory: UnitOfWorkFactory, told: World) -> None:
        with factory(read_only=True) as uow:
            rows = uow.report.coverage(march(told))
            found = {(row.label, row.split): (row.cases, row.reviewed) for row in rows}
            assert found == {
                ("melanoma", "test"): (1, 1), ("naevus", "train"): (1, 0),
                ("melanoma", "train"): (1, 0),
            }  # fmt: skip
            assert sum(row.reviewed for row in uow.report.coverage(whole(told))) == 3
            assert sum(row.explained for row in rows) == 0

    def test_words_on_whole_cases(self, factory: UnitOfWorkFactory, told: World) -> None:
        with factory(read_only=True) as uow:
            [row] = uow.report.assessed(whole(told))
            assert (row.case_id, row.agree, row.ratings) == (told.cases[2].id, True, {"clarity": 4})
            assert uow.report.assessed(march(told)) == ()

    def test_a_new_version_does_not_undo_a_review(
        self, factory: UnitOfWorkFactory, told: World
    ) -> None:
        with factory() as uow:
            later = uow.versions.add(told.project.id, new_version("w" * 64, told.version.hash))
            new = [
                NewCase(case.image_id, "naevus", 0.6, 0.5, 0.0, (("naevus", 0.6),), order)
                for order, case in enumerate(told.cases)
            ]
            uow.cases.add_many(later.id, new)
            uow.commit()
        with factory(read_only=True) as uow:
            sel = Selection(told.project.id, decides_id=later.id)
            own = [case.id for case in uow.cases.list(later.id)]
            judged = {case.id for case in told.cases}
            assert uow.report.case_ids(sel)[:3] == tuple(own)
            assert set(uow.report.case_ids(sel)[3:]) == judged
            assert sum(row.reviewed for row in uow.report.coverage(sel)) == 3
            named = replace(sel, version_id=later.id)
            assert uow.report.case_ids(named) == tuple(own)
            assert sum(row.reviewed for row in uow.report.coverage(named)) == 0
            assert uow.report.by_case(named) == ()


def test_parts_of_a_page(factory: UnitOfWorkFactory, told: World) -> None:
    ids = [case.id for case in told.cases]
    with factory() as uow:
        uow.notes.add(
            id=new_id(), project_id=told.project.id, reviewer_id=told.ada.id, kind="note",
            text="look again", payload={}, case_id=ids[1],
        )  # fmt: skip
        uow.drawings.draw(
            id=new_id(), case_id=ids[0], reviewer_id=told.ada.id, kind="missed", shape="box",
            points=((0.1, 0.1), (0.4, 0.4)), note="here", cue_id=None,
        )  # fmt: skip
        uow.queue.mark(
            id=new_id(), case_id=ids[2], reviewer_id=told.ada.id, kind="flag", reason="odd"
        )
        uow.commit()
    with factory(read_only=True) as uow:
        found = uow.report.parts(whole(told), ids)
        assert [v.value for v in found[ids[0]].verdicts] == ["correct", "correct"]
        assert [d.note for d in found[ids[0]].drawings] == ["here"]
        assert [n.text for n in found[ids[1]].notes] == ["look again"]
        assert [a.agree for a in found[ids[2]].assessments] == [True]
        total, [mark] = uow.report.open_marks(whole(told), 10)
        assert (total, mark.kind, mark.case_id, mark.reason) == (1, "flag", ids[2], "odd")
        assert [case.id for case in uow.report.cases([ids[2], ids[0]])] == [ids[2], ids[0]]
        early = uow.report.parts(march(told), ids)
        assert [v.value for v in early[ids[0]].verdicts] == ["spurious", "correct", "correct"]
        assert early.keys() == {ids[0]}


def test_an_empty_project(factory: UnitOfWorkFactory) -> None:
    with factory() as uow:
        project = uow.projects.add(f"empty {new_id()}", "images", classes=())
        sel = Selection(project.id)
        read = uow.report
        assert read.case_ids(sel) == read.by_case(sel) == read.by_concept(sel) == ()
        assert read.coverage(sel) == read.shown_concepts(sel) == read.people(sel) == ()
        assert read.span(sel) == (None, None)
        assert read.image_hashes(project.id) == ()
        assert read.schema_revision()
