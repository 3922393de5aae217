"""Are the concepts named rightly? On fresh phantoms, where masks say what is to be seen.

A concept counts when its region matches a cue: IoU > .3 over patches of `test`, the cue and the
activation threshold chosen on `select`. Its name is right when it is that cue (`top1`, strict);
a more general term above the cue in the true hierarchy counts in `top1_lenient` alone. Concepts
without a name are left out of these shares and counted in `abstained`. The vocabulary holds the 17
cues, 4 general terms and 3 diagnoses, with their synonyms.

Most concepts match no cue that well. `fits` judges every name of a cue or general term that was
given: at least half of the concept's strongest 30 patches of `test` show what it says.

The same images are discovered a second time with another seed, and the concepts matched as people's
names are carried over (core.name_matching): `carried` of the concepts that match a cue find a
partner, `carried_true` of these partners show the same cue best, and for `carried_best` of all
pairs no other concept of the new dictionary has activations that correlate better on `test`.

Legend: M patches, N concepts, C cues, T targets (cues, then general terms).
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.harness import Result, Target, collect
from benchmarks.phantom_concepts import (
    TARGETS,
    Concepts,
    Matches,
    discovered,
    match_concepts,
    targets_MT,
)
from benchmarks.phantom_world import build
from core import name_matching
from core.cooccurrence import cooccurrence
from core.naming import NamingConfig, mixing_weights, name_concepts, unit
from core.phantoms.build_demo import demo_vocabulary
from core.phantoms.spec import CUE_NAMES, HIERARCHY
from core.relations import LEAST
from core.types import Relation

LEAST_IOU = 0.3  # above which a concept matches a cue
TOP, LEAST_SHARE = 30, 0.5  # strongest patches of a concept, and how many of them a name must fit
SHUFFLES = 200  # of the control
OTHER_SEED = 1000  # added to the seed, for the second dictionary of the same images
_NEAREST = NamingConfig(min_score=-1.0, min_margin=0.0, circular=True)
VARIANTS: Mapping[str, NamingConfig] = {
    "no_mixing": NamingConfig(mix=0.0),
    "full_mixing": NamingConfig(mix=1.0),
    "no_gap": NamingConfig(gap=False),
    "one_template": NamingConfig(templates=("{}",)),
    "circular": NamingConfig(circular=True),
    "nearest": _NEAREST,
    "nearest_no_mixing": replace(_NEAREST, mix=0.0),
    "nearest_no_gap": replace(_NEAREST, gap=False),
    "direction_only": replace(_NEAREST, mix=0.0, gap=False, templates=("{}",)),
}
"""What is changed: no related concepts, all of their weight (as in the paper), no correction of the
modality gap, the plain word as the only template, diagnoses allowed as names, no abstention, or all
of it (the nearest word to the decoder direction, as in Discover-then-Name)."""
Names = Sequence[str | None]


@dataclass(frozen=True)
class Shown:
    """What a matching concept shows."""

    concept: int
    cue: str
    target: str  # the cue or general term that it matches best


def run(seeds: tuple[int, ...], quick: bool = False) -> Result:
    """Name the concepts of fresh phantoms, with every part of the method and without it."""
    rows = [_row(seed, quick=quick) for seed in seeds]
    units = {key: "concepts" if key in _COUNTS else "share" for key in rows[0]}
    targets = {} if quick else {"top1": Target(">=", 0.8)}
    return Result("naming", seeds, collect(rows, units, targets), _notes())


_COUNTS = ("matching", "named", "alive", "pairs")


def _row(seed: int, *, quick: bool) -> dict[str, float]:
    world = build(seed, quick=quick)
    concepts = discovered(world)
    shown = showing(match_concepts(concepts))
    names = _names(concepts)
    alive_N = concepts.discovery.frequency_N > 0
    fit_NT = fits(concepts.codes("test"), targets_MT(world, "test"))
    figures = {
        **judged(names, shown),
        "random_top1": shuffled(names, shown, alive_N, seed),
        "fits": fitting(names, fit_NT),
        "repeats_parent": repeating(names, concepts.discovery.graph.relations),
        "matching": float(len(shown)),
        "named": float(sum(name is not None for name in names)),
        "alive": float(alive_N.sum()),
        **carrying(concepts, discovered(world, seed=seed + OTHER_SEED), shown),
    }
    rename = _renamer(concepts)
    for variant, naming in VARIANTS.items():
        others = rename(naming)
        found = judged(others, shown)
        figures |= {f"{variant}_{key}": found[key] for key in ("top1", "abstained")}
        figures[f"{variant}_fits"] = fitting(others, fit_NT)
    return figures


def _renamer(concepts: Concepts) -> Callable[[NamingConfig], Names]:
    """Names of the same concepts under other settings, by the steps of core.discovery."""
    world, found = concepts.world, concepts.discovery
    codes_MN = concepts.codes("train")
    tokens = (world.tokens_of(row).double().numpy() for row in world.rows("train")[::6])
    image_mean_D = np.mean([unit(tokens_PD).mean(axis=0) for tokens_PD in tokens], axis=0)
    counts = cooccurrence(codes_MN, len(world.tokens_of(0)), least=min(LEAST, NamingConfig().tau))

    def names(naming: NamingConfig) -> Names:
        given = name_concepts(
            found.sae.decoder_ND.numpy(), found.sae.b_dec.detach().numpy(), demo_vocabulary(),
            world.encoder.encode_texts, image_mean_D=image_mean_D,
            mixing_NN=mixing_weights(codes_MN, counts.conditional_NN, naming),
            relations=found.graph.relations, alive_N=counts.patches_N > 0, config=naming,
        )  # fmt: skip
        return [name.name for name in given]

    return names


def _names(concepts: Concepts) -> Names:
    return [name.name for name in concepts.discovery.names]


def showing(matches: Matches) -> tuple[Shown, ...]:
    """The concepts whose region matches a cue, each with the one it matches best on `select`."""
    count = len(CUE_NAMES)
    cue_N = matches.select_iou_NT[:, :count].argmax(axis=1)
    target_N = matches.select_iou_NT.argmax(axis=1)
    return tuple(
        Shown(concept, TARGETS[cue], TARGETS[target])
        for concept, (cue, target) in enumerate(zip(cue_N, target_N, strict=True))
        if matches.iou_NT[concept, cue] > LEAST_IOU
    )


def judged(names: Names, shown: Sequence[Shown]) -> dict[str, float]:
    """Shares of right names among the matching concepts that have one; see the module.

    `right_of_all` counts a concept without a name as wrong.
    `top1_by_cue` is the mean over cues, so that a cue with many concepts counts once;
    `top1_best` takes a general term as the truth where the concept matches that better than a cue;
    `cues_named` is the share of all cues that some matching concept rightly names.
    """
    named = [(each, names[each.concept]) for each in shown if names[each.concept] is not None]
    by_cue: dict[str, list[bool]] = defaultdict(list)
    for each, name in named:
        by_cue[each.cue].append(name == each.cue)
    above = ancestors()
    return {
        "top1": _share([name == each.cue for each, name in named]),
        "right_of_all": sum(name == each.cue for each, name in named) / max(len(shown), 1),
        "abstained": 1.0 - len(named) / len(shown) if shown else float("nan"),
        "top1_lenient": _share([name in {each.cue, *above[each.cue]} for each, name in named]),
        "top1_best": _share([name == each.target for each, name in named]),
        "top1_by_cue": _share([float(np.mean(right)) for right in by_cue.values()]),
        "cues_named": sum(any(right) for right in by_cue.values()) / len(CUE_NAMES),
    }


def _share(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def ancestors() -> dict[str, frozenset[str]]:
    """The more general terms above each cue in the true hierarchy, by is-a and part-of."""
    parents: dict[str, set[str]] = defaultdict(set)
    for child, parent, _ in HIERARCHY:
        parents[child].add(parent)

    def above(term: str) -> frozenset[str]:
        direct = parents.get(term, set()) - {"image"}
        return frozenset(direct).union(*(above(parent) for parent in direct))

    return {cue: above(cue) for cue in CUE_NAMES}


def shuffled(names: Names, shown: Sequence[Shown], alive_N: NDArray[np.bool_], seed: int) -> float:
    """`top1` when the names given are dealt out at random among the concepts that fire."""
    rng = np.random.default_rng(seed)
    places = np.flatnonzero(alive_N)
    scores = []
    for _ in range(SHUFFLES):
        dealt: list[str | None] = [None] * len(names)
        for place, source in zip(places, rng.permutation(places), strict=True):
            dealt[place] = names[source]
        scores.append(judged(dealt, shown)["top1"])
    return float(np.nanmean(scores))


def fits(
    codes_MN: sparse.csr_array | NDArray[np.floating], truth_MT: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Share of each concept's strongest TOP patches that show each target, [N, T].

    NaN for a concept that fires on fewer than 5 patches.
    """
    by_concept = sparse.csc_array(codes_MN)
    share_NT = np.full((by_concept.shape[1], truth_MT.shape[1]), np.nan)
    for concept in range(by_concept.shape[1]):
        span = slice(by_concept.indptr[concept], by_concept.indptr[concept + 1])
        strongest = np.argsort(-by_concept.data[span], kind="stable")[:TOP]
        if len(strongest) >= 5:
            share_NT[concept] = truth_MT[by_concept.indices[span][strongest]].mean(axis=0)
    return share_NT


