import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.codes import Codes
from core.sae import SAEConfig, SparseAutoencoder, from_state


def axes_model() -> SparseAutoencoder:
    """Latents along the four half-axes of the plane around b_dec = (1, 0); threshold 0.5."""
    model = SparseAutoencoder(SAEConfig(d=2, n=4, k=1, group_fractions=(0.5, 0.5)))
    directions = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    state = {
        "W_enc": directions.T.contiguous(),
        "b_enc": torch.zeros(4),
        "W_dec": directions,
        "b_dec": torch.tensor([1.0, 0.0]),
        "threshold": torch.tensor(0.5),
    }
    return from_state(model.config, state)


def random_model(seed: int = 0, d: int = 16, n: int = 96) -> SparseAutoencoder:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.nn.functional.normalize(torch.randn(n, d, generator=generator), dim=1)
    state = {
        "W_enc": rows.T.contiguous(),
        "b_enc": torch.randn(n, generator=generator) * 0.1,
        "W_dec": rows,
        "b_dec": torch.randn(d, generator=generator),
        "threshold": torch.tensor(0.8),
    }
    return from_state(SAEConfig(d=d, n=n, k=4), state)


def random_tokens(m: int, d: int = 16, seed: int = 7) -> Tensor:
    return torch.randn(m, d, generator=torch.Generator().manual_seed(seed)) * 2


def test_hand_computed_codes() -> None:
    model = axes_model()
    codes = model.encode(torch.tensor([[3.0, 0.5], [1.0, -4.0], [1.2, 0.2]]))
    assert codes.indptr.tolist() == [0, 1, 2, 2]  # 0.5 is at the threshold, 0.2 below: off
    assert codes.index.tolist() == [0, 3]
    assert codes.value.tolist() == [2.0, 4.0]
    assert model.decode(codes).tolist() == [[3.0, 0.0], [1.0, -4.0], [1.0, 0.0]]


def test_levels_and_prefixes() -> None:
    model = axes_model()
    assert model.groups == (2, 4)
    assert model.levels_N.tolist() == [0, 0, 1, 1]
    assert (model.d, model.n, model.k) == (2, 4, 1)
    assert not model.decoder_ND.requires_grad


def test_values_are_rounded_to_fp16() -> None:
    acts = random_model().encode_dense(random_tokens(50))
    assert acts.dtype == torch.float32
    assert torch.equal(acts, acts.half().float())


def test_sparse_and_dense_agree() -> None:
    model, x = random_model(), random_tokens(300)
    acts, codes = model.encode_dense(x), model.encode(x)
    assert torch.equal(codes.dense(), acts)
    assert codes.nnz == int((acts > 0).sum()) > 0
    torch.testing.assert_close(model.decode(codes), model.decode(acts))


@settings(max_examples=25, deadline=None)
@given(start=st.integers(0, 600), length=st.integers(1, 400))
def test_a_token_has_the_same_codes_alone_and_in_company(start: int, length: int) -> None:
    model, x = random_model(d=64, n=256), random_tokens(1000, d=64)
    whole = model.encode(x).slice(start, start + length)
    part = model.encode(x[start : start + length])
    assert part.indptr.tolist() == whole.indptr.tolist()
    assert part.index.tolist() == whole.index.tolist()
    assert part.value.tolist() == whole.value.tolist()


def test_no_tokens() -> None:
    model = random_model()
    codes = model.encode(torch.empty(0, 16))
    assert (len(codes), codes.nnz) == (0, 0)
    assert model.encode_dense(torch.empty(0, 16)).shape == (0, 96)
    assert model.decode(codes).shape == (0, 16)


def test_wrong_dimension() -> None:
    with pytest.raises(ValueError, match=r"expected tokens \[M, 16\]"):
        random_model().encode(torch.zeros(3, 15))


def test_values_beyond_fp16_stay_finite() -> None:
    acts = axes_model().encode_dense(torch.tensor([[1e6, 0.0]]))
    assert acts.tolist() == [[65504.0, 0.0, 0.0, 0.0]]


def test_removing_a_concept_removes_its_part() -> None:
    """Codes are in raw token units: token - value * row leaves the others' reconstruction."""
    model, x = random_model(), random_tokens(5)
    acts = model.encode_dense(x)
    concept = int(acts[0].argmax())
    removed = acts.clone()
    removed[:, concept] = 0
    expected = model.decode(acts) - acts[:, concept, None] * model.decoder_ND[concept]
    torch.testing.assert_close(model.decode(removed), expected)


def test_state_must_fit() -> None:
    model = axes_model()
    with pytest.raises(RuntimeError):
        from_state(SAEConfig(d=3, n=4, k=1, group_fractions=(0.5, 0.5)), model.state_dict())
    again = from_state(model.config, model.state_dict())
    assert not any(parameter.requires_grad for parameter in again.parameters())
    assert not again.training


def test_codes_are_of_the_kind_that_stores_take() -> None:
    assert isinstance(random_model().encode(random_tokens(3)), Codes)
