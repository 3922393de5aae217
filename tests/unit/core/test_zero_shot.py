import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError
from core.heads import pool
from core.zero_shot import ClassTexts, class_texts, prompts_of, zero_shot_head

WORDS = {"cat": [2.0, 0.0], "kitten": [0.0, 3.0], "dog": [0.0, -1.0]}


def encode(texts: list[str]) -> torch.Tensor:
    return torch.tensor([WORDS[text] for text in texts])


def random_parts(seed: int) -> tuple[np.ndarray, np.ndarray, ClassTexts, torch.Tensor]:
    """Decoder [6, 5], bias [5], three texts and sparse activations [8, 6]."""
    rng = np.random.default_rng(seed)
    text = rng.normal(size=(3, 5))
    texts = ClassTexts(("a", "b", "c"), text / np.linalg.norm(text, axis=1, keepdims=True))
    acts = np.abs(rng.normal(size=(8, 6))) * (rng.random((8, 6)) < 0.4)
    return rng.normal(size=(6, 5)), rng.normal(size=5), texts, torch.from_numpy(acts)


def test_a_class_is_the_mean_of_its_prompts() -> None:
    texts = class_texts({"feline": ["cat", "kitten"], "dog": ["dog"]}, encode)
    assert texts.names == ("feline", "dog")
    np.testing.assert_allclose(texts.text_CD, [[0.5**0.5, 0.5**0.5], [0, -1]])


def test_prompts() -> None:
    made = prompts_of({"a {x}": ["b"]}, ("{}", "my {}"))
    assert made == {"a {x}": ("a {x}", "my a {x}", "b", "my b")}
    with pytest.raises(ConfigError, match="template"):
        prompts_of({"a": []}, ("no place",))
    with pytest.raises(ConfigError, match="at least one prompt"):
        class_texts({"a": []}, encode)


def test_weights_by_hand() -> None:
    texts = ClassTexts(("a", "b"), np.array([[1.0, 0.0], [0.0, 1.0]]))
    decoder, bias = np.array([[0.6, 0.8], [1.0, 0.0], [0.0, -1.0]]), np.array([0.5, 0.25])
    plain = zero_shot_head(decoder, bias, texts, centred=False, scale=2.0)
    np.testing.assert_allclose(plain.weight_CN, [[1.2, 2.0, 0.0], [1.6, 0.0, -2.0]], rtol=1e-6)
    assert plain.bias_C.tolist() == [1.0, 0.5]
    moved = zero_shot_head(decoder, bias, texts, image_mean_D=bias, centred=False)
    assert moved.bias_C.tolist() == [0.0, 0.0]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999))
def test_with_mean_pooling_a_logit_is_the_mean_similarity_of_the_patches(seed: int) -> None:
    decoder, bias, texts, acts_PN = random_parts(seed)
    head = zero_shot_head(decoder, bias, texts, centred=False)
    pooled_N = pool(acts_PN, head.pooling).numpy()
    tokens_PD = acts_PN.numpy() @ decoder + bias
    slow = [np.mean([token @ text for token in tokens_PD]) for text in texts.text_CD]
    logits_C = head.logits(pooled_N[None])[0]
    np.testing.assert_allclose(logits_C, slow, atol=1e-5)
    for c in range(3):
        total = head.contributions(pooled_N, c).sum() + float(head.bias_C[c])
        assert total == pytest.approx(logits_C[c], abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999), scale=st.floats(0.1, 100))
def test_centring_changes_no_probability(seed: int, scale: float) -> None:
    decoder, bias, texts, acts_PN = random_parts(seed)
    pooled_IN = acts_PN.numpy()
    probabilities = [
        zero_shot_head(decoder, bias, texts, scale=scale, pooling="max", centred=flag)
        .probabilities(pooled_IN)
        for flag in (True, False)
    ]  # fmt: skip
    np.testing.assert_allclose(*probabilities, atol=1e-3)


def test_what_does_not_fit_is_refused() -> None:
    decoder, bias, texts, _ = random_parts(0)
    with pytest.raises(ConfigError, match="two classes"):
        zero_shot_head(decoder, bias, ClassTexts(("a",), texts.text_CD[:1]))
    with pytest.raises(ConfigError, match="scale"):
        zero_shot_head(decoder, bias, texts, scale=0.0)
    with pytest.raises(ConfigError, match="dimension"):
        zero_shot_head(decoder[:, :4], bias[:4], texts)
    with pytest.raises(ConfigError, match="differ"):
        ClassTexts(("a", "a"), np.eye(2))
    with pytest.raises(ConfigError, match="do not fit"):
        ClassTexts(("a", "b"), np.eye(3))