def fitting(names: Names, fit_NT: NDArray[np.float64]) -> float:
    """Share of the names given, of cues or general terms, that fit what the concept marks."""
    column = {target: t for t, target in enumerate(TARGETS)}
    shares = [fit_NT[n, column[name]] for n, name in enumerate(names) if name in column]
    return _share([share >= LEAST_SHARE for share in shares if not np.isnan(share)])


def repeating(names: Names, relations: Sequence[Relation]) -> float:
    """Share of the edges between named concepts whose child has its parent's name."""
    pairs = [(names[edge.child], names[edge.parent]) for edge in relations]
    return _share([child == parent for child, parent in pairs if child and parent])


def carrying(old: Concepts, new: Concepts, shown: Sequence[Shown]) -> dict[str, float]:
    """How well names are kept when the same images are discovered again; see the module."""
    pairs = name_matching.match_concepts(_directions(old), _directions(new))
    partner = {match.old: match.new for match in pairs if match.new is not None}
    correlation_ON = correlations(old.codes("test"), new.codes("test"))
    best = [correlation_ON[o, n] >= correlation_ON[o].max() - 1e-9 for o, n in partner.items()]
    cue_N = match_concepts(new).select_iou_NT[:, : len(CUE_NAMES)].argmax(axis=1)
    kept = [(each.cue, CUE_NAMES[cue_N[partner[each.concept]]]) for each in shown
            if each.concept in partner]  # fmt: skip
    return {
        "pairs": float(len(partner)),
        "carried": len(kept) / len(shown) if shown else float("nan"),
        "carried_true": _share([before == after for before, after in kept]),
        "carried_best": _share(best),
    }


