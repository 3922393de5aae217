"""How fast is a head refitted? (`python -m benchmarks refit_speed --json OUT`)

100,000 cases x 8,192 concepts, 150 concepts a case, popularity falling as 1 / sqrt(rank), values
exponential; three classes drawn from a softmax of planted weights on 300 concepts. Two solvers get
the same sparse matrix and the same L2 penalty (of 1, 10, 100 and 1000 the one with the lowest
held-out loss, so that stopping early is no advantage):

ours   `core.refit.fit_weighted`
saga   scikit-learn's LogisticRegression(solver="saga"), given the matrix in float64: in float32
       it hovers .0004 above the optimum (making the copy is not timed)

Each is stopped after the fewest rounds (epochs) that bring its loss on 20,000 held-out cases to at
most 1.0001 of the loss at the optimum (ours, run to a slope of 1e-6). The number is searched for
beforehand, alike for both (doubling, then halving the gap twice: at most an eighth too many), and
not timed; timed is one fit with that number, in neighbouring windows. A solver that does not get
there within its limit is timed at the limit, and `saga_reached` is 0: the ratio is a lower bound.
saga has one thread, ours takes the cores there are; `ratio_one_core` compares core seconds.

ratio_at_1e_3  core seconds of both where 1.001 of the loss is enough: far from the optimum, where
               saga is quick
converged      ours, until its default rule stops it
weighted_gap   saga's held-out loss over ours - 1, after WEIGHTED epochs, where a tenth of the cases
               has ten times the weight of the others, as after a reweighting. Its step does not
               depend on the weights, so it may hover.
peak_gib       largest resident memory of a fresh process that reads the matrix and fits it, Python
               and libraries included

Legend: I cases; N concepts; C classes.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from benchmarks.clock import Clock
from benchmarks.harness import Result, Target, collect
from core.refit import TOLERANCE, Fitted, fit_weighted

CASES, HELD_OUT, CONCEPTS, ACTIVE = 100_000, 20_000, 8192, 150
CLASSES, PLANTED = 3, 300
RIDGE = 100.0
SLACK = 1e-4
EPOCHS, ROUNDS, WEIGHTED = 100, 200, 40
WINDOWS = 2
UNITS = {
    "ratio_vs_sklearn": "times", "ratio_one_core": "times", "ratio_at_1e_3": "times",
    "peak_gib": "GiB", "ours": "seconds", "saga": "seconds", "converged": "seconds",
    "rounds": "rounds",
    "saga_epochs": "epochs", "saga_reached": "0 or 1", "loss_ours": "nats", "loss_saga": "nats",
    "loss_optimum": "nats", "loss_always_alike": "nats", "weighted_gap": "share",
    "stored": "entries", "foreign_cpu": "share",
}  # fmt: skip
TARGETS = {
    "ratio_vs_sklearn": Target(">=", 10.0),
    "peak_gib": Target("<=", 4.0, "max"),
}


@dataclass(frozen=True, eq=False)
class Task:
    """Cases to fit and cases to measure on; csr float32, labels int64, weights float64."""

    train_IN: sparse.csr_matrix
    wide_IN: sparse.csr_matrix  # the same in float64
    train_I: NDArray[np.int64]
    weight_I: NDArray[np.float64]
    test_IN: sparse.csr_matrix
    test_I: NDArray[np.int64]

    def loss(self, weight_CN: NDArray[np.floating], bias_C: NDArray[np.floating]) -> float:
        """Mean log loss on the held-out cases, nats."""
        logits_IC = self.test_IN @ weight_CN.T + bias_C
        found = -log_softmax(logits_IC, axis=1)[np.arange(len(self.test_I)), self.test_I]
        return float(found.mean())


def run(seeds: Sequence[int] = (0, 1, 2), *, quick: bool = False) -> Result:
    """All seeds; `quick` is a small trial whose figures are not the benchmark's."""
    rows = [_one_seed(seed, quick) for seed in seeds]
    trial = ("QUICK TRIAL: not the benchmark's figures",) if quick else ()
    cores = f"{os.cpu_count()} cores; saga uses one"
    return Result("refit_speed", tuple(seeds), collect(rows, UNITS, TARGETS), (cores, *trial))


