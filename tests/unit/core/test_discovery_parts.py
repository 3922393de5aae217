"""The parts of the chain by themselves: splits, groups, sizes, temperature, progress."""

import numpy as np
import pytest
import torch
from scipy import sparse

from core.calibration import cautious_temperature, fit_temperature
from core.discovery import (
    DiscoverConfig,
    DiscoverItem,
    Example,
    default_sizes,
    effective_dimension,
    frequency,
    top_examples,
)
from core.errors import ConfigError
from core.first_head import case_groups
from core.pacing import paced, part
from core.splits import draw_splits, held_back, resolve_splits

CLASSES = ("naevus", "melanoma")


def test_a_random_split_is_stratified_and_seeded() -> None:
    labels = [0] * 20 + [1] * 10 + [2] * 1 + [None] * 7
    splits = draw_splits(labels, 3, (0.15, 0.15))
    assert splits == draw_splits(labels, 3, (0.15, 0.15))
    assert splits != draw_splits(labels, 4, (0.15, 0.15))
    assert [splits[:20].count(s) for s in ("train", "val", "test")] == [14, 3, 3]
    assert [splits[20:30].count(s) for s in ("train", "val", "test")] == [6, 2, 2]
    assert splits[30] == "train"


def test_given_splits_keep_their_names() -> None:
    splits = resolve_splits([0, 0, 1, 1], ["Train", " dev ", "night shift", None], 0)
    assert splits == ("train", "val", "night shift", "")


@pytest.mark.parametrize("labels", [[0], [0, 1], [0, 0, 1], [0] * 10 + [1] * 3])
def test_holding_back_leaves_every_class_a_case(labels: list[int]) -> None:
    held = held_back(np.array(labels), 0.2, 0)
    kept = {label for label, out in zip(labels, held, strict=True) if not out}
    assert kept == set(labels)


def test_few_cases_without_an_error_do_not_make_it_certain() -> None:
    labels = np.array([0, 1, 2] * 20)
    logits_IC = 3.0 * np.eye(3)[labels]
    certain, cautious = fit_temperature(logits_IC, labels), cautious_temperature(logits_IC, labels)
    assert certain < 0.1
    # 61/62 = e^(3/T) / (e^(3/T) + 2), so T = 3 / ln(122)
    assert cautious == pytest.approx(3 / np.log(122), rel=1e-3)


def test_small_groups_give_way_to_labels() -> None:
    few = [DiscoverItem(str(i), i % 2, None, str(i)) for i in range(10)]
    assert set(case_groups(few, CLASSES)) == set(CLASSES)
    many = [DiscoverItem(str(i), i % 2, None, "ruler") for i in range(10)]
    assert set(case_groups(many, CLASSES)) == {"naevus, ruler", "melanoma, ruler"}


def test_frequency_and_examples_come_from_pooled_codes() -> None:
    pooled_IN = sparse.csr_matrix(np.array([[0.5, 0], [2.0, 0], [0, 0], [1.0, 3.0]], np.float32))
    assert frequency(pooled_IN).tolist() == [0.75, 0.25]
    assert top_examples(pooled_IN, 2) == ((Example(1, 2.0), Example(3, 1.0)), (Example(3, 3.0),))


@pytest.mark.parametrize(
    ("tokens", "d", "dimensions", "n", "k"),
    [
        (50_000, 192, 36.0, 512, 12),
        (500_000, 192, 80.0, 1024, 12),
        (10**7, 512, 400.0, 8192, 12),
        (10**7, 128, 100.0, 2048, 12),
        (50_000, 128, 7.5, 128, 3),
        (50_000, 2, 1.0, 32, 2),
        (2_000_000, 128, 7.5, 512, 3),
    ],
)
def test_the_dictionary_suits_the_data(
    tokens: int, d: int, dimensions: float, n: int, k: int
) -> None:
    sae, train = default_sizes(tokens, d, dimensions)
    assert (sae.n, sae.k, sae.bias) == (n, k, "mean")
    assert 1_000_000 <= train.steps * train.batch <= 8_010_000


def test_effective_dimension_counts_what_varies() -> None:
    square = torch.tensor([[1.0, 1, 0], [1, -1, 0], [-1, 1, 0], [-1, -1, 0]]) + 5.0
    assert effective_dimension(square) == pytest.approx(2.0)
    assert effective_dimension(torch.tensor([[1.0, 0], [3.0, 0]])) == pytest.approx(1.0)
    assert effective_dimension(torch.ones(3, 2)) == 1.0


def test_progress_is_paced_and_never_falls() -> None:
    told: list[float] = []
    tell = paced(lambda share, stage: told.append(share), pause=0.0)
    inner = part(tell, 0.5, 0.7, "reading")
    for share in (0.5, 0.1):
        inner(share, "x")
    tell(1.0, "done")
    assert told == pytest.approx([0.6, 0.6, 1.0])
    slow: list[float] = []
    patient = paced(lambda share, stage: slow.append(share), pause=1e9)
    for share in (0.0, 0.5, 1.0):
        patient(share, "x")
    assert slow == [0.0, 1.0]


@pytest.mark.parametrize("wrong", [{"shares": (0.6, 0.1)}, {"held_back": -0.1}])
def test_wrong_shares_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        DiscoverConfig(**wrong)  # type: ignore[arg-type]
