"""Diagnose, validate and discover over a tiny project whose shortcut is known."""

from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError, InsightError
from db.errors import NotFound, StaleWrite
from db.records import new_id
from tests.integration.services.world import CLASSES, RULER, World, judge, make_world, reviewer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    splits = {"train": 40, "test": 20, "reversed": 30}
    return make_world(tmp_path_factory.mktemp("modes") / "ws", splits=splits)


def concept(world: World, number: int) -> str:
    with world.services.uow(read_only=True) as uow:
        version = uow.versions.active(world.project_id)
        assert version is not None
        return uow.concepts.ids(world.project_id, version.dictionary_hash)[number]


class TestDiagnose:
    def test_the_shortcut_is_what_pulled(self, world: World) -> None:
        """In the reversed images the ruler goes with naevus: that is where it errs."""
        diagnosing = world.services.diagnosing
        view = diagnosing.trouble(world.project_id, margin=0.2)
        assert view.errors > 3
        assert view.labelled == 90
        assert sum(row.split == "reversed" for row in view.rows[: view.errors]) > view.errors / 2
        wrong = next(r for r in view.rows if (r.label, r.prediction) == ("naevus", "melanoma"))
        found = diagnosing.diagnose(wrong.case_id, margin=0.2)
        assert (found.outcome, found.rival) == ("error", "naevus")
        assert found.pulls[0].name == "ruler"

    def test_the_parts_add_up_to_the_lead(self, world: World) -> None:
        view = world.services.diagnosing.trouble(world.project_id, margin=0.2)
        for row in view.rows[:6]:
            found = world.services.diagnosing.diagnose(row.case_id, margin=0.2)
            parts = sum(pull.pull for pull in found.pulls) + found.other + found.bias
            assert parts == pytest.approx(found.lead)
            assert found.lead > 0
            with world.services.uow(read_only=True) as uow:
                case = uow.cases.get(row.case_id)
                version = uow.versions.get(case.version_id)
            head = world.services.engines.bundle(version.folder).head
            p = dict(case.probabilities)
            odds = np.log(p[found.prediction]) - np.log(p[found.rival])
            assert found.lead == pytest.approx(head.temperature * odds, abs=1e-5)

    def test_ways_to_the_rival_and_their_test_on_the_tokens(self, world: World) -> None:
        view = world.services.diagnosing.trouble(world.project_id, margin=0.2)
        ways = []
        for row in view.rows[: view.errors]:
            found = world.services.diagnosing.diagnose(row.case_id, margin=0.2)
            for path in found.paths:
                assert path.lead > 0
                assert [s.gain for s in path.steps] == sorted(s.gain for s in path.steps)[::-1]
                ways.append(path.way)
                if path.way == "removed":
                    assert path.reread in CLASSES
                    assert all(step.after == 0 for step in path.steps)
        assert "removed" in ways

    def test_similar_cases_are_labelled_and_decided_as_the_rival(self, world: World) -> None:
        view = world.services.diagnosing.trouble(world.project_id, margin=0.2)
        found = world.services.diagnosing.diagnose(view.rows[0].case_id, margin=0.2)
        assert found.alike
        assert {(one.label, one.prediction) for one in found.alike} == {(found.rival,) * 2}
        assert found.case_id not in {one.case_id for one in found.alike}
        likeness = [one.likeness for one in found.alike]
        assert likeness == sorted(likeness, reverse=True)
        assert all(0 <= value <= 1 for value in likeness)
        assert all(one.differences for one in found.alike)

    def test_unknown_case_and_project_without_version(self, world: World) -> None:
        with pytest.raises(NotFound):
            world.services.diagnosing.diagnose(new_id(), margin=0.2)
        with world.services.uow() as uow:
            empty = uow.projects.add("empty", "images", classes=CLASSES)
            uow.commit()
        with pytest.raises(InsightError, match="no model version yet"):
            world.services.diagnosing.trouble(empty.id, margin=0.2)

    def test_without_codes_the_stored_explanation_serves(self, tmp_path: Path) -> None:
        """Same pulls from the case's tree as from the codes of all images."""
        own = make_world(tmp_path / "ws", splits={"train": 30, "test": 6})
        me = reviewer(own)
        case = own.services.review.case(own.project_id, None, me)
        before = own.services.diagnosing.diagnose(case.id, margin=0.2)
        for path in (own.settings.workspace / "projects").rglob("tokens/**/*"):
            if path.is_file():
                path.unlink()
        from dashboard.bootstrap import build

        after = build(own.settings).diagnosing.diagnose(case.id, margin=0.2)
        assert after.lead == pytest.approx(before.lead, abs=1e-5)
        assert [p.name for p in after.pulls] == [p.name for p in before.pulls]
        assert after.alike == ()
        assert "codes of all images" in after.note


