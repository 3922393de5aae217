"""A real shortcut, repaired by one word on a column (a protocol of `python -m benchmarks feedback`)

Magnetic tiles (`benchmarks.tiles`): concepts by the engine's defaults on the train photographs with
the real ViT-Ti, pooled by their mean; a head that tells defects from free tiles is learnt from the
420 photographs of `biased_train`, where the camera's exposure gives the label away in 95 %. Scored
on the test photographs where exposure and defect go together (`aligned`) and where they do not
(`conflicting`).

The feedback: one person says that the column "exposure" is spurious, nothing about any case. The
exposure of all train photographs is known (the camera wrote it), the label of the 420 alone.

unfixed    cross-validated penalty, a grid as wide as that of the strategies
masking    the concepts that tell bright from dark exposures best (AUC, train) set to zero, no refit
concept_penalty   the same concepts as 25 verdicts "spurious", refitted at a higher price
dfr        balanced subsets with the true groups (label x bright)
columns, ours     core.strategies; `ours` is what `auto` chooses
oracle     a head fitted alike on 420 random train photographs
ours_random, ours_inverted   the same word on a column that means nothing (drawn by chance), and on
           the label's own copy: the run should not be harmed by the first and refuse the second

Legend: I photographs; N concepts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from benchmarks import tiles
from benchmarks.feedback_protocol import Figures, Gate, over_seeds
from benchmarks.harness import Target
from core.concept_scores import auc
from core.errors import FeedbackError
from core.heads import LinearHead, choose_c, code_scales, fit_head
from core.strategies import FitData, fit_strategy
from core.strategies.data import Around

NAME = "magnetic_tiles"
UNITS = {
    "aligned": "accuracy", "conflicting": "accuracy", "refused": "share of seeds",
    "noticed": "share of seeds",
}  # fmt: skip
GAP = "conflicting"
REFERENCES = {
    "published_probe.aligned": 0.955, "published_probe.conflicting": 0.545,
    "published_random_rows.aligned": 0.850, "published_random_rows.conflicting": 0.833,
}  # fmt: skip
NOTES = (
    "published: a linear probe on the same encoder's tokens, one seed (BENCHMARKS.md)",
    "biased_train holds 5 defects of dark exposures: too few to weigh or draw cases by",
    "test: 133 aligned and 132 conflicting photographs, one is .75 points",
    "rrr is not run: what is rejected is a column, no part of a picture, and the exposure is in "
    "every patch; the concepts that follow it, punished instead of an input, are concept_penalty",
)
CLASSES = ("free", "defect")
GRID = (1.0, 10.0, 100.0, 1000.0)
REJECTED = 25
BRIGHT = 4  # exposures from here on go with defects in biased_train
Ints = NDArray[np.int64]


def run(seeds: Sequence[int], quick: bool = False) -> Figures:
    """Figures by STRATEGY.METRIC; none where the photographs are not here."""
    if not tiles.REALDATA.is_dir():
        return {}
    return over_seeds(one_seed, seeds, quick)


def gate(means: Mapping[str, float]) -> Gate:
    """A gap is there where conflicting photographs fare 15 points worse than aligned ones."""
    if not means:
        return Gate(False, "../shared/realdata is not here: skipped")
    gap = means["unfixed.aligned"] - means["unfixed.conflicting"]
    return Gate(gap >= 0.15, f"unfixed: {100 * gap:.1f} points between the two, 15 needed")


def targets(means: Mapping[str, float]) -> Mapping[str, Target]:
    """What must hold."""
    if not means:
        return {}
    least = means["unfixed.aligned"] - 0.03
    return {
        "ours.conflicting": Target(">=", 0.78),
        "ours.aligned": Target(">=", least, text="unfixed - .03"),
    }


def one_seed(seed: int, quick: bool) -> dict[str, float]:
    """All strategies of one seed."""
    photos = tiles.load(4 if quick else 1)
    _, store = tiles.discovered(photos, seed)
    codes_IN = np.stack([store.image(store.row_of(key)).pooled("mean") for key in photos.keys])
    bench = _Bench(photos, codes_IN, seed)
    found: dict[str, float] = {}

    def keep(name: str, head: LinearHead, **further: float) -> None:
        for key, value in {**bench.accuracy(head), **further}.items():
            found[f"{name}.{key}"] = value

    train, biased = photos.rows("train"), bench.biased
    rng = np.random.default_rng(seed)
    keep("unfixed", bench.plain(biased))
    keep("oracle", bench.plain(np.sort(rng.permutation(train)[: len(biased)])))
    keep("dfr", bench.true_groups())
    keep("masking", bench.masked())
    keep("concept_penalty", *bench.strategy("concept_penalty", {}, bench.words())[:1])
    exposure = {"exposure": bench.exposure_I}
    keep("columns", *bench.strategy("columns", exposure, {})[:1])
    head, flags = bench.strategy("auto", exposure, {})
    keep("ours", head, **flags)
    nothing = {"drawer": rng.integers(1, 7, len(photos.keys))}
    head, flags = bench.strategy("auto", nothing, {})
    keep("ours_random", head, **flags)
    head, flags = bench.strategy("auto", {"label": photos.defect_I.astype(np.int64)}, {})
    keep("ours_inverted", head, **flags)
    return found


class _Bench:
    """The photographs of one seed and the ways to learn from them."""

    def __init__(self, photos: tiles.Tiles, codes_IN: NDArray[np.float32], seed: int) -> None:
        self._photos = photos
        self._codes_IN = codes_IN
        self._seed = seed
        train = photos.rows("train")
        self.biased: Ints = train[photos.biased_I[train]]
        self.exposure_I = photos.exposure_I

    def accuracy(self, head: LinearHead) -> dict[str, float]:
        """Accuracy on the test photographs, aligned and conflicting."""
        test = self._photos.rows("test")
        right = head.logits(self._codes_IN[test]).argmax(1) == self._photos.defect_I[test]
        aligned = self._photos.aligned_I[test]
        return {
            "aligned": float(right[aligned].mean()),
            "conflicting": float(right[~aligned].mean()),
        }

    def plain(self, rows: Ints, weight_I: NDArray[Any] | None = None) -> LinearHead:
        """A head on some photographs, its penalty by cross-validation."""
        codes, labels = self._codes_IN[rows], self._photos.defect_I[rows].astype(np.int64)
        weights = np.ones(len(rows)) if weight_I is None else weight_I
        scaled = csr_array(csr_array(codes) / code_scales(csr_array(codes), None))
        c = choose_c(scaled, labels, weights, grid=GRID, seed=self._seed)
        return fit_head(codes, labels, CLASSES, sample_weight=weights, c=c, pooling="mean")

    def true_groups(self) -> LinearHead:
        """DFR with the truth: ten subsets with as many of each group (label x bright), averaged."""
        labels = self._photos.defect_I[self.biased]
        group = labels * 2 + (self.exposure_I[self.biased] >= BRIGHT)
        least = int(np.bincount(group)[np.unique(group)].min())
        heads = []
        for number in range(10):
            rng = np.random.default_rng((self._seed, number))
            drawn = [rng.permutation(np.flatnonzero(group == g))[:least] for g in np.unique(group)]
            heads.append(self.plain(self.biased[np.concatenate(drawn)]))
        weight_CN = np.mean([head.weight_CN for head in heads], axis=0)
        bias_C = np.mean([head.bias_C for head in heads], axis=0)
        return LinearHead(weight_CN, bias_C, CLASSES, pooling="mean")

    def telling(self) -> Ints:
        """The concepts that tell bright from dark photographs best, all train photographs."""
        train = self._photos.rows("train")
        bright = self.exposure_I[train] >= BRIGHT
        told = auc(self._codes_IN[train], bright[:, None])[:, 0]
        return np.argsort(-np.abs(np.nan_to_num(told, nan=0.5) - 0.5), kind="stable")[:REJECTED]

    def masked(self) -> LinearHead:
        """The unfixed head without those concepts."""
        head = self.plain(self.biased)
        weight_CN = head.weight_CN.copy()
        weight_CN[:, self.telling()] = 0.0
        return LinearHead(weight_CN, head.bias_C, CLASSES, pooling="mean")

    def words(self) -> dict[int, float]:
        """The same concepts as words of one person."""
        return {int(concept): 2 / 3 for concept in self.telling()}

    def strategy(
        self, name: str, columns: Mapping[str, NDArray[Any]], concepts: Mapping[int, float]
    ) -> tuple[LinearHead, dict[str, float]]:
        """The head of a strategy, the unfixed one where it refuses; and what it said."""
        train = self._photos.rows("train")
        values = {key: [str(v) for v in column] for key, column in columns.items()}
        base = self.plain(self.biased)
        data = FitData(
            pooled_IN=self._codes_IN[self.biased],
            labels_I=self._photos.defect_I[self.biased].astype(np.int64),
            classes=CLASSES,
            rows=tuple(int(row) for row in self.biased),
            concepts=concepts,
            columns={key: [column[row] for row in self.biased] for key, column in values.items()},
            rejected_columns=dict.fromkeys(values, 2 / 3),
            around=Around(
                self._codes_IN[train],
                {key: [column[row] for row in train] for key, column in values.items()},
            ),
            base=base,
            pooling="mean",
            seed=self._seed,
        )
        try:
            outcome = fit_strategy(name, data)
        except FeedbackError:
            return base, {"refused": 1.0, "noticed": 1.0}
        warned = any(note.level == "warning" for note in outcome.notes)
        return outcome.head, {"refused": 0.0, "noticed": float(warned)}
