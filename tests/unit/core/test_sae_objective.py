import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.sae import SAEConfig, SparseAutoencoder
from core.sae.objective import objective, select_largest
from tests.unit.core.reference_sae import reference_loss, selected_by_reference

NAMES = ("W_enc", "b_enc", "W_dec", "b_dec")


def random_model(
    seed: int, d: int = 6, n: int = 40, k: int = 3, aux_k: int = 4
) -> SparseAutoencoder:
    generator = torch.Generator().manual_seed(seed)
    model = SparseAutoencoder(SAEConfig(d=d, n=n, k=k, aux_k=aux_k))
    with torch.no_grad():
        for name in NAMES:
            weight = getattr(model, name)
            weight.copy_(torch.randn(weight.shape, generator=generator))
    return model


def tokens(seed: int, m: int = 25, d: int = 6) -> Tensor:
    return torch.randn(m, d, generator=torch.Generator().manual_seed(seed))


def gradients(model: SparseAutoencoder, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    return {name: getattr(model, name).grad.clone() for name in NAMES}


@pytest.mark.parametrize("dead", [0, 2, 4, 15])
@pytest.mark.parametrize("seed", [1, 2])
def test_loss_and_gradients_equal_the_dense_reference(seed: int, dead: int) -> None:
    model, x = random_model(seed), tokens(seed + 100)
    dead_N = torch.arange(model.n) >= model.n - dead
    fast, slow = objective(model, x, dead_N).total, reference_loss(model, x, dead_N)
    torch.testing.assert_close(fast, slow)
    expected = gradients(model, slow)
    for name, found in gradients(model, fast).items():
        torch.testing.assert_close(found, expected[name], rtol=1e-4, atol=1e-5, msg=name)


def test_hand_computed_loss() -> None:
    """Two latents along the axes, k = 1: of 3, 1, 2 the two largest, 3 and 2, are kept."""
    model = SparseAutoencoder(SAEConfig(d=2, n=2, k=1, group_fractions=(0.5, 0.5)))
    with torch.no_grad():
        model.W_enc.copy_(torch.eye(2))
        model.W_dec.copy_(torch.eye(2))
    x = torch.tensor([[3.0, 1.0], [0.0, 2.0]])
    loss = objective(model, x, torch.zeros(2, dtype=torch.bool))
    # mean (1.5, 1.5): spread 2.25 + .25 + 2.25 + .25 = 5; prefix 1 rebuilds (3,0), (0,0):
    # error 1 + 4 = 5; prefix 2 rebuilds (3,0), (0,2): error 1
    assert loss.total.item() == pytest.approx((5 / 5 + 1 / 5) / 2)
    assert loss.columns_Z.tolist() == [0, 1]
    assert loss.smallest is not None
    assert loss.smallest.item() == 2.0
    assert loss.auxiliary.item() == 0.0


def test_a_batch_in_which_nothing_fires() -> None:
    model = SparseAutoencoder(SAEConfig(d=3, n=8, k=2))
    loss = objective(model, tokens(5, m=4, d=3), torch.zeros(8, dtype=torch.bool))
    assert loss.smallest is None
    assert len(loss.columns_Z) == 0
    assert torch.isfinite(loss.total)


def test_equal_tokens_give_a_finite_loss() -> None:
    model = random_model(3)
    loss = objective(model, torch.ones(5, 6), torch.ones(40, dtype=torch.bool))
    assert torch.isfinite(loss.total)


@settings(max_examples=60, deadline=None)
@given(
    m=st.integers(1, 40),
    n=st.integers(1, 200),
    share=st.floats(0.0, 1.2),
    seed=st.integers(0, 10_000),
    shift=st.sampled_from([-3.0, 0.0, 2.0]),
)
def test_selection_is_exact(m: int, n: int, share: float, seed: int, shift: float) -> None:
    pre = torch.randn(m, n, generator=torch.Generator().manual_seed(seed)) + shift
    keep = min(m * n, int(share * m * n))
    assert torch.equal(select_largest(pre, keep), selected_by_reference(pre, keep))


def test_selection_when_the_sample_misleads() -> None:
    """Large values exactly where the sample looks: the floor is too high and is given up."""
    pre = torch.full((100, 61), 0.5)
    pre[:, 0] = torch.arange(100.0) + 1.0
    found = select_largest(pre, 200)
    assert len(found) == 200
    assert set(range(0, 6100, 61)) <= set(found.tolist())


def test_ties_keep_the_exact_count() -> None:
    assert len(select_largest(torch.ones(50, 30), 77)) == 77