class TestValidate:
    def test_reasons_of_a_class(self, world: World) -> None:
        view = world.services.validating.view(world.project_id, "melanoma", reviewer(world))
        assert view.rows[0].name == "ruler"
        assert view.rows[0].direction > 0
        assert [row.share for row in view.rows] == sorted(r.share for r in view.rows)[::-1]
        assert sum(row.share for row in view.rows) + view.rest == pytest.approx(1)
        assert view.covered == 0
        assert view.fragile_count == 0
        assert 0 < view.right <= view.labelled == view.cases

    def test_a_word_counts_and_finds_the_decisions_that_lean_on_it(self, tmp_path: Path) -> None:
        world = make_world(tmp_path / "ws", splits={"train": 40, "test": 20})
        me, services = reviewer(world), world.services
        key = {"class_name": "melanoma", "reviewer_id": me, "concept_id": concept(world, RULER)}
        id = new_id()
        word = services.validating.judge(id=id, value="spurious", reason="artefact", based_on=0,
                                         **key)  # fmt: skip
        again = services.validating.judge(id=id, value="spurious", reason="artefact", based_on=0,
                                          **key)  # fmt: skip
        assert again == word
        view = services.validating.view(world.project_id, "melanoma", me)
        assert view.rows[0].mine == word
        assert view.rows[0].word == "spurious"
        assert dict(view.judged)["spurious"] == pytest.approx(view.rows[0].share)
        assert 0 < view.fragile_count <= view.right
        assert {one.without for one in view.fragile} == {"naevus"}
        with pytest.raises(StaleWrite):
            services.validating.judge(id=new_id(), value="correct", based_on=0, **key)
        services.validating.judge(id=new_id(), value="withdrawn", based_on=1, **key)
        back = services.validating.view(world.project_id, "melanoma", me)
        assert back.rows[0].mine is not None  # its revision is what the next one is based on
        assert (back.rows[0].mine.revision, back.rows[0].word) == (2, None)
        with services.uow(read_only=True) as uow:
            given = uow.audit.list(entity="class verdict")
        assert [entry.action for entry in given] == ["class verdict.given"] * 2

    def test_what_others_said_shows_once_my_word_is_in(self, tmp_path: Path) -> None:
        world = make_world(tmp_path / "ws", splits={"train": 40, "test": 20})
        me, other, services = reviewer(world), reviewer(world, "Ben"), world.services
        judge(world, other, count=8)
        key = {"class_name": "melanoma", "concept_id": concept(world, RULER), "based_on": 0}
        services.validating.judge(id=new_id(), reviewer_id=other, value="unsure", **key)
        row = services.validating.view(world.project_id, "melanoma", me).rows[0]
        assert (row.others, row.correct, row.spurious) == ((), None, None)
        services.validating.judge(id=new_id(), reviewer_id=me, value="spurious", **key)
        view = services.validating.view(world.project_id, "melanoma", me)
        row = view.rows[0]
        assert [word.value for word in row.others] == ["unsure"]
        assert row.spurious is not None
        assert row.spurious > 0
        assert view.reviewed > 0

    def test_refusals(self, world: World) -> None:
        services, me = world.services, reviewer(world)
        with pytest.raises(ConfigError, match="not a class"):
            services.validating.view(world.project_id, "wart", me)
        with pytest.raises(ConfigError, match="longer than"):
            services.validating.judge(
                id=new_id(), concept_id=concept(world, RULER), class_name="melanoma",
                reviewer_id=me, value="unsure", comment="x" * 2001, based_on=0,
            )  # fmt: skip

    def test_examples_are_cases_decided_for_the_class(self, world: World) -> None:
        found = world.services.validating.examples(world.project_id, "melanoma", RULER)
        assert found
        assert {one.prediction for one in found} == {"melanoma"}
        assert len(found[0].map_u8) == 16
        assert max(found[0].map_u8) == 255
        none = world.services.validating.examples(
            world.project_id, "melanoma", RULER, said=frozenset()
        )
        assert none == ()


