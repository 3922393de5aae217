import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from core.errors import ConfigError
from core.finetuning import Batch, Examples
from core.finetuning.augment import Statistics, drawing, fill, paste, rejected_content

RNG = np.random.default_rng(0)


def batch_of(x: Tensor, rejected: Tensor | None, accepted: Tensor | None = None) -> Batch:
    return Batch(x, torch.zeros(len(x), dtype=torch.int64), torch.ones(len(x)), rejected, accepted)


def picture(*values: float) -> Tensor:
    """One channel of 2 x 2."""
    return torch.tensor(values).view(1, 1, 2, 2)


def mask(*values: bool) -> Tensor:
    return torch.tensor(values).view(1, 1, 2, 2)


def test_rejected_content_spreads_its_mean() -> None:
    donor = batch_of(picture(1, 3, 10, 20), mask(True, True, False, False))
    assert rejected_content(donor).flatten().tolist() == [1, 3, 2, 2]
    unmarked = batch_of(picture(1, 3, 10, 20), mask(False, False, False, False))
    assert rejected_content(unmarked).flatten().tolist() == [1, 3, 10, 20]


def test_rejected_content_of_rows_has_one_mean() -> None:
    rows = batch_of(torch.tensor([[4.0, 8.0, 1.0]]), torch.tensor([[True, True, False]]))
    assert rejected_content(rows).tolist() == [[4.0, 8.0, 6.0]]


def test_fill_with_others_and_marked() -> None:
    batch = batch_of(picture(1, 2, 3, 4), mask(True, False, False, True))
    donor = batch_of(picture(10, 20, 30, 40), mask(True, True, False, False))
    draws = {"others": lambda: donor, "marked": lambda: donor, "rng": RNG}
    assert fill(batch, "others", **draws).flatten().tolist() == [10, 2, 3, 40]
    assert fill(batch, "marked", **draws).flatten().tolist() == [10, 2, 3, 15]


def test_fill_with_what_is_typical() -> None:
    source = Examples(
        torch.tensor([[1.0, 5.0], [3.0, 5.0]]), torch.tensor([0, 1]),
        torch.tensor([[True, False], [True, True]]),
    )  # fmt: skip
    statistics = Statistics.of(source)
    assert statistics.mean.tolist() == [2.0, 5.0]
    assert statistics.spread.tolist() == [1.0, 0.0]
    batch = source.take(np.array([0, 1]))
    unused = {"others": lambda: batch, "marked": lambda: batch}
    filled = fill(batch, "mean", **unused, rng=RNG, statistics=statistics)
    assert filled.tolist() == [[2.0, 5.0], [2.0, 5.0]]
    noisy = fill(batch, "noise", **unused, rng=np.random.default_rng(1), statistics=statistics)
    drawn = np.random.default_rng(1).standard_normal((2, 2), dtype=np.float32)
    assert noisy[:, 0].tolist() == pytest.approx((2.0 + drawn[:, 0]).tolist())
    assert noisy[:, 1].tolist() == [5.0, 5.0]
    with pytest.raises(ConfigError, match="mean and the spread"):
        fill(batch, "mean", **unused, rng=RNG)


def test_statistics_do_not_depend_on_blocks() -> None:
    x = torch.randn(700, 3, generator=torch.Generator().manual_seed(1))
    found = Statistics.of(Examples(x, torch.zeros(700, dtype=torch.int64)))
    torch.testing.assert_close(found.mean, x.mean(0))
    torch.testing.assert_close(found.spread, x.std(0, correction=0))


def test_given_copies_are_taken_as_they_are() -> None:
    filled = torch.tensor([[9.0, 9.0]])
    source = Examples(
        torch.zeros(1, 2), torch.tensor([0]), torch.tensor([[True, False]]), filled=filled
    )
    batch = source.take(np.array([0]))
    unused = {"others": lambda: batch, "marked": lambda: batch, "rng": RNG}
    assert torch.equal(fill(batch, "given", **unused), filled)
    bare = batch_of(torch.zeros(1, 2), torch.tensor([[True, False]]))
    with pytest.raises(ConfigError, match="filled copies"):
        fill(bare, "given", **unused)
    with pytest.raises(ConfigError, match="no rejected part"):
        fill(batch_of(torch.zeros(1, 2), None), "others", **unused)


