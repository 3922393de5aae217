"""Are the explanations true? (`python -m benchmarks faithfulness --json OUT`)

Per seed: discovery with the defaults on 1200 fresh phantoms (benchmarks.phantom_concepts), the head
fitted on them, and the 400 test phantoms explained for the class that is predicted.

pointing_game: the top supporting sign of a case is the first cue, in the order shown, whose
contribution and causal effect are both > 0. It is scored where its concept matches a cue or
general term (IoU > .3 on the `select` phantoms): a hit if the maximum of its map lies on a patch
that truly shows that cue in this very image (covered by a quarter or more); an absent cue is a
miss. Control: a random patch. `pointing_coverage` is the share of cases scored,
`pointing_game_strict` counts the others as misses, `pointing_game_signs` leaves out skin and
lesion, which are hard to miss.

deletion_margin_se: area under the predicted class's probability as parts are deleted, the most
supporting first, less that of random orders, in standard errors of the paired difference over
cases; the smaller of concept space (concepts by contribution, taken out of the tokens, which are
read anew) and patch space (patches by the decision map, painted in the picture's mean colour,
encoded anew).

map_effect_disagreement: share of the shown cues whose region contradicts their causal effect
(core.agreement, core.region_effects: "region-silent" or "region-opposite": filling the region where
the map is strong moves the decision no more than filling random places, or the other way).
`sum_effect_disagreement`: share whose contribution contradicts the effect ("redundant", "opposite"
or "rank"), on all test cases. `region_beats_random`: share of cues whose region moves the logit
more than the mean of its random regions (chance: about one half).

Each measure has its random control beside it (`..._random`); definitions: core.faithfulness.
Methods of core.attribution are compared on the same cases and random orders.

Legend: I cases, P patches, K concepts of a case, T targets (cues and general terms).
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import faithfulness_maps as maps
from benchmarks.faithfulness_maps import Case, Subject
from benchmarks.harness import Result, Target, collect
from benchmarks.phantom_concepts import (
    TARGETS,
    Concepts,
    Matches,
    discovered,
    match_concepts,
    targets_MT,
)
from benchmarks.phantom_world import World, build
from core.artifacts import ModelBundle, load_bundle
from core.encoder import load_encoder
from core.explanation import explain
from core.faithfulness import (
    Paired,
    gather,
    gini,
    perturbation_auc,
    pointing_game,
    randomisation_check,
    relevance_mass_accuracy,
    single_deletion,
    spurious_mass,
)
from core.heads import LinearHead
from core.phantoms.spec import ARTEFACTS
from core.reading import read_image
from core.region_effects import RegionEffect, region_effects
from core.removal_scores import concept_removal
from core.types import Cue, Explanation

MATCHED = 0.3  # IoU on select from which a concept is said to match a target
CONCEPT_CASES = 120  # test cases of the curves in concept space
REGION_CASES = 24  # whose cues' regions are filled
PATCH_CASES = 30  # of our own curves in patch space
METHOD_CASES = 12  # of the comparison of methods, and of what costs as much
PLAIN = ("skin", "lesion")
TARGET_ROWS = {
    "pointing_game": Target(">=", 0.90),
    "deletion_margin_se": Target(">=", 3.0),
}


@dataclass(frozen=True, eq=False)
class Explained:
    """The test cases of one world and what was said of them."""

    concepts: Concepts
    matches: Matches
    bundle: ModelBundle
    rows: NDArray[np.int64]  # of the world, one per case
    explanations: tuple[Explanation, ...]
    truth_IPT: NDArray[np.bool_]


def run(seeds: Sequence[int] = (0, 1, 2), *, quick: bool = False) -> Result:
    """All seeds; `quick` is a small trial whose figures are not the benchmark's."""
    rows = []
    for seed in seeds:
        rows.append(_one_seed(build(seed, quick=quick), quick))
        shown = ", ".join(f"{key} {value:.3f}" for key, value in rows[-1].items())
        print(f"seed {seed}: {shown}", file=sys.stderr, flush=True)
    metrics = collect(rows, {key: _unit(key) for key in rows[0]}, TARGET_ROWS)
    notes = (
        "fresh discovery per seed, explained for the predicted class",
        f"concept space {CONCEPT_CASES}, patch space {PATCH_CASES}, methods {METHOD_CASES} cases",
        f"max-sensitivity: radius {maps.RADIUS:.0f} grey levels, {maps.SAMPLES} samples",
        f"methods: {maps.SETTINGS.steps} steps, {maps.SETTINGS.samples} coalitions",
        *(("QUICK TRIAL: not the benchmark's figures",) if quick else ()),
    )
    return Result("faithfulness", tuple(seeds), metrics, notes)