class TestDiscover:
    def test_candidates_have_no_trusted_word_and_tell_a_class(self, world: World) -> None:
        view = world.services.discovering.candidates(world.project_id)
        assert view.labelled == 90
        assert view.rows
        assert [row.score for row in view.rows] == sorted(r.score for r in view.rows)[::-1]
        for row in view.rows:
            assert not row.interval[0] <= 0.5 <= row.interval[1]
            assert row.toward == (row.auc >= 0.5)
            assert row.why == "unknown to the vocabulary" or row.name.startswith("concept ")
        # The vocabulary of this project knows neither of the true signs.
        assert {"round border", "streaks"} <= {row.name for row in view.rows}

    def test_a_candidate_with_pictures_for_and_against(self, world: World) -> None:
        services = world.services
        view = services.discovering.candidate(world.project_id, concept(world, 1))
        assert view.row.class_name in CLASSES
        assert {one.label for one in view.inside} == {view.row.class_name}
        assert view.row.class_name not in {one.label for one in view.outside}
        strength = [one.activation for one in view.inside]
        assert strength == sorted(strength, reverse=True)
        assert sum(total for _, _, total in view.by_class) == 90
        with pytest.raises(NotFound):
            services.discovering.candidate(world.project_id, new_id())
        blind = services.discovering.candidate(world.project_id, concept(world, 1), said=[])
        assert blind.inside == blind.outside == ()

    def test_hypotheses_are_kept_on_the_concept(self, world: World) -> None:
        services, me = world.services, reviewer(world)
        id, concept_id = new_id(), concept(world, 1)
        about = {"project_id": world.project_id, "reviewer_id": me, "concept_id": concept_id}
        note = services.notes.write(id=id, kind="hypothesis", text=" <b>rim</b>\r\nlight ", **about)
        assert note.text == "<b>rim</b>\nlight"
        services.notes.write(id=id, kind="hypothesis", text="<b>rim</b>\nlight", **about)
        services.notes.write(id=new_id(), kind="note", text="no hypothesis", **about)
        view = services.discovering.candidate(world.project_id, concept_id)
        assert [one.text for one in view.notes] == [note.text]
        assert view.row.hypotheses == 1
        with pytest.raises(ConfigError, match="empty"):
            services.notes.write(id=new_id(), kind="hypothesis", text=" \n", **about)
        services.notes.remove(id=new_id(), note_id=id, reviewer_id=me)
        assert [n.kind for n in services.notes.of_concept(concept_id)] == ["note"]
        with services.uow(read_only=True) as uow:
            entries = uow.audit.list(entity="note")
        assert sorted(entry.action for entry in entries) == [
            "note.removed", "note.written", "note.written",
        ]  # fmt: skip


def test_a_new_label_shows_at_once(tmp_path: Path) -> None:
    world = make_world(tmp_path / "ws", splits={"train": 30, "test": 6})
    before = world.services.diagnosing.trouble(world.project_id, margin=0.0)
    with world.services.uow() as uow:
        image = uow.images.list(world.project_id)[0]
        uow.images.update(image.id, label=None, split=image.split, group_name=None, mask_path=None)
        uow.commit()
    after = world.services.diagnosing.trouble(world.project_id, margin=0.0)
    assert after.labelled == before.labelled - 1
