"""Places that no concept shows and that must not count: from drawings to a repaired model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.cue_marks import MarkedRegion
from core.drawn import NO_CONCEPT
from dashboard.services import feedback
from dashboard.services.run_fit import read_evidence
from dashboard.services.run_work import run_inline
from dashboard.services.tuning_cases import tune_cases
from dashboard.viewmodels import RunView
from db.feedback_records import DrawingMark, MarkRecord
from db.records import new_id
from tests.integration.services.test_evidence import crowd, drawn, mark, payload, present
from tests.integration.services.tuned_world import make_tuned_world
from tests.integration.services.world import RULER, World, make_world, reviewer

UPPER, LOWER = (0.0, 0.0, 1.0, 0.5), (0.0, 0.5, 1.0, 1.0)
CORNER = (0.0, 0.0, 0.5, 0.5)
GRID = (2, 2)
BEFORE = "be2bd78aa317ee0a25fc0a692600b643fcb0a98be4c9c7373468735053b1e0a5"


def rejected(who: str, box: tuple[float, float, float, float], concept: None = None) -> DrawingMark:
    return drawn(who, "spurious", box, concept=concept)


def places(*drawings: DrawingMark, words: tuple[MarkRecord, ...] = ()) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = payload(*words, drawings=drawings, grid=GRID).get("places", [])
    return found


class TestFold:
    def test_one_person_weighs_what_their_words_are_worth(self) -> None:
        found = payload(drawings=[rejected("A", UPPER)], grid=GRID)
        (place,) = found["places"]
        # Nothing else was said, so A is right in 4 of 5, as is stated beforehand.
        assert place == {
            "image_sha256": "i", "grid": [2, 2], "bits": "c0", "outcome": "spurious",
            "probability": 0.8, "weight": 0.6, "people": ["A"], "against": [],
            "drawings": ["AspuriousNone(0.0, 0.0, 1.0, 0.5)"],
        }  # fmt: skip
        (only,) = feedback.marks_of(found)
        assert (only.concept, only.value, only.weight) == (NO_CONCEPT, "spurious", 0.6)
        assert only.region_P.tolist() == [True, True, False, False]
        (region,) = feedback.evidence_of(found).regions
        assert (region.kind, region.concept) == ("spurious", None)
        assert feedback.evidence_of(found).rejected == ()

    def test_people_who_overlap_agree_and_half_of_them_decide_a_patch(self) -> None:
        drawings = [rejected("A", UPPER), rejected("B", CORNER), rejected("C", CORNER)]
        (place,) = places(*drawings)
        assert place["people"] == ["A", "B", "C"]
        assert place["probability"] == pytest.approx(4**3 / (4**3 + 1), abs=1e-6)
        assert place["weight"] == pytest.approx(2 * place["probability"] - 1, abs=1e-6)
        assert place["bits"] == "80"  # the corner: one of three took the rest

    def test_places_apart_are_told_apart(self) -> None:
        found = payload(drawings=[rejected("A", UPPER), rejected("A", LOWER)], grid=GRID)
        assert [place["bits"] for place in found["places"]] == ["c0", "30"]
        assert [m.concept for m in feedback.marks_of(found)] == [-1, -2]

    def test_a_drawing_that_touches_two_makes_them_one(self) -> None:
        left, right = (0.0, 0.0, 0.5, 0.5), (0.5, 0.0, 1.0, 0.5)
        (place,) = places(rejected("A", left), rejected("B", right), rejected("C", UPPER))
        assert place["people"] == ["A", "B", "C"]
        assert place["bits"] == "c0"
        apart = places(rejected("A", left), rejected("B", right))
        assert [each["people"] for each in apart] == [["A"], ["B"]]

    def test_a_sign_that_somebody_else_drew_there_speaks_against_it(self) -> None:
        sign = drawn("B", "missed", CORNER, concept=None)
        (place,) = places(rejected("A", UPPER), sign)
        assert (place["outcome"], place["against"], place["weight"]) == ("tie", ["B"], 0.0)
        found = payload(drawings=[rejected("A", UPPER), sign], grid=GRID)
        assert feedback.marks_of(found) == ()
        said = [n.text for n in feedback.evidence_of(found).notices]
        assert any("even on 1 drawn place" in text for text in said)
        (three,) = places(rejected("A", UPPER), rejected("C", UPPER), sign)
        assert (three["outcome"], three["probability"]) == ("spurious", 0.8)

    def test_what_does_not_speak_against_it(self) -> None:
        ruler = mark("i", 1, "B", "spurious")
        beside = drawn("B", "missed", LOWER, concept=None)
        own = drawn("A", "missed", UPPER, concept=None)
        where = drawn("B", "here", UPPER, concept=1)  # where the cue lies that B rejects
        wrong = drawn("B", "wrong-part", UPPER, concept=1)
        (place,) = places(rejected("A", UPPER), beside, own, where, wrong, words=(ruler,))
        assert place["against"] == []

    def test_here_on_a_cue_that_is_called_correct_speaks_against_it(self) -> None:
        right = mark("i", 1, "B", "correct")
        (place,) = places(rejected("A", UPPER), drawn("B", "here", UPPER), words=(right,))
        assert place["against"] == ["B"]
        (other,) = places(rejected("A", UPPER), drawn("B", "here", UPPER, concept=None))
        assert other["against"] == ["B"]

    @pytest.mark.parametrize("bad", ["random", "inverted"])
    def test_drawings_of_whoever_is_set_aside_count_for_nothing(self, bad: str) -> None:
        words = tuple(crowd(bad))
        assert places(rejected("Bad", UPPER), words=words) == []
        sign = drawn("Bad", "missed", UPPER, concept=None)
        (place,) = places(rejected("A", UPPER), sign, words=words)
        assert place["against"] == []
        # A has proved to be right in more than 4 of 5, and the place says so.
        assert place["probability"] > 0.9


class TestSnapshot:
    def test_without_places_it_is_what_it_was(self) -> None:
        words = [mark("i", 1, "A", "spurious"), mark("j", 1, "B", "correct")]
        found = payload(*words, drawings=[drawn("A", "here", UPPER)], grid=GRID)
        assert "places" not in found
        # Computed by the code before places could be rejected, from the same words.
        assert feedback.payload_hash(found) == BEFORE

    def test_the_order_of_drawings_changes_nothing(self) -> None:
        drawings = [rejected("A", UPPER), rejected("B", CORNER), rejected("A", LOWER),
                    drawn("C", "missed", LOWER, concept=None)]  # fmt: skip
        one = payload(drawings=drawings, grid=GRID)
        two = payload(drawings=drawings[::-1], grid=GRID)
        assert feedback.canonical_json(one) == feedback.canonical_json(two)

    def test_every_drawing_is_a_word(self) -> None:
        from dashboard.services.evidence_payload import words_in

        found = payload(
            mark("i", 1, "A", "correct"), drawings=[rejected("A", UPPER), rejected("A", LOWER)],
            grid=GRID,
        )  # fmt: skip
        assert words_in(found) == 3


def draw(world: World, who: str, rows: list[int]) -> None:
    """Boxes round the ruler of training images, as the desk draws them: without any cue."""
    wanted = {f"train-{row:03d}.png" for row in rows}
    for each in world.services.review.queue(world.project_id, who):
        if each.image_name not in wanted:
            continue
        world.services.review.case(world.project_id, each.case_id, who)  # opened, so explained
        world.services.review.draw(
            id=new_id(), case_id=each.case_id, reviewer_id=who, cue_id=None, kind="spurious",
            shape="box", points=((0.0, 0.75), (0.75, 1.0)), note="a ruler",
        )  # fmt: skip
        wanted.remove(each.image_name)
    assert not wanted


def with_ruler(world: World, count: int) -> list[int]:
    """Training images in which the ruler was written into the tokens."""
    from tests.integration.services.world import D

    with world.services.uow(read_only=True) as uow:
        version = uow.versions.active(world.project_id)
        assert version is not None
        images = [i for i in uow.images.list(world.project_id) if i.split == "train"]
    store = world.services.engines.tokens(world.project_id, version.encoder_hash)
    found = []
    for image in sorted(images, key=lambda each: each.relpath):
        tokens_PD = store.get(image.sha256).numpy()
        assert tokens_PD.shape[1] == D
        if (tokens_PD[12:15, RULER] > 1.0).all():
            found.append(int(image.relpath[6:9]))
    return found[:count]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Nobody judged a cue: all that was said are six boxes round rulers."""
    torch.set_num_threads(1)
    made = make_world(tmp_path_factory.mktemp("places") / "ws")
    draw(made, reviewer(made), with_ruler(made, 6))
    return made