def make_task(seed: int, cases: int, held_out: int, concepts: int, active: int) -> Task:
    """Random sparse codes and labels that follow planted weights, all cases weighing alike."""
    rng = np.random.default_rng(seed)
    total = cases + held_out
    share_N = 1.0 / np.sqrt(np.arange(1, concepts + 1))
    edges_N = np.cumsum(share_N / share_N.sum())
    drawn = np.minimum(np.searchsorted(edges_N, rng.random(total * active)), concepts - 1)
    value = rng.exponential(1.0, total * active).astype(np.float32) + np.float32(0.1)
    start = np.arange(0, total * active + 1, active)
    codes_IN = sparse.csr_matrix(
        (value, drawn.astype(np.int32), start), shape=(total, concepts), dtype=np.float32
    )
    codes_IN.sum_duplicates()
    planted_CN = np.zeros((CLASSES, concepts))
    told = rng.permutation(concepts)[: min(PLANTED, concepts)]
    planted_CN[:, told] = rng.normal(0.0, 1.0, (CLASSES, len(told)))
    logits_IC = codes_IN @ planted_CN.T
    labels = np.asarray((logits_IC + rng.gumbel(size=logits_IC.shape)).argmax(axis=1), np.int64)
    train_IN, test_IN = codes_IN[:cases], codes_IN[cases:]
    wide_IN = train_IN.astype(np.float64)
    return Task(train_IN, wide_IN, labels[:cases], np.ones(cases), test_IN, labels[cases:])


def epochs_needed(loss_after: Callable[[int], float], target: float, most: int) -> tuple[int, bool]:
    """The epochs after which the loss is at most the target, and whether that was reached.

    Found by doubling from one and halving the gap twice; `most` where it is not reached.
    """
    low, high = 0, 1
    while loss_after(high) > target:
        if high >= most:
            return most, False
        low, high = high, min(2 * high, most)
    for _ in range(2):
        middle = (low + high) // 2
        if middle in (low, high):
            break
        low, high = (low, middle) if loss_after(middle) <= target else (middle, high)
    return high, True


def _one_seed(seed: int, quick: bool) -> dict[str, float]:
    sizes = (4000, 1000, 512, 60) if quick else (CASES, HELD_OUT, CONCEPTS, ACTIVE)
    task = make_task(seed, *sizes)
    best = _ours(task, tolerance=1e-6)  # also compiles
    optimum = task.loss(best.weight_CN, best.bias_C)
    target = optimum * (1 + SLACK)

    def ours_after(rounds: int) -> float:
        found = _ours(task, rounds=rounds)
        return task.loss(found.weight_CN, found.bias_C)

    def saga_after(epochs: int) -> float:
        model = _saga(task, epochs, seed)
        return task.loss(model.coef_, model.intercept_)

    rounds, _ = epochs_needed(ours_after, target, ROUNDS)
    epochs, reached = epochs_needed(saga_after, target, 20 if quick else EPOCHS)
    clock = Clock()
    cores: dict[str, list[float]] = {"ours": [], "saga": []}
    for _ in range(1 if quick else WINDOWS):
        cores["ours"].append(_timed(clock, "ours", lambda: _ours(task, rounds=rounds)))
        cores["saga"].append(_timed(clock, "saga", lambda: _saga(task, epochs, seed)))
        _timed(clock, "converged", lambda: _ours(task))
    return {
        "ratio_vs_sklearn": float(np.median(clock.ratios("saga", "ours"))),
        "ratio_one_core": float(np.median(np.divide(cores["saga"], cores["ours"]))),
        "ratio_at_1e_3": _loose_ratio(task, optimum, seed, 20 if quick else EPOCHS),
        "peak_gib": _peak_gib(task),
        **{name: float(np.median(found)) for name, found in clock.seconds.items()},
        "rounds": rounds,
        "saga_epochs": epochs,
        "saga_reached": float(reached),
        "loss_ours": ours_after(rounds),
        "loss_saga": saga_after(epochs),
        "loss_optimum": optimum,
        "loss_always_alike": float(np.log(CLASSES)),
        "weighted_gap": _weighted_gap(task, seed),
        "stored": task.train_IN.nnz,
        "foreign_cpu": clock.foreign / (clock.wall * (os.cpu_count() or 1)),
    }