def test_paste_spares_what_was_called_correct() -> None:
    accepted = mask(False, True, False, False)
    receiver = batch_of(picture(1, 2, 3, 4), mask(False, False, False, False), accepted)
    donor = batch_of(picture(10, 20, 30, 40), mask(True, True, False, False))
    assert paste(receiver, donor).flatten().tolist() == [10, 2, 3, 4]
    with pytest.raises(ConfigError, match="no rejected part"):
        paste(receiver, batch_of(picture(1, 2, 3, 4), None))


def test_donors_come_from_all_classes_alike() -> None:
    labels = torch.tensor([0] * 6 + [1] * 2)
    source = Examples(torch.arange(8.0)[:, None], labels)
    draw = drawing(
        source, np.array([0, 1, 6, 7]), 400, np.random.default_rng(2), torch.device("cpu")
    )
    drawn = draw().inputs.flatten().tolist()
    assert set(drawn) == {0.0, 1.0, 6.0, 7.0}
    assert 60 <= drawn.count(6.0) <= 140
    assert draw().inputs.flatten().tolist() != drawn  # anew every time


@given(st.data())
def test_only_the_rejected_part_changes(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 10_000))
    how = data.draw(st.sampled_from(["others", "marked", "mean", "noise"]))
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(5, 2, 3, 3, generator=generator)
    rejected = torch.rand(5, 1, 3, 3, generator=generator) < 0.4
    rejected[0, 0, 0, 0] = True
    source = Examples(x, torch.zeros(5, dtype=torch.int64), rejected)
    batch = source.take(np.arange(5))
    rng = np.random.default_rng(seed)
    draw = drawing(source, np.arange(5), 5, rng, torch.device("cpu"))
    filled = fill(
        batch,
        how,
        others=draw,
        marked=draw,
        rng=rng,
        statistics=Statistics.of(source),  # type: ignore[arg-type]
    )
    outside = ~rejected.expand_as(x)
    assert torch.equal(filled[outside], x[outside])
    assert bool(torch.isfinite(filled).all())
    pasted = paste(batch, draw())
    assert pasted.shape == x.shape


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": torch.zeros(0, 2)}, "at least one"),
        ({"inputs": torch.full((2, 2), float("nan"))}, "finite"),
        ({"labels_I": torch.tensor([0, -1])}, "labels"),
        ({"rejected": torch.zeros(2, 3, dtype=torch.bool)}, "rejected"),
        ({"rejected": torch.zeros(2, 2)}, "bool"),
        ({"weight_I": torch.tensor([-1.0, 1.0])}, "weights"),
        ({"weight_I": torch.zeros(2)}, "weights"),
        ({"filled": torch.zeros(2, 3)}, "filled"),
        ({"concepts_IN": torch.zeros(3, 1, dtype=torch.bool)}, "concepts_IN"),
    ],
)
def test_examples_refuse(change: dict[str, Tensor], words: str) -> None:
    given_ = {"inputs": torch.zeros(2, 2), "labels_I": torch.tensor([0, 1]), **change}
    with pytest.raises(ConfigError, match=words):
        Examples(**given_)  # type: ignore[arg-type]


def test_identity_covers_everything() -> None:
    x, labels = torch.zeros(2, 2), torch.tensor([0, 1])
    rejected = torch.tensor([[True, False], [False, False]])
    plain = Examples(x, labels)
    assert plain.identity == Examples(x.clone(), labels.clone()).identity
    others = [
        Examples(x + 1, labels), Examples(x, labels.flip(0)), Examples(x, labels, rejected),
        Examples(x, labels, accepted=rejected), Examples(x, labels, weight_I=torch.ones(2)),
    ]  # fmt: skip
    assert len({plain.identity, *(other.identity for other in others)}) == 6
    assert plain.marked_I.tolist() == [False, False]
    assert others[2].marked_I.tolist() == [True, False]
    assert others[2].subset([1, 0]).marked_I.tolist() == [False, True]