def _one_seed(world: World, quick: bool) -> dict[str, float]:
    few = 4 if quick else METHOD_CASES
    done = explained(world)
    subject = Subject(load_encoder("demo"), done.bundle.sae, done.bundle.head)
    concept = concept_space(done, 12 if quick else CONCEPT_CASES)
    cases = _cases(done)[: 6 if quick else PATCH_CASES]
    by_method = maps.evaluate_methods(subject, cases, few)
    deletion = by_method[maps.OURS].deletion
    rows = {
        **pointing(done),
        "deletion_margin_se": min(concept["deletion"].margin_se, deletion.margin_se),
        **_regions(done, subject, 4 if quick else REGION_CASES),
        "sum_effect_disagreement": disagreement(done.explanations),
        **_paired("concept_deletion_auc", concept["deletion"]),
        **_paired("concept_insertion_auc", concept["insertion"]),
        **_paired("concept_single_deletion", concept["single"]),
        **_paired("patch_deletion_auc", deletion),
        **_paired("patch_insertion_auc", by_method[maps.OURS].insertion),
        **_mass(done, subject),
        "concept_auc": float(np.nanmean([match.auc for match in done.matches.targets])),
        **_slow(done, subject, cases[:few], by_method),
    }
    for name, figures in by_method.items():
        rows.update(_method_rows(done, name, figures, few))
    return rows


def explained(world: World) -> Explained:
    """Discover, publish, load and explain every test case for its predicted class."""
    concepts = discovered(world)
    with tempfile.TemporaryDirectory(prefix="insight-faithful-") as folder:
        bundle = load_bundle(concepts.discovery.save(Path(folder), world.encoder.info))
    rows = world.rows("test")
    truth_MT = targets_MT(world, "test")
    return Explained(
        concepts,
        match_concepts(concepts),
        bundle,
        rows,
        tuple(
            explain(bundle, world.tokens_of(int(r)), image_sha256=world.items[r].sha256)
            for r in rows
        ),
        truth_MT.reshape(len(rows), -1, truth_MT.shape[1]),
    )


def top_sign(cues: Sequence[Cue]) -> Cue | None:
    """The first shown cue that supports the decision by its contribution and its effect."""
    return next((c for c in cues if c.contribution > 0 and c.causal_effect > 0), None)


def pointing(done: Explained) -> dict[str, float]:
    """The pointing game on top supporting signs; see the module's text."""
    values, truths, targets = [], [], []
    for case, explanation in enumerate(done.explanations):
        sign = top_sign(explanation.cues)
        match = None if sign is None else done.matches.concepts[sign.concept]
        if sign is None or match is None or match.target is None or match.select_iou <= MATCHED:
            continue
        values.append(sign.map_GV.ravel())
        truths.append(done.truth_IPT[case, :, TARGETS.index(match.target)])
        targets.append(match.target)
    if not values:
        raise RuntimeError("no top supporting sign matches a cue")
    maps_IP, truth_IP = np.array(values), np.array(truths)
    game = pointing_game(maps_IP, truth_IP)
    coverage = len(values) / len(done.explanations)
    signs_I = ~np.isin(targets, PLAIN)
    only = pointing_game(maps_IP[signs_I], truth_IP[signs_I])
    return {
        "pointing_game": game.mean,
        "pointing_game_random": game.control,
        "pointing_coverage": coverage,
        "pointing_game_strict": game.mean * coverage,
        "pointing_game_signs": only.mean,
        "pointing_game_signs_random": only.control,
        **_paired("sign_relevance_mass", relevance_mass_accuracy(maps_IP, truth_IP)),
    }


def disagreement(explanations: Sequence[Explanation]) -> float:
    """Share of the shown cues whose sum and causal test tell different stories."""
    cues = [cue for explanation in explanations for cue in explanation.cues]
    return float(np.mean([bool(cue.doubts) for cue in cues]))


def _regions(done: Explained, subject: Subject, count: int) -> dict[str, float]:
    """Filling the cues' regions in the picture, beside random regions of their shapes."""
    tested: list[RegionEffect] = []
    for case, row in enumerate(done.rows[:count]):
        explanation = done.explanations[case]
        image = done.concepts.world.images_ISSC[row]
        tested += region_effects(
            subject.encoder, done.bundle, image, explanation.cues, explanation.class_index,
            seed=int(row),
        )  # fmt: skip
    with_controls = [t for t in tested if t.controls]
    beats = [abs(t.effect) > np.mean(np.abs(t.controls)) for t in with_controls]
    return {
        "map_effect_disagreement": float(np.mean([t.doubt is not None for t in tested])),
        "region_beats_random": float(np.mean(beats)),
    }


