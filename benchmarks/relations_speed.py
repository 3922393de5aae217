"""How fast are relations counted? (`python -m benchmarks relations_speed --json OUT`)

The statistic: D_ij = sum over patches of a_i * 1[a_j > 0], n = 8192 concepts, 12 active per token
on average, with popularity falling as 1 / sqrt(rank). Compared in one process, on the same cores,
in interleaved windows:

sparse   `core.cooccurrence.cooccurrence`, whole: from the codes as they are stored to D, the joint
         counts and the patches per image, all pairs with D^ >= .05 (what `core.relations` keeps).
dense    the authors' way: D += A^T [A > 0] in fp32 (torch.addmm), 512 tokens a time. Making A
         dense, the joint counts and the patches per image are not timed: in its favour.
scipy    the csr product of codes^T and their signs, in chunks: D alone, all pairs.
all      as sparse, but every pair that occurs is kept; the output is then the larger part.
strong   as sparse, with presence above half of each concept's usual maximum, as relations use it.

Every window's time is wall time; `foreign_cpu` is the share of the machine's time that other
processes took during the windows: figures hold on an idle machine. The ratio is the median over
windows of (dense seconds per token) / (sparse seconds per token) of neighbouring windows. Results
are compared before timing: the largest relative difference of D is reported (fp32 against fp64).

Legend: M tokens, N concepts.
"""

import os
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.clock import Clock
from benchmarks.harness import Result, Target, collect
from core.cooccurrence import cooccurrence
from core.relations import LEAST

CONCEPTS, ACTIVE, PATCHES = 8192, 12, 200
TOKENS, DENSE_TOKENS, SCIPY_TOKENS = 400_000, 2048, 100_000
BATCH = 512
WINDOWS = 5
UNITS = {
    "ratio_vs_dense": "times", "ratio_lowest_window": "times", "ratio_all_pairs": "times",
    "ratio_vs_scipy": "times", "sparse": "tokens/s",
    "all_pairs": "tokens/s", "with_presence": "tokens/s", "dense": "tokens/s",
    "scipy": "tokens/s", "difference": "largest relative", "active": "codes/token",
    "foreign_cpu": "share",
}  # fmt: skip
TARGETS = {
    "ratio_vs_dense": Target(">=", 200.0, "mean"),
    "difference": Target("<=", 1e-4, "max", "the same result"),
}


def run(seeds: Sequence[int] = (0, 1, 2), *, quick: bool = False) -> Result:
    """All seeds; `quick` is a small trial whose figures are not the benchmark's."""
    rows = [_one_seed(seed, quick) for seed in seeds]
    trial = ("QUICK TRIAL: not the benchmark's figures",) if quick else ()
    threads = f"{torch.get_num_threads()} torch threads, {os.cpu_count()} cores"
    return Result("relations_speed", tuple(seeds), collect(rows, UNITS, TARGETS), (threads, *trial))


def make_codes(seed: int, tokens: int, concepts: int, active: int) -> sparse.csr_array:
    """Random sparse codes, float32 CSR [tokens, concepts] with about `active` codes a token."""
    rng = np.random.default_rng(seed)
    share_N = 1.0 / np.sqrt(np.arange(1, concepts + 1))
    edges_N = np.cumsum(share_N / share_N.sum())
    drawn = np.minimum(np.searchsorted(edges_N, rng.random(tokens * active)), concepts - 1)
    value = rng.exponential(1.0, tokens * active).astype(np.float32) + np.float32(0.1)
    start = np.arange(0, tokens * active + 1, active)
    codes_MN = sparse.csr_array((value, drawn.astype(np.int32), start), shape=(tokens, concepts))
    codes_MN.sum_duplicates()
    return codes_MN


def dense_weight(batches: Sequence[torch.Tensor], concepts: int) -> torch.Tensor:
    """D by dense accumulation, float32 [concepts, concepts]."""
    weight_NN = torch.zeros(concepts, concepts)
    for acts_BN in batches:
        weight_NN.addmm_(acts_BN.T, (acts_BN > 0).float())
    return weight_NN


def scipy_weight(codes_MN: sparse.csr_array, chunk: int = 50_000) -> sparse.csr_array:
    """D by sparse products: the slow reference of the tests, float32 CSR."""
    weight_NN = sparse.csr_array((codes_MN.shape[1], codes_MN.shape[1]), dtype=np.float32)
    for start in range(0, codes_MN.shape[0], chunk):
        part_MN = codes_MN[start : start + chunk]
        weight_NN = weight_NN + part_MN.T.tocsr() @ part_MN.sign()
    return weight_NN


def difference(expected_NN: NDArray[np.floating], found_NN: NDArray[np.floating]) -> float:
    """Largest |difference| relative to the expected value (or to 1 where that is smaller)."""
    scale_NN = np.maximum(np.abs(expected_NN), 1.0)
    return float((np.abs(expected_NN - found_NN) / scale_NN).max())


def _one_seed(seed: int, quick: bool) -> dict[str, float]:
    concepts, tokens = (512, 20_000) if quick else (CONCEPTS, TOKENS)
    codes_MN = make_codes(seed, tokens, concepts, ACTIVE)
    few_MN, some_MN = codes_MN[:DENSE_TOKENS], codes_MN[: min(SCIPY_TOKENS, tokens)]
    batches = [
        torch.from_numpy(few_MN[start : start + BATCH].toarray())
        for start in range(0, DENSE_TOKENS, BATCH)
    ]
    few = few_MN[: DENSE_TOKENS - DENSE_TOKENS % PATCHES]
    gap = difference(
        dense_weight([torch.from_numpy(few.toarray())], concepts).numpy(),
        cooccurrence(few, PATCHES).weight_NN.toarray(),
    )
    clock = Clock()
    for _ in range(2 if quick else WINDOWS):
        clock.window("sparse", tokens, lambda: cooccurrence(codes_MN, PATCHES, least=LEAST))
        clock.window("dense", DENSE_TOKENS, lambda: dense_weight(batches, concepts))
        clock.window("scipy", some_MN.shape[0], lambda: scipy_weight(some_MN))
        clock.window("all", tokens, lambda: cooccurrence(codes_MN, PATCHES))
        clock.window("strong", tokens, lambda: cooccurrence(codes_MN, PATCHES, 0.5, least=LEAST))
    return {**_figures(clock), "difference": gap, "active": codes_MN.nnz / tokens}


def _figures(clock: Clock) -> dict[str, float]:
    against = clock.ratios("dense", "sparse")
    return {
        "ratio_vs_dense": float(np.median(against)),
        "ratio_lowest_window": float(against.min()),
        "ratio_all_pairs": float(np.median(clock.ratios("dense", "all"))),
        "ratio_vs_scipy": float(np.median(clock.ratios("scipy", "sparse"))),
        "sparse": clock.speed("sparse"),
        "all_pairs": clock.speed("all"),
        "with_presence": clock.speed("strong"),
        "dense": clock.speed("dense"),
        "scipy": clock.speed("scipy"),
        "foreign_cpu": clock.foreign / (clock.wall * (os.cpu_count() or 1)),
    }
