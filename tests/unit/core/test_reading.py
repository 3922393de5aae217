"""The fast path of concept removal against the slow reference, which encodes again."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.heads import Pooling
from core.reading import Gram, Linear, Reencoded, gram_of, read_image
from core.sae import SAEConfig, SparseAutoencoder
from tests.unit.core.tiny import TinyDictionary


def random_autoencoder(seed: int, d: int = 6, n: int = 24, threshold: float = 0.5,
                       tied: bool = True) -> SparseAutoencoder:  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    sae = SparseAutoencoder(SAEConfig(d=d, n=n, k=3))
    with torch.no_grad():
        rows = torch.randn(n, d, generator=generator)
        sae.W_dec.copy_(rows / rows.norm(dim=1, keepdim=True))
        free = torch.randn(d, n, generator=generator)
        sae.W_enc.copy_(sae.W_dec.T if tied else free)
        sae.b_dec.copy_(torch.randn(d, generator=generator) * 0.1)
        sae.b_enc.copy_(torch.randn(n, generator=generator) * 0.1)
        sae.threshold.fill_(threshold)
    return sae.eval().requires_grad_(False)


def random_tokens(patches: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(patches, d, generator=torch.Generator().manual_seed(seed))


def steps_apart(a_N: np.ndarray, b_N: np.ndarray) -> float:
    """The largest difference in steps of fp16 at that size.

    What is left of large parts that cancel out is no finer than fp32 holds those parts.
    """
    size_N = np.maximum(np.abs(a_N), np.abs(b_N))
    held = float(np.finfo(np.float32).eps) * float(size_N.max(initial=0.0))
    step_N = np.maximum(np.spacing(size_N.astype(np.float16)).astype(float), held)
    return float((np.abs(a_N - b_N) / step_N).max())


@pytest.mark.parametrize("pooling", ["max", "mean"])
@pytest.mark.parametrize(
    ("seed", "patches", "d", "n", "threshold", "tied"),
    [(1, 9, 6, 24, 0.5, True), (2, 1, 6, 24, 0.0, True), (3, 30, 16, 300, 1.2, False),
     (4, 300, 12, 64, 0.8, True), (5, 30, 16, 300, -1.0, False)],
)  # fmt: skip
def test_the_fast_path_equals_a_full_re_encoding(
    pooling: Pooling, seed: int, patches: int, d: int, n: int, threshold: float, tied: bool
) -> None:
    sae = random_autoencoder(seed, d, n, threshold, tied)
    tokens = 2 * random_tokens(patches, d, seed + 50)
    fast, slow = Linear(sae, tokens, pooling), Reencoded(sae, tokens, pooling)
    np.testing.assert_array_equal(fast.pooled_N, slow.pooled_N)
    top = np.argsort(-fast.pooled_N)[:8].tolist()
    for removed in [[k] for k in top] + [top[:3], top, [n - 1]]:
        assert steps_apart(fast.without(removed), slow.without(removed)) <= 2


def test_one_removal_by_hand() -> None:
    # Twins at 60 degrees: without the first, the token keeps .5 along the second, under 0.6.
    sae = SparseAutoencoder(SAEConfig(d=2, n=2, k=1, group_fractions=(0.5, 0.5)))
    with torch.no_grad():
        sae.W_dec.copy_(torch.tensor([[1.0, 0.0], [0.5, 0.75**0.5]]))
        sae.W_enc.copy_(sae.W_dec.T)
        sae.threshold.fill_(0.6)
    tokens = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    found = read_image(sae.eval().requires_grad_(False), tokens)
    assert isinstance(found, Linear)
    assert found.pooled_N.tolist() == [1.0, pytest.approx(0.866, abs=1e-3)]
    assert found.without([0]).tolist() == [0.0, found.pooled_N[1]]
    # Without the second, its patch keeps (-.43, .25), on which nothing fires.
    assert found.without([1]).tolist() == [1.0, 0.0]
    assert found.without([0, 1]).tolist() == [0.0, 0.0]
    assert found.without([]) is found.pooled_N


def test_any_other_dictionary_is_read_the_slow_way() -> None:
    sae = TinyDictionary([[1, 0], [0, 1]])
    found = read_image(sae, torch.tensor([[3.0, 0.0], [1.0, 2.0]]), "mean")
    assert found.pooled_N.tolist() == [2.0, 1.0]
    assert found.without([0]).tolist() == [0.0, 1.0]
    assert found.without([]) is found.pooled_N


def test_rows_are_kept_up_to_the_room_and_the_oldest_go_first() -> None:
    sae = random_autoencoder(1)
    full = (sae.decoder_ND @ sae.W_enc).numpy()
    gram = Gram(sae, kept_bytes=4 * sae.n * 3)
    for asked in ([0, 1, 2], [1, 5], [5, 5, 0]):
        np.testing.assert_allclose(gram.rows(asked), full[asked], atol=1e-6)
    assert set(gram._kept) == {1, 5, 0}


def test_a_dictionary_that_still_learns_keeps_nothing() -> None:
    frozen = random_autoencoder(1)
    assert gram_of(frozen) is gram_of(frozen)
    learning = random_autoencoder(1).train().requires_grad_(True)
    gram = gram_of(learning)
    before = gram.rows([3]).copy()
    with torch.no_grad():
        learning.W_enc.mul_(2)
    np.testing.assert_allclose(gram_of(learning).rows([3]), 2 * before, rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6), st.sets(st.integers(0, 39), max_size=6), st.floats(-0.5, 2.5),
    st.sampled_from(["max", "mean"]),
)  # fmt: skip
def test_any_set_of_concepts_leaves_what_a_re_encoding_leaves(
    seed: int, removed: set[int], threshold: float, pooling: Pooling
) -> None:
    sae = random_autoencoder(seed, 10, 40, threshold, tied=seed % 2 == 0)
    tokens = 3 * random_tokens(7, 10, seed + 1)
    fast, slow = Linear(sae, tokens, pooling), Reencoded(sae, tokens, pooling)
    np.testing.assert_array_equal(fast.codes.value, slow.codes.value)
    assert steps_apart(fast.without(sorted(removed)), slow.without(sorted(removed))) <= 2
