import numpy as np
import pytest
import torch

from core.causal import causal_effects
from core.encoder import DenseFeatures
from core.errors import ConfigError
from core.heads import LinearHead
from core.removal_scores import concept_removal, patch_removal
from core.types import EncoderInfo
from tests.unit.core.tiny import TinyDictionary, head_of

HEAD = head_of([[1.0, -1.0, 0.5], [0.0, 0.0, 0.0]], [0.25, 0.0])
TOKENS = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])
SAE = TinyDictionary([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])


def logit_gap(probability: np.ndarray) -> np.ndarray:
    """Logit of the first of two classes less that of the second."""
    return np.log(probability / (1 - probability))


class MeanColour:
    """An encoder whose tokens are the mean colours (red, green) of its 1 x 2 patches."""

    info = EncoderInfo("mean", "m" * 64, 2, (1, 2), 4)

    def encode_images(self, images: list[np.ndarray]) -> DenseFeatures:
        halves = [[part.reshape(-1, 3).mean(0)[:2] for part in np.split(i, 2, 1)] for i in images]
        tokens = torch.tensor(np.array(halves), dtype=torch.float32)
        return DenseFeatures(tokens, tokens.mean(1))

    def encode_texts(self, texts: list[str]) -> torch.Tensor:
        raise AssertionError("no texts here")


def test_everything_kept_is_the_model_itself_and_single_removals_are_the_causal_effects() -> None:
    score = concept_removal(SAE, HEAD, TOKENS, [0, 1, 2], 0)
    keep = np.vstack((np.ones((1, 3), bool), ~np.eye(3, dtype=bool)))
    gaps = logit_gap(score(keep))
    pooled = SAE.encode_dense(TOKENS).amax(0).numpy()
    full = HEAD.logits(pooled[None])[0]
    assert gaps[0] == pytest.approx(full[0] - full[1], abs=2e-3)  # codes are fp16
    effects = causal_effects(SAE, HEAD, TOKENS, [0, 1, 2], 0)
    np.testing.assert_allclose(gaps[0] - gaps[1:], effects, atol=2e-3)


def test_removing_several_is_encoding_the_rest_anew() -> None:
    keep = np.array([[False, False, True], [False, True, False], [False, False, False]])
    found = concept_removal(SAE, HEAD, TOKENS, [0, 1, 2], 0)(keep)
    acts = SAE.encode_dense(TOKENS)
    for keep_K, probability in zip(keep, found, strict=True):
        gone = torch.from_numpy(~keep_K).float()
        left = TOKENS - (acts * gone) @ SAE.decoder_ND
        pooled = SAE.encode_dense(left).amax(0).numpy()
        expected = HEAD.probabilities(pooled[None])[0, 0]
        assert probability == pytest.approx(expected, abs=2e-3)


def test_mean_pooling_is_honoured() -> None:
    mean = LinearHead(HEAD.weight_CN, HEAD.bias_C, HEAD.classes, pooling="mean")
    score = concept_removal(SAE, mean, TOKENS, [0], 0)
    pooled = SAE.encode_dense(TOKENS).mean(0).numpy()
    assert score(np.ones((1, 1), bool))[0] == pytest.approx(
        mean.probabilities(pooled[None])[0, 0], abs=1e-3
    )


def test_patches_are_painted_and_read_anew() -> None:
    image = np.zeros((2, 4, 3), np.uint8)
    image[:, :2, 0], image[:, 2:, 1] = 4, 2  # red left, green right
    score = patch_removal(MeanColour(), SAE, HEAD, image, 0, fill=(0, 0, 0))
    keep = np.array([[True, True], [False, True], [True, False], [False, False]])
    # pooled: (4, 2, 2.4), (0, 2, 1.6), (4, 0, 2.4), (0, 0, 0); weights 1, -1, .5 and bias .25
    expected = [4 - 2 + 1.2 + 0.25, -2 + 0.8 + 0.25, 4 + 1.2 + 0.25, 0.25]
    np.testing.assert_allclose(logit_gap(score(keep)), expected, rtol=1e-5)
    grey = patch_removal(MeanColour(), SAE, HEAD, image, 0)
    nothing = grey(np.array([[False, False]]))  # both patches (2, 1): pooled 2, 1, 2
    np.testing.assert_allclose(logit_gap(nothing), [2 - 1 + 1.0 + 0.25], rtol=1e-5)
    with pytest.raises(ConfigError, match="smaller than the grid"):
        patch_removal(MeanColour(), SAE, HEAD, image[:, :1], 0)