@pytest.fixture(scope="module")
def done(world: World) -> RunView:
    run = world.services.runs.start_reweight(
        id=new_id(), project_id=world.project_id, reviewer_id=reviewer(world), seed=0,
        strategy="groups", options={},
    )  # fmt: skip
    return run_inline(world.services, run.id)


class TestRun:
    def test_the_preview_counts_them(self, world: World) -> None:
        view = world.services.runs.evidence(world.project_id)
        assert (view.ready, view.spurious, view.regions, view.places) == (True, 0, 6, 6)
        offered = {each.key: each for each in world.services.runs.strategies(world.project_id)}
        for key in ("auto", "groups", "erase", "groups+erase", "counterfactual"):
            assert offered[key].available, key
        assert not offered["concept_penalty"].available
        assert "no concept" in offered["concept_penalty"].why_not

    def test_a_detector_is_learnt_from_places_alone(self, done: RunView) -> None:
        assert (done.state, done.message) == ("succeeded", "")
        (cue,) = done.details["cues"]
        assert (cue["name"], cue["regions"]) == ("marked place", 6)
        assert cue["heldback_auc"] >= 0.9
        assert done.details["marks"]["spurious"] == 6
        by_key = {(row.split, row.key): row for row in done.metrics}
        accuracy = by_key["reversed", "accuracy"]
        assert accuracy.before is not None
        assert accuracy.after is not None
        assert accuracy.after > accuracy.before + 0.2
        groups = done.details["group_sizes"]["reversed"]
        assert any("with marked place" in name for name in groups)

    @pytest.mark.parametrize("strategy", ["erase", "counterfactual", "auto"])
    def test_other_strategies_use_them_as_well(self, world: World, strategy: str) -> None:
        run = world.services.runs.start_reweight(
            id=new_id(), project_id=world.project_id, reviewer_id=reviewer(world), seed=0,
            strategy=strategy, options={},
        )  # fmt: skip
        ended = run_inline(world.services, run.id)
        assert (ended.state, ended.message) == ("succeeded", "")
        found = {(row.split, row.key): row for row in ended.metrics}["reversed", "accuracy"]
        assert found.before is not None
        assert found.after is not None
        assert found.after > found.before + 0.1

    def test_marked_cases_are_never_measured_on(self, world: World, done: RunView) -> None:
        from dashboard.services.compared import rejected_regions, spoken

        found = present(world)
        assert len(spoken(found)) == 6
        regions = rejected_regions({"v": found})
        assert set(regions) == spoken(found)
        assert all(np.flatnonzero(r).tolist() == [12, 13, 14] for r in regions.values())
        assert done.details["judged_cases_left_out"] == 0  # all six are training cases

    def test_the_version_is_traced_back_to_them(self, world: World, done: RunView) -> None:
        view = world.services.trace.version((done.result_version or "")[:8])
        titles: list[str] = []

        def walk(nodes: Any) -> None:
            for node in nodes:
                titles.append(node.title)
                walk(node.children)

        walk(view.nodes)
        drawing = present(world)["places"][0]["drawings"][0]
        walk(world.services.trace.verdict(drawing).nodes)
        assert "a drawing (spurious)" in titles
        assert "on a marked place, together: spurious" in titles
        assert sum(title.startswith("marked place in train-") for title in titles) == 6


