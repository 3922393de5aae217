"""What a report says, against small worlds that are counted by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import ConfigError, InsightError
from dashboard.services.overlays import OUTLINE, overlay
from dashboard.services.report_plain import plain
from dashboard.services.report_scope import ReportScope
from dashboard.services.tables import quote_cell, unquote_cell
from dashboard.viewmodels.report_content import CaseContent, ReportContent
from db.errors import InvalidValue, NotFound
from db.records import ReviewerRecord, new_id
from tests.integration.services.world import RULER, World, make_world, reviewer

NASTY = '=HYPERLINK("http://x")<script>alert(1)</script>'
WHOLE = ReportScope()


@dataclass(frozen=True)
class Told:
    """A world with its people's words, counted by hand.

    Of the queue's first four cases: Ada calls the ruler spurious in the first three and another cue
    of the first correct; Ben calls the ruler correct in the first and spurious in the second. Ada
    agrees with the first case's decision, Ben gives the second another class.
    """

    world: World
    ada: str
    ben: str
    cases: tuple[str, ...]

    def content(self, scope: ReportScope = WHOLE, person: str | None = None) -> ReportContent:
        who = None if person is None else self.record(person)
        return self.world.services.reports.content(self.world.project_id, scope, who)

    def told(self, scope: ReportScope = WHOLE, person: str | None = None) -> list[CaseContent]:
        who = None if person is None else self.record(person)
        return list(self.world.services.reports.cases(self.world.project_id, scope, who))

    def record(self, reviewer_id: str) -> ReviewerRecord:
        return self.world.services.reports.person(reviewer_id)


def _say(world: World, who: str, case: str, concept: int | None, value: str, comment: str) -> None:
    view = world.services.review.case(world.project_id, case, who)
    cue = next(c for c in view.cues if (c.concept == RULER) == (concept == RULER))
    world.services.review.give_verdict(
        id=new_id(), cue_id=cue.id, reviewer_id=who, value=value, based_on=0, comment=comment
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    torch.set_num_threads(1)
    splits = {"train": 40, "val": 10, "test": 24}
    world = make_world(tmp_path_factory.mktemp("reports") / "ws", splits=splits)
    ada, ben = reviewer(world, "Ada"), reviewer(world, "Ben")
    rows = world.services.review.queue(world.project_id, ada)
    views = (world.services.review.case(world.project_id, row.case_id, ada) for row in rows)
    with_ruler = (v.id for v in views if any(cue.concept == RULER for cue in v.cues))
    cases = tuple(islice(with_ruler, 4))  # the others stay unopened
    for case in cases[:3]:
        _say(world, ada, case, RULER, "spurious", "")
    _say(world, ada, cases[0], None, "correct", NASTY)
    _say(world, ben, cases[0], RULER, "correct", "")
    _say(world, ben, cases[1], RULER, "spurious", "")
    world.services.review.assess(
        id=new_id(), case_id=cases[0], reviewer_id=ada, agree=True, corrected_label=None,
        comment="", based_on=0, ratings={"clarity": 4},
    )  # fmt: skip
    world.services.review.assess(
        id=new_id(), case_id=cases[1], reviewer_id=ben, agree=False, corrected_label="naevus",
        comment="", based_on=0,
    )  # fmt: skip
    row = next(r for r in world.services.concepts.list(world.project_id) if r.concept == RULER)
    world.services.concepts.rename(
        id=new_id(), concept_id=row.id, reviewer_id=ada, name=NASTY, reason="=1+1", based_on=0
    )
    return Told(world, ada, ben, cases)


def value(content: ReportContent, key: str) -> float | None:
    figure = content.figure(key)
    assert figure is not None, key
    return figure.value


class TestHeadline:
    def test_counts(self, told: Told) -> None:
        found = told.content()
        assert (value(found, "cases"), value(found, "reviewed")) == (74, 3)
        assert value(found, "coverage") == pytest.approx(3 / 74)
        assert value(found, "verdicts") == 6
        assert value(found, "spurious_share") == pytest.approx(4 / 6)
        assert value(found, "label_agreement") == pytest.approx(1 / 2)
        assert (found.cases, found.case_words) == (74, 3)

    def test_every_estimate_has_an_interval_around_it_and_every_figure_is_explained(
        self, told: Told
    ) -> None:
        found = told.content()
        counts = {"cases", "reviewed", "verdicts", "coverage"}
        for figure in found.headline:
            assert figure.what_is_this
            assert figure.text
            if figure.value is None:
                assert figure.text.startswith("not known: ")
            elif figure.key not in counts:
                assert figure.low is not None, figure.key
                assert figure.high is not None, figure.key
                assert figure.low <= figure.value <= figure.high

    def test_accuracy_and_calibration_are_those_of_the_groups_screen(self, told: Told) -> None:
        found = told.content()
        view = told.world.services.groups.of(told.world.project_id, "label")
        for key, other in (("accuracy", view.overall.accuracy), ("ece", view.overall.ece)):
            figure = found.figure(key)
            assert figure is not None
            assert (figure.value, figure.low, figure.high) == pytest.approx(
                (other.value, other.low, other.high)
            )
        assert value(found, "reliance") == pytest.approx(view.overall.reliance.value)
        worst = min(row.accuracy.value or 0.0 for row in view.rows)
        assert value(found, "worst_group") == pytest.approx(worst)

    def test_held_out_splits_are_marked(self, told: Told) -> None:
        found = {row.split: (row.held_out, row.accuracy.n) for row in told.content().splits}
        assert found == {"train": (False, 40), "val": (False, 10), "test": (True, 24)}

    def test_the_bins_hold_every_case_once(self, told: Told) -> None:
        [reliability] = told.content().calibration
        assert sum(each.n for each in reliability.bins) == 24
        sure = [each for each in reliability.bins if each.n]
        assert all(e.confidence is not None and e.low < e.confidence <= e.high for e in sure)
        gaps = sum(
            e.n * abs((e.accuracy.value or 0) - (e.confidence or 0)) for e in sure
        )  # fmt: skip
        assert reliability.ece.value == pytest.approx(gaps / 24)


class TestReview:
    def test_the_ranking_puts_the_surest_first_with_examples(self, told: Told) -> None:
        first, *others = told.content().spurious
        assert (first.name, first.correct, first.spurious, first.unsure) == (NASTY, 1, 4, 0)
        assert (first.cases, first.people) == (3, 2)
        assert first.share.value == pytest.approx(4 / 5)
        assert {each.case_id for each in first.examples} == set(told.cases[:3])
        assert first.examples[0].people == 2  # both call it spurious in the second case
        assert first.examples[0].case_id == told.cases[1]
        assert all(not other.examples for other in others)
        pictures = told.world.services.reports.pictures(first)
        assert [len(each.map_u8) for each in pictures] == [16, 16, 16]

    def test_agreement_and_what_is_open(self, told: Told) -> None:
        found = told.content()
        assert found.agreement.cues is not None
        assert (found.agreement.cues.items, found.agreement.cues.disputed) == (2, 1)
        assert found.open.disputes_total == 1
        assert found.open.disputes[0].case_id == told.cases[0]
        assert dict(found.open.disputes[0].said) == {"spurious": 1, "correct": 1}
        screen = told.world.services.agreement.view(told.world.project_id)
        assert [c.value for c in found.agreement.cues.overall] == [c.value for c in screen.overall]
        assert [p.alpha.value for p in found.agreement.over_time] == pytest.approx(
            [screen.overall[0].value]
        )

    def test_people_ratings_and_names(self, told: Told) -> None:
        found = told.content()
        assert [(p.name, p.verdicts, p.assessments, p.cases) for p in found.people] == [
            ("Ada", 4, 1, 3), ("Ben", 2, 1, 2),
        ]  # fmt: skip
        clarity = next(each for each in found.ratings if each.key == "clarity")
        assert (clarity.mean.value, clarity.counts) == (4.0, (0, 0, 0, 1, 0))
        [change] = found.names
        assert (change.former, change.name, change.by, change.reason) == (
            "ruler", NASTY, "Ada", "=1+1",
        )  # fmt: skip

    def test_what_was_not_reviewed_is_said_by_class_and_split(self, told: Told) -> None:
        part = told.content().coverage
        assert (part.cases, part.reviewed) == (74, 3)
        by_split = {r.name: (r.cases, r.missing) for r in part.rows if r.kind == "split"}
        assert sum(cases for cases, _ in by_split.values()) == 74
        assert sum(missing for _, missing in by_split.values()) == 71
        assert "71 cases of 74 (95.9 %) were not reviewed by anybody" in part.sentence
        assert part.not_judged == part.concepts - 2
        assert part.sentence in told.content().limits

    def test_where_it_comes_from(self, told: Told) -> None:
        found = told.content()
        rows = {(row.section, row.label): row.value for row in found.provenance}
        assert rows["Model", "Version"] == told.world.version_hash
        assert rows["Images", "Image set"].endswith("(74 files)")
        assert {"Software", "Store", "Feedback"} <= {row.section for row in found.provenance}
        assert any(label == "Audit chain" for _, label in rows)
        assert found.versions[0].what == "made"
        assert found.cover.notice == "synthetic phantom, not for clinical use"


class TestScopes:
    def test_a_person(self, told: Told) -> None:
        found = told.content(ReportScope(reviewer="Ben"))
        assert (value(found, "verdicts"), value(found, "reviewed")) == (2, 2)
        assert len(told.told(ReportScope(reviewer="Ben"))) == found.cases == 2
        assert value(found, "accuracy") == value(told.content(), "accuracy")
        assert found.agreement.cues is not None
        assert found.agreement.cues.items == 2
        words = [v for case in told.told(ReportScope(reviewer="Ben")) for c in case.cues
                 for v in c.verdicts]  # fmt: skip
        assert {word.reviewer for word in words} == {"Ben"}

    def test_a_period(self, told: Told) -> None:
        today = datetime.now(UTC).date()
        day = timedelta(days=1)
        around = told.content(ReportScope(since=today - day, until=today + day))
        assert (value(around, "verdicts"), around.cases) == (6, 3)
        before = told.content(ReportScope(until=today - day * 2))
        assert (value(before, "verdicts"), before.cases) == (0, 0)
        assert before.spurious == ()
        assert value(before, "accuracy") == value(told.content(), "accuracy")

    def test_a_class(self, told: Told) -> None:
        cases = told.told(ReportScope(class_name="naevus"))
        assert all("naevus" in (case.label, case.prediction) for case in cases)
        found = told.content(ReportScope(class_name="naevus"))
        assert found.cases == len(cases)
        held = [c for c in told.told() if c.split == "test"]
        labelled = [c for c in held if c.label == "naevus"]
        share = sum(c.prediction == "naevus" for c in labelled) / len(labelled)
        assert value(found, "sensitivity") == pytest.approx(share)
        assert found.figure("accuracy") is None

    def test_one_case(self, told: Told) -> None:
        found = told.content(ReportScope(case_id=told.cases[0]))
        assert (found.cases, value(found, "verdicts")) == (1, 3)
        assert found.groups == ()
        [case] = told.told(ReportScope(case_id=told.cases[0]))
        assert case.id == told.cases[0]

    def test_a_version_by_the_beginning_of_its_hash(self, told: Told) -> None:
        short = ReportScope(version=told.world.version_hash[:8])
        assert value(told.content(short), "verdicts") == 6
        with pytest.raises(NotFound, match="model version"):
            told.content(ReportScope(version="0000000"))

    def test_combined(self, told: Told) -> None:
        label = next(c.label for c in told.told() if c.id == told.cases[2])
        scope = ReportScope(reviewer="Ada", class_name=label, version=told.world.version_hash[:6])
        assert told.cases[2] in {case.id for case in told.told(scope)}
        assert all(label in (case.label, case.prediction) for case in told.told(scope))

    @pytest.mark.parametrize(
        ("raw", "why"),
        [
            ({"class_name": "unicorn"}, "is not a class"),
            ({"colour": "red"}, "no 'colour'"),
            ({"since": "2026-02-30"}, "a day as"),
            ({"since": "2026-03-02", "until": "2026-03-01"}, "before it begins"),
            ({"version": "../../etc"}, "first 4 or more characters"),
            ({"reviewer": "a\nb"}, "plain text"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(
        self, told: Told, raw: dict[str, str], why: str
    ) -> None:
        with pytest.raises(ConfigError, match=why):
            told.content(ReportScope.parse(raw))

    def test_what_is_not_there_is_named(self, told: Told) -> None:
        with pytest.raises(NotFound, match="Carl"):
            told.content(ReportScope(reviewer="Carl"))
        with pytest.raises(InvalidValue, match="not a valid id"):
            ReportScope.parse({"case_id": "17"})
        with pytest.raises(NotFound, match="case"):
            told.content(ReportScope(case_id=new_id()))

    def test_a_kept_scope_names_people_by_id(self, told: Told) -> None:
        found = told.world.services.reports.resolve(
            told.world.project_id, ReportScope(reviewer="Ada")
        )
        kept = found.as_record()
        assert kept == {"reviewer": f"person:{told.ada}"}
        again = ReportScope.parse(kept)
        assert value(told.content(again), "verdicts") == 4
        assert told.content(again).cover.scope_sentence == found.sentence
        assert "Ada" in found.sentence


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "version": st.text("0123456789abcdef", min_size=4, max_size=64),
            "since": st.dates(max_value=date(2030, 1, 1)),
            "class_name": st.text(min_size=1, max_size=20),
            "reviewer": st.text(min_size=1, max_size=20),
        },
    )
)
def test_a_scope_comes_back_from_its_text(raw: dict[str, object]) -> None:
    try:
        scope = ReportScope.parse(raw)
    except ConfigError:
        return
    assert ReportScope.parse(scope.as_dict()) == scope
    assert scope.sentence().endswith(".")


class TestCases:
    def test_the_picture_the_reason_and_the_words(self, told: Told) -> None:
        case = next(each for each in told.told() if each.id == told.cases[0])
        view = told.world.services.review.case(told.world.project_id, case.id, told.ada)
        assert case.narrative == view.narrative
        assert NASTY in case.narrative
        assert [c.letter for c in case.cues] == [c.letter for c in view.cues]
        assert (case.trust, case.reconstruction) == (view.trust, view.reconstruction)
        ruler = next(cue for cue in case.cues if cue.concept == RULER)
        assert [(v.reviewer, v.value) for v in ruler.verdicts] == [
            ("Ada", "spurious"), ("Ben", "correct"),
        ]  # fmt: skip
        assert [(a.reviewer, a.agree, a.ratings) for a in case.assessments] == [
            ("Ada", True, (("clarity", 4),))
        ]
        assert any("calibrated probability" in each for each in case.uncertainty)
        assert any("Confidence in the explanation" in each for each in case.uncertainty)

    def test_a_case_that_nobody_opened_says_so(self, told: Told) -> None:
        bare = next(each for each in told.told() if not each.explained)
        assert (bare.cues, bare.narrative, bare.trust) == ((), "", None)
        assert "Nobody has opened this case yet" in bare.uncertainty[-1]

    def test_the_order_is_the_queues_and_does_not_change(self, told: Told) -> None:
        with told.world.services.uow(read_only=True) as uow:
            version = uow.versions.active(told.world.project_id)
            assert version is not None
            queue = [case.id for case in uow.cases.list(version.id)]
        assert [case.id for case in told.told()] == queue
        assert [case.id for case in told.told()] == queue

    def test_it_is_plain_json_without_bytes(self, told: Told) -> None:
        body = json.loads(json.dumps(plain(told.content()), allow_nan=False))
        assert (body["format"], body["schema"]) == ("insight-report", 2)
        assert body["cover"]["generated_at"].endswith("+00:00")
        case = json.loads(json.dumps(plain(told.told()[0]), allow_nan=False))
        assert "map_u8" not in json.dumps(case)
        with pytest.raises(TypeError, match="no place in a report"):
            plain(object())


class TestEmpty:
    def test_a_project_without_anything_gives_a_report_that_says_so(self, tmp_path: Path) -> None:
        world = make_world(tmp_path / "ws", splits={"train": 8, "test": 4})
        with world.services.uow() as uow:
            project = uow.projects.add("bare", str(tmp_path), classes=())
            uow.commit()
        found = world.services.reports.content(project.id, WHOLE)
        assert (found.cases, found.figure("coverage").text) == (0, "not known: there are no cases")
        assert (found.spurious, found.runs, found.versions, found.groups) == ((), (), (), ())
        assert found.cover.version is None
        assert list(world.services.reports.cases(project.id, WHOLE)) == []
        assert json.dumps(plain(found), allow_nan=False)

    def test_a_project_whose_images_are_all_held_out(self, tmp_path: Path) -> None:
        world = make_world(tmp_path / "ws", splits={"train": 8, "test": 4})
        with world.services.uow() as uow:
            for image in uow.images.list(world.project_id):
                uow.images.update(
                    image.id, label=image.label, split="test", group_name=None, mask_path=None
                )
            uow.commit()
        found = world.services.reports.content(world.project_id, WHOLE)
        assert found.figure("accuracy").n == 12

    def test_a_version_without_a_label_or_a_word(self, tmp_path: Path) -> None:
        world = make_world(tmp_path / "ws", splits={"train": 8, "test": 4})
        with world.services.uow() as uow:
            for image in uow.images.list(world.project_id):
                uow.images.update(
                    image.id, label=None, split=image.split, group_name=None, mask_path=None
                )
            uow.commit()
        found = world.services.reports.content(world.project_id, WHOLE)
        assert found.figure("accuracy").value is None
        assert "no case has a label" in found.figure("accuracy").text
        assert found.groups == ()
        assert found.groups_note
        assert len(list(world.services.reports.cases(world.project_id, WHOLE))) == 12


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Ada leads a blind review; Ben has judged two cases and committed to one of them."""
    world = make_world(tmp_path_factory.mktemp("blind") / "ws",
                       splits={"train": 20, "test": 8})  # fmt: skip
    ada, ben = reviewer(world, "Ada"), reviewer(world, "Ben")
    rows = world.services.review.queue(world.project_id, ada)[:3]
    for row in rows:
        case = world.services.review.case(world.project_id, row.case_id, ada)
        for who in (ada, ben):
            world.services.review.give_verdict(
                id=new_id(), cue_id=case.cues[0].id, reviewer_id=who, value="spurious",
                based_on=0,
            )  # fmt: skip
    world.services.settings_of.set_role(
        id=new_id(), project_id=world.project_id, reviewer_id=ada, role="lead", by_id=ada,
        based_on=0,
    )  # fmt: skip
    world.services.settings_of.save(
        id=new_id(), project_id=world.project_id, reviewer_id=ada,
        changes={"blind": ["labels", "peers"]}, based_on=0,
    )  # fmt: skip
    world.services.review.assess(
        id=new_id(), case_id=rows[0].case_id, reviewer_id=ben, agree=True,
        corrected_label=None, comment="", based_on=0,
    )  # fmt: skip
    return Told(world, ada, ben, tuple(row.case_id for row in rows))


