"""The parts of the phantom and tile protocols that decide what their figures mean."""

import numpy as np
import pytest

from benchmarks import feedback_phantoms, feedback_tiles
from benchmarks.feedback_phantoms import spurious_shares
from benchmarks.phantom_project import Said, Sizes, World, build, queue_order, spoiled
from core.cue_marks import MarkedRegion


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIGHT_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return build(3, Sizes(24, 6, 6))


def region(*patches: int) -> np.ndarray:
    found = np.zeros(9, dtype=np.bool_)
    found[list(patches)] = True
    return found


SAID = Said(
    tuple(
        MarkedRegion(
            row, row % 2, region(row % 5, row % 5 + 1), "spurious" if row % 2 else "correct"
        )
        for row in range(40)
    ),
    40,
)


def test_shares_begin_at_a_half_and_move_with_each_word() -> None:
    marks = [MarkedRegion(0, 7, region(1), "spurious"), MarkedRegion(1, 7, region(1), "spurious")]
    marks.append(MarkedRegion(2, 8, region(1), "correct"))
    assert spurious_shares(Said(tuple(marks), 3)) == {7: 0.75, 8: pytest.approx(1 / 3)}


class TestSpoiled:
    def test_inverted_turns_every_word_and_nothing_else(self, world: World) -> None:
        turned = spoiled(world, SAID, "inverted")
        for before, after in zip(SAID.marks, turned.marks, strict=True):
            assert {before.verdict, after.verdict} == {"spurious", "correct"}
            assert np.array_equal(before.region_P, after.region_P)

    def test_misplaced_keeps_words_and_sizes_but_moves_regions(self, world: World) -> None:
        moved = spoiled(world, SAID, "misplaced")
        pairs = list(zip(SAID.marks, moved.marks, strict=True))
        assert all(a.verdict == b.verdict for a, b in pairs)
        assert all(a.region_P.sum() == b.region_P.sum() for a, b in pairs)
        assert sum(not np.array_equal(a.region_P, b.region_P) for a, b in pairs) > 30

    @pytest.mark.parametrize(("quality", "low", "high"), [("random", 10, 30), ("wrong20", 2, 16)])
    def test_the_share_of_turned_words(
        self, world: World, quality: str, low: int, high: int
    ) -> None:
        found = spoiled(world, SAID, quality)
        turned = sum(a.verdict != b.verdict for a, b in zip(SAID.marks, found.marks, strict=True))
        assert low <= turned <= high


def test_the_world_is_planted_and_reversed(world: World) -> None:
    sizes = world.sizes
    names = np.array(world.bundle.head.classes)[world.labels_I]
    ruler = world.shown_I2[:, 0]
    learnt = slice(0, sizes.train + sizes.same)
    turned = slice(sizes.train + sizes.same, None)
    assert ruler[learnt][names[learnt] == "melanoma"].mean() > 0.7
    assert ruler[turned][names[turned] == "melanoma"].mean() < 0.3
    assert world.pooled_IN.shape == (36, world.bundle.head.n)
    scores = world.accuracy(world.bundle.head)
    right = world.bundle.head.logits(world.pooled_IN).argmax(1) == world.labels_I
    assert scores["reversed"] == pytest.approx(right[30:].mean())


def test_the_queue_holds_every_training_case_once(world: World) -> None:
    assert sorted(queue_order(world)) == list(range(24))


def test_filling_changes_the_tokens_inside_the_region_most(world: World) -> None:
    rows, columns = world.bundle.manifest.encoder.grid
    hole = np.zeros((rows, columns), dtype=np.bool_)
    hole[rows // 2 - 1 : rows // 2 + 1, columns // 2 - 1 : columns // 2 + 1] = True
    moved = np.linalg.norm(world.filled(0, hole.ravel()) - world.tokens_of(0), axis=1)
    assert moved[hole.ravel()].mean() > 2 * moved[~hole.ravel()].mean()


def test_without_a_gap_nothing_is_scored() -> None:
    means = {"unfixed.same": 0.9, "unfixed.reversed": 0.8, "oracle.reversed": 0.95}
    assert not feedback_phantoms.gate(means).open
    assert feedback_phantoms.gate(means | {"unfixed.reversed": 0.7}).open
    wanted = feedback_phantoms.targets(means)
    assert wanted["ours_25.reversed"].value == pytest.approx(0.93)
    assert wanted["ours_10.reversed"].value == pytest.approx(0.90)


def test_tiles_are_scored_beside_the_unfixed_head() -> None:
    means = {"unfixed.aligned": 0.9, "unfixed.conflicting": 0.6}
    assert feedback_tiles.gate(means).open
    assert feedback_tiles.targets(means)["ours.aligned"].value == pytest.approx(0.87)
    assert feedback_tiles.targets({}) == {}
    assert not feedback_tiles.gate({}).open