class TestMarks:
    def test_evidence_becomes_marks_without_a_concept(self, world: World) -> None:
        class Rows:
            @staticmethod
            def row_of() -> dict[str, int]:
                return {place["image_sha256"]: n for n, place in enumerate(places)}

        found = present(world)
        places = found["places"]
        evidence = read_evidence(found, Rows())  # type: ignore[arg-type]
        assert [(m.row, m.concept, m.verdict) for m in evidence.marks] == [
            (n, NO_CONCEPT, "spurious") for n in range(6)
        ]
        assert evidence.judged == frozenset(range(6))
        assert evidence.rejected == ()

    def test_fine_tuning_rejects_whatever_fires_there(self) -> None:
        place = MarkedRegion(0, -1, np.arange(4) < 2, "spurious")
        cue = MarkedRegion(0, 7, np.arange(4) == 3, "spurious")
        other = MarkedRegion(1, 7, np.arange(4) == 3, "spurious")
        cases = tune_cases(SmallLearning((place, cue, other)), {})  # type: ignore[arg-type]
        assert cases[0].rejected_P is not None
        assert cases[0].rejected_P.tolist() == [True, True, False, True]
        # No list of concepts covers the place, so all that fire in the rejected regions count.
        assert [case.concepts for case in cases] == [None, (7,)]


@dataclass
class SmallLearning:
    """Two images of a run with some marks, as `tune_cases` reads them."""

    marks: tuple[MarkedRegion, ...]

    @dataclass
    class Image:
        sha256: str

    @property
    def evidence(self) -> "SmallLearning":
        return self

    @property
    def data(self) -> "SmallLearning":
        return self

    images = (Image("a"), Image("b"))
    labels_I = np.array([0, 1])

    def rows(self, *splits: str) -> np.ndarray:
        return np.array([0]) if splits == ("train",) else np.array([1])

    def cues(self) -> tuple[()]:
        return ()


def test_a_fine_tuning_from_places_alone(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    world = make_tuned_world(tmp_path / "ws", splits={"train": 32, "val": 8, "reversed": 12})
    me = reviewer(world)
    with world.services.uow(read_only=True) as uow:
        images = uow.images.list(world.project_id)
    wanted = {i.relpath for i in images if i.meta.get("sticker") == "yes" and i.split == "train"}
    drawn = 0
    for each in world.services.review.queue(world.project_id, me):
        if each.image_name in wanted and drawn < 8:
            world.services.review.case(world.project_id, each.case_id, me)
            world.services.review.draw(
                id=new_id(), case_id=each.case_id, reviewer_id=me, cue_id=None, kind="spurious",
                shape="box", points=((0.0, 0.0), (0.5, 0.25)),
            )  # fmt: skip
            drawn += 1
    run = world.services.runs.start_finetune(
        id=new_id(), project_id=world.project_id, reviewer_id=me, seed=4,
        options={"epochs": 2, "patience": 2},
    )  # fmt: skip
    ended = run_inline(world.services, run.id)
    assert (ended.state, ended.message) == ("succeeded", "")
    assert [cue["name"] for cue in ended.details["cues"]] == ["marked place"]
    assert ended.details["marks"] == {"spurious": 8, "correct": 0}