class TestBlind:
    def test_an_expert_gets_own_words_on_cases_where_they_committed(self, blind: Told) -> None:
        found = blind.content(person=blind.ben)
        assert (value(found, "verdicts"), found.cases) == (1, 1)
        assert [p.name for p in found.people] == ["Ben"]
        assert found.agreement.cues is None
        assert found.open.disputes == ()
        [case] = blind.told(person=blind.ben)
        assert case.id == blind.cases[0]
        assert {v.reviewer for cue in case.cues for v in cue.verdicts} == {"Ben"}
        with pytest.raises(InsightError, match="reviewed blind"):
            blind.content(ReportScope(reviewer="Ada"), blind.ben)

    def test_a_lead_and_a_schedule_get_everything(self, blind: Told) -> None:
        for who in (blind.ada, None):
            found = blind.content(person=who)
            assert (value(found, "verdicts"), len(found.people)) == (6, 2)

    def test_files_of_others_are_not_listed_for_an_expert(self, blind: Told) -> None:
        making = blind.world.services.report_making
        project = blind.world.project_id
        [row] = making.make(
            id=new_id(), project_id=project, reviewer_id=blind.ada, scope=WHOLE, formats=["html"]
        )
        assert [each.id for each in making.files(project, blind.ada)] == [row.id]
        assert making.files(project, blind.ben) == ()
        with pytest.raises(NotFound):
            making.read(row.id, blind.ben)
        offered = {each.key for each in making.form(project, WHOLE, blind.ben).formats}
        assert "html" in offered
        assert "archive" not in offered
        choices = making.choices(project, blind.ben)
        assert (choices.blind, choices.people) == (True, ("Ben",))


