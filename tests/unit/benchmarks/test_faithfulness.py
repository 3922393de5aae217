import numpy as np

from benchmarks.faithfulness import _unit, disagreement, shuffled_head, top_sign
from benchmarks.faithfulness_maps import blocks, shuffled_encoder
from core.encoder import load_encoder
from core.types import Cue, Explanation, Provenance
from tests.unit.core.tiny import head_of


def cue(contribution: float, effect: float, doubted: bool = False) -> Cue:
    return Cue(
        concept=0, name="x", named=True, level=0, activation=1.0, contribution=contribution,
        causal_effect=effect, map_GV=np.ones((1, 1), np.float32),
        region_GV=np.ones((1, 1), np.bool_), doubts=("opposite",) if doubted else (),
    )  # fmt: skip


def explanation(*cues: Cue) -> Explanation:
    return Explanation(
        prediction="a", class_index=0, confidence=1.0, logit=0.0, bias=0.0, probabilities=(),
        contributions=(), cues=cues, hierarchy=(), narrative="", reconstruction=1.0,
        provenance=Provenance("i", "v", "d", "demo", "e", "c", 0),
    )  # fmt: skip


def test_the_top_supporting_sign_supports_by_sum_and_by_effect() -> None:
    signs = (cue(-1.0, 2.0), cue(1.0, -0.5), cue(0.5, 0.4), cue(3.0, 0.1))
    assert top_sign(signs) is signs[2]
    assert top_sign(signs[:2]) is None


def test_disagreement_is_the_share_of_doubted_cues() -> None:
    told = [explanation(cue(1, 1), cue(1, -1, doubted=True)), explanation(cue(1, 1), cue(2, 2))]
    assert disagreement(told) == 0.25


def test_blocks_by_hand() -> None:
    assert blocks((3, 4), 2).tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3]


def test_a_shuffled_head_keeps_its_weights_and_its_biases() -> None:
    head = head_of([[1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 0.0, 7.0, 8.0, 9.0]], [0.5, -0.5])
    other = shuffled_head(head, 1)
    assert np.array_equal(np.sort(other.weight_CN, 1), np.sort(head.weight_CN, 1))
    assert not np.array_equal(other.weight_CN, head.weight_CN)
    assert np.array_equal(other.bias_C, head.bias_C)


def test_a_shuffled_encoder_says_something_else_and_the_real_one_is_left_alone() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    before = load_encoder("demo").encode_images([picture]).tokens_BPD
    one, again = (shuffled_encoder(3).encode_images([picture]).tokens_BPD for _ in range(2))
    after = load_encoder("demo").encode_images([picture]).tokens_BPD
    assert (one == again).all()
    assert (before == after).all()
    assert float((one - before).norm() / before.norm()) > 0.1


def test_every_key_has_a_unit() -> None:
    assert _unit("deletion_margin_se") == "standard errors"
    assert _unit("patch_deletion_auc") == "probability"
    assert _unit("concept_auc") == "share"
    assert _unit("head_randomisation_random") == "rank correlation"