def _loose_ratio(task: Task, optimum: float, seed: int, most: int) -> float:
    """Core seconds of saga over those of ours, to 1.001 of the loss at the optimum."""
    target, clock = 1.001 * optimum, Clock()

    def ours_after(rounds: int) -> float:
        found = _ours(task, rounds=rounds)
        return task.loss(found.weight_CN, found.bias_C)

    def saga_after(epochs: int) -> float:
        model = _saga(task, epochs, seed)
        return task.loss(model.coef_, model.intercept_)

    rounds, _ = epochs_needed(ours_after, target, ROUNDS)
    epochs, _ = epochs_needed(saga_after, target, most)
    own = _timed(clock, "ours", lambda: _ours(task, rounds=rounds))
    return _timed(clock, "saga", lambda: _saga(task, epochs, seed)) / own


def _weighted_gap(task: Task, seed: int) -> float:
    """How far saga is from ours on weighted cases, as a share of our held-out loss."""
    heavy = np.where(np.random.default_rng(seed).random(len(task.train_I)) < 0.1, 10.0, 1.0)
    weighted = replace(task, weight_I=heavy / heavy.mean())
    ours, model = _ours(weighted), _saga(weighted, WEIGHTED, seed)
    own = task.loss(ours.weight_CN, ours.bias_C)
    return task.loss(model.coef_, model.intercept_) / own - 1


def _timed(clock: Clock, name: str, work: Callable[[], object]) -> float:
    """Core seconds of one window."""
    start = time.process_time()
    clock.window(name, 1, work)
    return time.process_time() - start


def _ours(task: Task, *, rounds: int = 1000, tolerance: float = TOLERANCE) -> Fitted:
    return fit_weighted(
        task.train_IN, task.train_I, CLASSES, weight_I=task.weight_I, ridge=RIDGE, rounds=rounds,
        tolerance=tolerance,
    )  # fmt: skip


def _saga(task: Task, epochs: int, seed: int) -> LogisticRegression:
    """scikit-learn's minimum of the same function after so many epochs."""
    model = LogisticRegression(
        C=1 / RIDGE, solver="saga", max_iter=epochs, tol=1e-12, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(task.wide_IN, task.train_I, sample_weight=task.weight_I)


def _peak_gib(task: Task) -> float:
    """Largest resident memory of a fresh process that loads the matrix and fits it."""
    with tempfile.TemporaryDirectory(prefix="insight-refit-") as folder:
        sparse.save_npz(Path(folder) / "codes.npz", task.train_IN, compressed=False)
        np.save(Path(folder) / "labels.npy", task.train_I)
        np.save(Path(folder) / "weights.npy", task.weight_I)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.refit_speed", folder],
            capture_output=True, text=True, check=True, cwd=Path(__file__).resolve().parents[1],
        )  # fmt: skip
    return float(done.stdout.split()[-1])


def _fit_alone(folder: Path) -> None:
    """Fits what lies in the folder and prints the peak memory in GiB."""
    fit_weighted(
        sparse.load_npz(folder / "codes.npz"), np.load(folder / "labels.npy"), CLASSES,
        weight_I=np.load(folder / "weights.npy"), ridge=RIDGE,
    )  # fmt: skip
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


if __name__ == "__main__":
    _fit_alone(Path(sys.argv[1]))