def _directions(concepts: Concepts) -> name_matching.Directions:
    found = concepts.discovery
    return name_matching.Directions(
        found.sae.decoder_ND.numpy(), concepts.world.encoder.info.hash, found.frequency_N > 0
    )


def correlations(left_MO: sparse.csr_array, right_MN: sparse.csr_array) -> NDArray[np.float64]:
    """Pearson correlation [O, N] of the columns of two tables of codes; 0 for a constant column."""
    (sum_O, spread_O), (sum_N, spread_N) = _moments(left_MO), _moments(right_MN)
    joint_ON = np.asarray((left_MO.T @ right_MN).todense(), np.float64)
    covariance_ON = joint_ON - np.outer(sum_O, sum_N) / left_MO.shape[0]
    scale_ON = np.outer(spread_O, spread_N)
    constant_ON = scale_ON <= 1e-9
    return np.asarray(
        np.where(constant_ON, 0.0, covariance_ON / np.where(constant_ON, 1, scale_ON))
    )


def _moments(codes_MN: sparse.csr_array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and root of the summed squared deviations of each column."""
    sum_N = np.asarray(codes_MN.sum(axis=0), np.float64).ravel()
    square_N = np.asarray(codes_MN.multiply(codes_MN).sum(axis=0), np.float64).ravel()
    return sum_N, np.sqrt(np.maximum(square_N - sum_N**2 / codes_MN.shape[0], 0.0))


def _notes() -> tuple[str, ...]:
    return (
        "top1: strict, the name is the cue that the concept matches (IoU > .3 on test; cue and "
        "threshold chosen on select); top1_lenient: or a term above it in the true hierarchy; "
        "top1_best: the truth may be a general term where that matches better.",
        "fits: of all names given, those that at least half of the strongest 30 patches show.",
        "random_top1: the same names dealt out at random. direction_only: nearest word to the "
        "decoder direction alone (no related concepts, gap, templates or abstention).",
    )