def concept_space(done: Explained, count: int) -> dict[str, Paired]:
    """Deletion, insertion and single deletion of the concepts that contribute to a case."""
    deletion, insertion, single = [], [], []
    for case in range(min(count, len(done.rows))):
        row, target = int(done.rows[case]), done.explanations[case].class_index
        tokens_PD = done.concepts.world.tokens_of(row)
        pooled_N = read_image(done.bundle.sae, tokens_PD, done.bundle.head.pooling).pooled_N
        contribution_N = done.bundle.head.contributions(pooled_N, target)
        chosen = np.flatnonzero(contribution_N)
        score = concept_removal(
            done.bundle.sae, done.bundle.head, tokens_PD, chosen.tolist(), target
        )
        value_K = contribution_N[chosen]
        deletion.append(perturbation_auc(score, value_K, "deletion", seed=row))
        insertion.append(perturbation_auc(score, value_K, "insertion", seed=row))
        single.append(single_deletion(score, value_K, seed=row))
    return {
        "deletion": gather(deletion, "lower"),
        "insertion": gather(insertion, "higher"),
        "single": gather(single, "higher"),
    }


def _cases(done: Explained) -> list[Case]:
    images = done.concepts.world.images_ISSC
    pairs = zip(done.rows, done.explanations, strict=True)
    return [Case(images[r], explanation.class_index, int(r)) for r, explanation in pairs]


def _mass(done: Explained, subject: Subject) -> dict[str, float]:
    """Where the decision map lies, over all test cases: in the lesion, in artefacts, how sparse."""
    values_IP = maps.decision_maps(maps.OURS, subject, _cases(done))
    lesion_IP = done.truth_IPT[:, :, TARGETS.index("lesion")]
    numbers = [TARGETS.index(name) for name in ARTEFACTS]
    artefact_IP = np.asarray(done.truth_IPT[:, :, numbers].any(axis=2), np.bool_)
    return {
        **_paired("lesion_relevance_mass", relevance_mass_accuracy(values_IP, lesion_IP)),
        **_paired("spurious_mass", spurious_mass(values_IP, artefact_IP)),
        **_paired("gini", gini(values_IP)),
        "lesion_pointing_game": pointing_game(values_IP, lesion_IP).mean,
    }


def _slow(
    done: Explained, subject: Subject, cases: Sequence[Case],
    by_method: dict[str, maps.MethodFigures],
) -> dict[str, float]:  # fmt: skip
    """What encodes the picture many times: on few cases."""
    values = {name: figures.values_IP[: len(cases)] for name, figures in by_method.items()}
    seed = done.concepts.world.seed
    other = Subject(subject.encoder, subject.sae, shuffled_head(subject.head, seed))
    head_check = randomisation_check(
        values[maps.OURS], maps.decision_maps(maps.OURS, other, cases), seed=seed
    )
    rows = {
        **_paired(
            "patch_single_deletion", maps.single_deletions(subject, cases, values[maps.OURS])
        ),
        **_paired("max_sensitivity", maps.sensitivities(subject, cases)),
        **_paired("head_randomisation", head_check),
    }
    for name, check in maps.encoder_randomisation(subject, cases, values, seed).items():
        rows[f"{_key(name)}_encoder_randomisation"] = check.mean
        rows[f"{_key(name)}_encoder_randomisation_random"] = check.control
    return rows


def shuffled_head(head: LinearHead, seed: int) -> LinearHead:
    """The head with its weights dealt to other concepts, class by class."""
    weight_CN = np.random.default_rng(seed).permuted(head.weight_CN, axis=1)
    return LinearHead(weight_CN, head.bias_C, head.classes, head.temperature, pooling=head.pooling)


def _method_rows(
    done: Explained, name: str, figures: maps.MethodFigures, few: int
) -> dict[str, float]:
    """One method on the first cases, so that all are compared on the same ones."""
    lesion_IP = done.truth_IPT[:few, :, TARGETS.index("lesion")]
    deletion, insertion = (
        Paired(p.value_I[:few], p.control_I[:few], p.better)
        for p in (figures.deletion, figures.insertion)
    )
    return {
        f"{_key(name)}_deletion_auc": deletion.mean,
        f"{_key(name)}_deletion_margin_se": deletion.margin_se,
        f"{_key(name)}_insertion_auc": insertion.mean,
        f"{_key(name)}_lesion_mass": relevance_mass_accuracy(
            figures.values_IP[:few], lesion_IP
        ).mean,
    }


def _paired(key: str, measure: Paired) -> dict[str, float]:
    return {
        key: measure.mean,
        f"{key}_random": measure.control,
        f"{key}_margin_se": measure.margin_se,
    }


def _key(method: str) -> str:
    """A method's name in metric keys."""
    return "method_" + method.replace("-", "_")


def _unit(key: str) -> str:
    """What a metric is measured in, read off its key."""
    if key.endswith("_se"):
        return "standard errors"
    if "auc" in key and key != "concept_auc":
        return "probability"
    if "single_deletion" in key or "randomisation" in key:
        return "rank correlation"
    return "ratio" if "sensitivity" in key else "share"
