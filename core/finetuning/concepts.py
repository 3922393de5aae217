"""New concepts on the tokens of a tuned encoder, and which of them are which of the former ones.

The dictionary goes on from where it was (a warm start) on the new tokens, so most concepts keep
their number and their place. Which do is measured, not assumed: a former and a new concept match
where both

    their decoder directions are alike         cos(d_i, d'_j) >= min_score
    they fire in the same patches              Pearson correlation of their activations on the same
                                               patches of the same images, each read by its own
                                               encoder and dictionary, >= min_correlation

and the pair is each other's best by a margin (core.name_matching: one-to-one assignment). Only
then do names and verdicts carry over.

Then relations, names and figures are made as in a discovery, and the head is fitted on the new
codes with the weights of the run's strategy.

Legend: I images, P patches, M sampled patches, O former concepts, N new concepts, D embedding,
C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from core.discovery import DiscoverConfig, Discovery, discover
from core.encoder import Encoder
from core.errors import ConfigError
from core.finetuning.matching import Carried, CarryConfig, carry
from core.first_head import DiscoverItem, calibrated
from core.heads import LinearHead, Pooling, fit_head
from core.pacing import Progress, paced, part
from core.sae import SparseAutoencoder, TrainConfig
from core.sae.checkpoint import Checkpoints
from core.sae.config import default_lr
from core.sae.metrics import evaluate_sae
from core.sae.train import train_sae
from core.splits import TRAIN, UNUSED, VAL, held_back, resolve_splits
from core.streaming import ShuffledStream, StoreSource
from core.tokens import TokenStore
from core.types import ConceptName, Relation
from core.vocabulary import Vocabulary

_APART: Final = 0.2  # share of train for the temperature, where there is no validation
_FIGURE_IMAGES: Final = 100  # at most so many are read for the dictionary's figures
_LEAST_PRIOR: Final = 0.1  # of a concept that is spurious for certain, against 1


@dataclass(frozen=True)
class ConceptTuning:
    """How concepts are re-fitted and matched."""

    steps: int = 200  # of the dictionary, >= 1: it must differ from the former one
    batch: int = 4096  # tokens per step
    rate: float = 0.03  # of the learning rate of a discovery: it is a small correction
    save_every: int = 100  # steps between two checkpoints
    carry: CarryConfig = field(default_factory=CarryConfig)
    head_c: float | None = None  # inverse penalty; None: by cross-validation

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.save_every) < 1 or not self.rate > 0:
            raise ConfigError("steps, batch, save_every and rate must be above 0")

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict; `from_json` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> ConceptTuning:
        """Read what `to_json` wrote, or a part of it. Raises ConfigError."""
        try:
            return cls(**{**raw, "carry": CarryConfig(**raw.get("carry", {}))})
        except TypeError as error:
            raise ConfigError(f"not the settings of a re-fit of concepts: {error}") from error


@dataclass(frozen=True, eq=False)
class Former:
    """What there was before: the dictionary, its names and the tokens it was made on."""

    sae: SparseAutoencoder
    names: tuple[ConceptName, ...]
    tokens: TokenStore
    pooling: Pooling = "max"


@dataclass(frozen=True, eq=False)
class Refitted:
    """Concepts, relations, names and head on the tokens of a tuned encoder."""

    sae: SparseAutoencoder
    head: LinearHead
    relations: tuple[Relation, ...]
    names: tuple[ConceptName, ...]  # of the former concept where one matches
    carried: Carried  # which former concept is which new one
    pooled_IN: sparse.csr_matrix  # rows in the order of the items
    splits: tuple[str, ...]
    metrics: Mapping[str, Any]  # "sae", "carried", "unmatched", "mass" (see Carried)
    config: Mapping[str, Any]
    extra: Mapping[str, NDArray[Any]]  # for a bundle: carried_old, carried_new, carried_score


def refit_concepts(
    former: Former,
    tokens: TokenStore,
    items: Sequence[DiscoverItem],
    encoder: Encoder,
    vocabulary: Vocabulary,
    classes: Sequence[str],
    folder: Path,
    config: ConceptTuning | None = None,
    *,
    weight_of: Mapping[str, float] | None = None,
    rejected: Mapping[int, float] | None = None,
    discovery: DiscoverConfig | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Refitted:
    """Re-fit a dictionary on new tokens, match, relate, name, and fit the head.

    Args:
        former: of the version that was tuned; its store holds at least the train images.
        tokens: of all items, by the tuned encoder.
        items: the images with label, split and group, as in a discovery.
        encoder: the tuned one (its texts are those of before).
        folder: of checkpoints; a call after a kill goes on there to the same bits.
        weight_of: weight of labelled images by key, such as a strategy's; 1 where none is given.
        rejected: former concept -> probability in [0, 1] that it is spurious: the head avoids the
            concept that it became (a prior of 1 - .9 p on its weights).
        discovery: settings of relations and names; its sizes do not count.
        seed: of order, samples and folds.
        device: where the dictionary is trained, or "auto": a GPU where there is one. No part of
            `Refitted.config`: it says where, not what.
        progress: told the share done; an exception that it raises ends the work.

    Raises:
        ConfigError: items, tokens or settings that cannot work.
    """
    config = config or ConceptTuning()
    tell = paced(progress)
    items = tuple(items)
    splits = resolve_splits([i.label for i in items], [i.split for i in items], seed)
    keys = sorted(i.sha256 for i, split in zip(items, splits, strict=True) if split == TRAIN)
    held = sorted(i.sha256 for i, s in zip(items, splits, strict=True) if s not in (TRAIN, UNUSED))
    sae, figures = _refitted(
        former, tokens, keys, held, folder, config, seed, device,
        part(tell, 0.0, 0.45, "concepts"),
    )  # fmt: skip
    tell(0.45, "matching concepts")
    carried = carry(former.sae, former.tokens, sae, tokens, keys, config.carry, seed)
    found = discover(
        tokens, [replace(i, split=s or None) for i, s in zip(items, splits, strict=True)],
        encoder, vocabulary, classes, dictionary=sae, seed=seed,
        config=replace(discovery or DiscoverConfig(), pooling=former.pooling),
        progress=part(tell, 0.5, 0.9, "relations and names"),
    )  # fmt: skip
    tell(0.9, "fitting the classifier")
    head = _head(found, items, splits, classes, config, weight_of or {},
                 _prior(carried, rejected or {}, sae.n), seed)  # fmt: skip
    tell(1.0, "done")
    return Refitted(
        sae=sae, head=head, relations=found.graph.relations,
        names=_named(found.names, former.names, carried), carried=carried,
        pooled_IN=found.pooled_IN, splits=tuple(splits), extra=carried.arrays(),
        metrics={
            "sae": figures, "carried": len(carried.pairs), "unmatched": carried.missed(),
            "mass": carried.mass,
        },
        config={**dict(found.config), "concepts": config.to_json()},
    )  # fmt: skip


def _refitted(
    former: Former, tokens: TokenStore, keys: Sequence[str], held: Sequence[str], folder: Path,
    config: ConceptTuning, seed: int, device: str, tell: Progress,
) -> tuple[SparseAutoencoder, dict[str, Any]]:  # fmt: skip
    """The dictionary on the new tokens; its figures, and what the former one leaves unexplained
    there ("fvu_before")."""
    train = TrainConfig(
        steps=config.steps, batch=config.batch, seed=seed,
        lr=config.rate * default_lr(former.sae.n), warmup=0.1, decay=0.5, device=device,
    )  # fmt: skip
    chosen = held or keys
    some = [chosen[k] for k in range(0, len(chosen), -(-len(chosen) // _FIGURE_IMAGES))]
    sample_MD = torch.cat([tokens.get(key) for key in some])
    trained = train_sae(
        ShuffledStream(StoreSource(tokens, keys), config.batch, seed), former.sae.config, train,
        tell, start=former.sae, checkpoints=Checkpoints(folder, config.save_every),
        held_out=sample_MD if held else None,
    )  # fmt: skip
    before = evaluate_sae(former.sae, sample_MD)["fvu"]
    return trained.model, {**trained.metrics, "fvu_before": before}


def _head(
    found: Discovery, items: Sequence[DiscoverItem], splits: Sequence[str],
    classes: Sequence[str], config: ConceptTuning, weight_of: Mapping[str, float],
    prior_N: NDArray[np.float64] | None, seed: int,
) -> LinearHead:  # fmt: skip
    """The head on the new codes, with the run's weights; calibrated as a reweighted one is."""
    labels_I = np.array([-1 if i.label is None else i.label for i in items], np.int64)
    weight_I = np.array([weight_of.get(i.sha256, 1.0) for i in items])
    fit_I = np.array([s == TRAIN for s in splits]) & (labels_I >= 0)
    check_I = np.array([s == VAL for s in splits]) & (labels_I >= 0)

    def fitted(rows_I: NDArray[np.bool_]) -> LinearHead:
        return fit_head(
            found.pooled_IN[rows_I], labels_I[rows_I], classes, sample_weight=weight_I[rows_I],
            c=config.head_c, cautious=True, seed=seed, pooling=found.head.pooling, prior_N=prior_N,
        )  # fmt: skip

    head = fitted(fit_I)
    stand_in = head
    if not check_I.any():
        check_I = np.zeros(len(items), bool)
        check_I[np.flatnonzero(fit_I)] = held_back(labels_I[fit_I], _APART, seed)
        stand_in = fitted(fit_I & ~check_I) if check_I.any() else head
    if not check_I.any():
        return head
    return calibrated(
        head, stand_in.logits(found.pooled_IN[check_I]), labels_I[check_I],
        weight_I=weight_I[check_I], stand_in=stand_in is not head,
    )  # fmt: skip


def _prior(
    carried: Carried, rejected: Mapping[int, float], count: int
) -> NDArray[np.float64] | None:
    """Prior standard deviation of each new concept's weights; None where nothing is rejected."""
    if not rejected:
        return None
    prior_N = np.ones(count)
    for old, probability in rejected.items():
        pair = carried.pairs.get(old)
        if pair is not None:
            share = min(max(float(probability), 0.0), 1.0)
            prior_N[pair.new] = 1.0 - (1.0 - _LEAST_PRIOR) * share
    return prior_N


def _named(
    found: Sequence[ConceptName], former: Sequence[ConceptName], carried: Carried
) -> tuple[ConceptName, ...]:
    """The former name on a concept that matches one, else the name found now."""
    names = list(found)
    for old, pair in carried.pairs.items():
        names[pair.new] = former[old]
    return tuple(names)