def test_a_content_is_kept_until_something_is_said(tmp_path: Path) -> None:
    world = make_world(tmp_path / "ws", splits={"train": 12, "test": 6})
    ada = reviewer(world)
    first = world.services.reports.content(world.project_id, WHOLE)
    assert world.services.reports.content(world.project_id, WHOLE) is first
    row = world.services.review.queue(world.project_id, ada)[0]
    case = world.services.review.case(world.project_id, row.case_id, ada)
    world.services.review.give_verdict(
        id=new_id(), cue_id=case.cues[0].id, reviewer_id=ada, value="spurious", based_on=0
    )
    later = world.services.reports.content(world.project_id, WHOLE)
    assert value(later, "verdicts") == 1
    assert value(replace(first), "verdicts") == 0


@pytest.mark.parametrize("text", ["=1", "'=1", "''-x", "plain", "'plain", "", "@a", "\tb", "-"])
def test_quoting_comes_back_unchanged(text: str) -> None:
    quoted = quote_cell(text)
    assert unquote_cell(quoted) == text
    assert not quoted.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_the_overlay_colours_the_map_and_outlines_the_region() -> None:
    grey = np.full((40, 40, 3), 128, dtype=np.uint8)
    region = np.zeros((4, 4), dtype=bool)
    region[0, 0] = True
    drawn = overlay(grey, bytes([255] + [0] * 15), np.packbits(region).tobytes(), (4, 4))
    assert tuple(drawn[0, 0]) == OUTLINE
    assert drawn[4, 4, 0] > 150 > 110 > drawn[4, 4, 2]
    assert tuple(drawn[35, 35]) == (128, 128, 128)
