"""Is the discovered hierarchy the true one? (`python -m benchmarks hierarchy --json OUT`)

The graph is found on the train images of fresh phantoms, without any truth. Truth enters only
here. What is scored, and how:

terms       A concept stands for the cue or general term ("lesion border" = any border) on whose
            patches of `select` it fires best: largest IoU, over .3 (as in the benchmark naming).
            Most concepts are fragments that reach .3 of nothing; edges that end in one are judged
            by `precision_fragments` only (`judged_share`: how many are judged).
pairs       The graph says (t, u) when some concept of t has one of u above it: along any path,
            through any concepts, synonyms counting as one. Pairs t = u (fragments of one
            thing) are neither right nor wrong. True pairs are (t, every ancestor of t in the true
            hierarchy); only those whose two terms some concept stands for can be found
            (`expressible`, of 31 in all: "artefact", say, often has no concept of its own).
edge_f1     Harmonic mean of precision (share of the graph's pairs that are true) and recall
            (share of the expressible pairs that the graph has).
fragments   A concept that reaches no IoU of .3 is taken for the rarest term that touches 75 % or
            more of its activation on `select` (a patch counts with 5 % of it covered; a fragment
            of "skin" is one that nothing else explains). `precision_fragments` is the share of
            true ones among all direct edges between different terms, fragments included. There
            is no recall to go with it: a fragment of a general term is not that term's concept.
cycles      Groups of concepts that imply each other in a circle: must be 0.
kinds       Share of the direct edges between true pairs whose kind (is-a, part-of) is the true
            one; a pair is is-a when every step up in the true hierarchy is. By regions and
            directions alone, and with the help of the names (`core.naming.kinds_by_name`);
            beside it what calling everything part-of would give. Fragments included.
absorption  How often a parent fails to fire where its child does. Per expressible true pair, with
            the concepts that match the two terms best on `select`: over the `test` patches that
            truly show both terms and on which the child's concept fires, the share where the
            parent's concept is silent (activation 0); mean over pairs. After feature absorption
            (2409.14507) and its harm to hierarchies (2606.22994). Beside it, `silence_apart`: how
            often the parent's concept is silent on patches of its term where the child's does
            not fire. Absorption proper is what the first exceeds the second by.

Controls, scored as edge_f1: `random`, as many edges as join matched concepts, drawn at random
among those (mean of 200 draws); `paper`, the plain rule (D^ > .75 one way, every glimmer counted,
no support, lift, test or circles broken); `untested`, ours without the reconstruction test;
`levels`, the same dictionary without relations: under each concept's nearest decoder direction in
an earlier Matryoshka group. `loss`, mean over our edges: share of the child's region that is lost
without the parent; beside it the same for a random region and for another concept that fires there.

Legend: M patches, P patches of one image, N concepts, T terms.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.harness import Result, Target, collect
from benchmarks.phantom_concepts import TARGETS, Concepts, Matches, discovered, match_concepts
from benchmarks.phantom_world import TRUE_FROM, World, build
from core.cooccurrence import cooccurrence, strong_part
from core.phantoms.spec import CUE_NAMES, GENERAL_MEMBERS, HIERARCHY
from core.reconstruction import Removal, region_losses, removal_costs
from core.relations import RelationConfig, RelationGraph, relations
from core.types import Relation, RelationKind

Pair = tuple[str, str]  # (more specific term, more general term)
Edge = tuple[int, int]  # (child concept, parent concept)
LEAST_IOU = 0.3
LEAST_MASS = 0.75
TOUCHED = 0.05  # share of a patch
DRAWS = 200  # of the random control
PAPER_TAU = 0.75
UNITS = {
    "edge_f1": "F1", "precision": "share", "recall": "share", "cycles": "circles",
    "absorption": "share", "silence_apart": "share", "expressible": "pairs", "found": "pairs",
    "edges": "edges", "judged_share": "share", "precision_fragments": "share",
    "kinds": "accuracy", "kinds_without_names": "accuracy",
    "kinds_all_part_of": "accuracy", "random": "F1", "paper": "F1", "paper_precision": "share",
    "paper_cycles": "circles", "untested": "F1", "untested_precision": "share", "levels": "F1",
    "loss": "share", "loss_random_region": "share", "loss_other_concept": "share",
}  # fmt: skip
TARGETS_OF = {"edge_f1": Target(">=", 0.70), "cycles": Target("<=", 0.0, "max")}


def run(seeds: Sequence[int] = (0, 1, 2), *, quick: bool = False) -> Result:
    """All seeds; `quick` is a small trial whose figures are not the benchmark's."""
    rows = []
    for seed in seeds:
        concepts = discovered(build(seed, quick=quick))
        rows.append(_figures(concepts, match_concepts(concepts), seed))
    notes = (
        "true pairs in all: 31; expressible: both terms have a concept (IoU over .3 on select)",
        *(("QUICK TRIAL: not the benchmark's figures",) if quick else ()),
    )
    return Result("hierarchy", tuple(seeds), collect(rows, UNITS, TARGETS_OF), notes)


def ancestors() -> dict[Pair, RelationKind]:
    """Every (term, ancestor) of the true hierarchy; is-a when every step is, on some way up."""
    above: dict[str, list[tuple[str, RelationKind]]] = {}
    for child, parent, kind in HIERARCHY:
        if child in TARGETS and parent in TARGETS:
            above.setdefault(child, []).append((parent, kind))
    found: dict[Pair, RelationKind] = {}
    for term in TARGETS:
        stack: list[tuple[str, RelationKind]] = [(term, "is-a")]
        while stack:
            at, so_far = stack.pop()
            for parent, kind in above.get(at, ()):
                whole: RelationKind = "is-a" if so_far == kind == "is-a" else "part-of"
                if found.get((term, parent)) != "is-a":
                    found[term, parent] = whole
                stack.append((parent, whole))
    return found


@dataclass(frozen=True)
class Score:
    """Pairs of terms that a graph has, against the expressible true ones."""

    precision: float
    recall: float
    f1: float
    pairs: int  # that the graph has
    expressible: int


def term_pairs(
    edges: Iterable[Edge], synonyms: Iterable[Sequence[int]], term_of: Mapping[int, str]
) -> set[Pair]:
    """Pairs of different terms joined by a path of edges, child to parent; synonyms are one."""
    graph = nx.DiGraph(edges)
    for group in synonyms:
        graph.add_edges_from((a, b) for a in group for b in group if a != b)
    return {
        (term_of[concept], term_of[up])
        for concept in graph.nodes
        if concept in term_of
        for up in nx.descendants(graph, concept)
        if up in term_of and term_of[up] != term_of[concept]
    }


def score(found: set[Pair], term_of: Mapping[int, str]) -> Score:
    """Precision, recall and F1 of pairs of terms; 0 where nothing was found."""
    terms = set(term_of.values())
    true = {pair for pair in ancestors() if terms.issuperset(pair)}
    right = len(found & true)
    f1 = 2 * right / max(len(found) + len(true), 1)
    return Score(right / max(len(found), 1), right / max(len(true), 1), f1, len(found), len(true))


def truth_of(world: World, split: str, least: float = TRUE_FROM) -> NDArray[np.bool_]:
    """Whether each patch shows each of TARGETS: covered by at least this share; [I*P, T]."""
    cover_MC = world.cover_IPC[world.rows(split)].reshape(-1, len(CUE_NAMES))
    unions = [
        cover_MC[:, [CUE_NAMES.index(cue) for cue in cues]].max(axis=1)
        for cues in GENERAL_MEMBERS.values()
    ]
    return np.asarray(np.column_stack([cover_MC, *unions]) >= least)


def terms_by_iou(matches: Matches, least: float = LEAST_IOU) -> dict[int, str]:
    """The term that each concept shows best on `select`, where its IoU is over `least`."""
    return {
        match.concept: match.target
        for match in matches.concepts
        if match.target is not None and match.select_iou > least
    }


def terms_by_mass(
    codes_MN: sparse.csr_array, truth_MT: NDArray[np.bool_], least: float = LEAST_MASS
) -> dict[int, str]:
    """The most specific (rarest) term that holds at least this share of a concept's activation."""
    total_N = np.asarray(codes_MN.sum(axis=0)).ravel()
    mass_NT = np.asarray(codes_MN.T @ truth_MT.astype(np.float64))
    rarest_first = np.argsort(truth_MT.sum(axis=0), kind="stable")
    found = {}
    for concept in np.flatnonzero(total_N > 0):
        held = [t for t in rarest_first if mass_NT[concept, t] >= least * total_N[concept]]
        if held:
            found[int(concept)] = TARGETS[held[0]]
    return found


def edge_precision(edges: Iterable[Edge], term_of: Mapping[int, str]) -> float:
    """Share of true ones among the edges between concepts of different terms; NaN without any."""
    true = ancestors()
    judged = [
        (term_of[child], term_of[parent]) in true
        for child, parent in edges
        if child in term_of and parent in term_of and term_of[child] != term_of[parent]
    ]
    return float(np.mean(judged)) if judged else float("nan")


def random_f1(count: int, term_of: Mapping[int, str], seed: int) -> float:
    """Mean F1 of `count` random edges between matched concepts."""
    rng, concepts = np.random.default_rng(seed), sorted(term_of)
    scores = []
    for _ in range(DRAWS):
        ends = rng.permutation(len(concepts) * (len(concepts) - 1))[:count]
        edges = []
        for end in ends:
            child, other = divmod(int(end), len(concepts) - 1)
            edges.append((concepts[child], concepts[other + (other >= child)]))
        scores.append(score(term_pairs(edges, (), term_of), term_of).f1)
    return float(np.mean(scores))


def kind_accuracy(relations: Iterable[Relation], term_of: Mapping[int, str]) -> tuple[float, float]:
    """Shares of direct edges between true pairs: of the true kind, and truly part-of; or NaN."""
    true = ancestors()
    judged = [
        (true[pair] == edge.kind, true[pair] == "part-of")
        for edge in relations
        if (pair := (term_of.get(edge.child, ""), term_of.get(edge.parent, ""))) in true
    ]
    right, part_of = np.mean(judged, axis=0) if judged else (float("nan"), float("nan"))
    return float(right), float(part_of)


def absorption(
    matches: Matches, codes_MN: sparse.csr_array, truth_MT: NDArray[np.bool_]
) -> tuple[float, float]:
    """Silence of the parent's concept where the child's fires, and where it does not; see above."""
    fires_MN = sparse.csc_array(codes_MN > 0)
    beside, apart = [], []
    for child, parent in ancestors():
        low, high = matches.of(child), matches.of(parent)
        if min(low.select_iou, high.select_iou) <= LEAST_IOU or low.concept == high.concept:
            continue
        c_M = fires_MN[:, [low.concept]].toarray().ravel()
        p_M = fires_MN[:, [high.concept]].toarray().ravel()
        true_M = truth_MT[:, TARGETS.index(parent)]
        both_M = true_M & truth_MT[:, TARGETS.index(child)] & c_M
        if both_M.any() and (true_M & ~c_M).any():
            beside.append(1.0 - p_M[both_M].mean())
            apart.append(1.0 - p_M[true_M & ~c_M].mean())
    return (float(np.mean(beside)), float(np.mean(apart))) if beside else (float("nan"),) * 2


def cycles(edges: Iterable[Edge]) -> int:
    """Strongly connected components of more than one concept."""
    parts = nx.strongly_connected_components(nx.DiGraph(edges))
    return sum(len(part) > 1 for part in parts)


def paper_edges(codes_MN: sparse.csr_array, patches: int, tau: float = PAPER_TAU) -> list[Edge]:
    """The plain rule of 2601.13798: D^_ij > tau and not D^_ji > tau, every activation counted."""
    over_NN = cooccurrence(codes_MN, patches, least=tau).conditional_NN > tau
    pairs = set(zip(*(ends.tolist() for ends in over_NN.nonzero()), strict=True))
    return sorted((i, j) for i, j in pairs if (j, i) not in pairs)


def level_edges(decoder_ND: NDArray[np.floating], levels_N: NDArray[np.integer]) -> list[Edge]:
    """Each concept under the nearest decoder direction (cosine) of any earlier group."""
    unit_ND = decoder_ND / np.maximum(np.linalg.norm(decoder_ND, axis=1, keepdims=True), 1e-12)
    cosine_NN = np.where(levels_N[:, None] > levels_N[None, :], unit_ND @ unit_ND.T, -np.inf)
    return [(int(c), int(cosine_NN[c].argmax())) for c in np.flatnonzero(levels_N > levels_N.min())]


def _edges(graph: RelationGraph) -> list[Edge]:
    return [(edge.child, edge.parent) for edge in graph.relations]


def _figures(concepts: Concepts, matches: Matches, seed: int) -> dict[str, float]:
    world, graph = concepts.world, concepts.discovery.graph
    term_of = terms_by_iou(matches)
    any_term_of = {
        **terms_by_mass(concepts.codes("select"), truth_of(world, "select", TOUCHED)), **term_of
    }  # fmt: skip
    edges = _edges(graph)
    ours = score(term_pairs(edges, graph.synonyms, term_of), term_of)
    judged = sum(child in term_of and parent in term_of for child, parent in edges)
    absorbed, apart = absorption(matches, concepts.codes("test"), truth_of(world, "test"))
    return {
        "edge_f1": ours.f1, "precision": ours.precision, "recall": ours.recall,
        "cycles": cycles(edges), "absorption": absorbed, "silence_apart": apart,
        "expressible": ours.expressible, "found": ours.pairs, "edges": len(edges),
        "judged_share": judged / max(len(edges), 1),
        "precision_fragments": edge_precision(edges, any_term_of),
        "kinds": kind_accuracy(graph.relations, any_term_of)[0],
        "kinds_all_part_of": kind_accuracy(graph.relations, any_term_of)[1],
        "random": random_f1(judged, term_of, seed),
        **_baselines(concepts, term_of, any_term_of),
    }  # fmt: skip


def _baselines(
    concepts: Concepts, term_of: Mapping[int, str], any_term_of: Mapping[int, str]
) -> dict[str, float]:
    """Other rules on the same dictionary and the same train images."""
    world, sae, rows = concepts.world, concepts.discovery.sae, concepts.world.rows("train")
    codes_MN, decoder_ND = concepts.codes("train"), sae.decoder_ND.numpy()
    patches, rules = codes_MN.shape[0] // len(rows), RelationConfig()
    tokens = (world.tokens_of(row).float().numpy() for row in rows)
    removal = removal_costs(codes_MN, tokens, decoder_ND, sae.b_dec.detach().numpy())
    unnamed = relations(codes_MN, decoder_ND, patches, rules, removal)
    untested = relations(codes_MN, decoder_ND, patches, rules)
    paper = paper_edges(codes_MN, patches)
    levels = level_edges(decoder_ND, sae.levels_N.numpy())
    plain = score(term_pairs(paper, (), term_of), term_of)
    without = score(term_pairs(_edges(untested), untested.synonyms, term_of), term_of)
    return {
        "kinds_without_names": kind_accuracy(unnamed.relations, any_term_of)[0],
        "paper": plain.f1, "paper_precision": plain.precision, "paper_cycles": cycles(paper),
        "untested": without.f1, "untested_precision": without.precision,
        "levels": score(term_pairs(levels, (), term_of), term_of).f1,
        **_mean_losses(unnamed, removal, strong_part(codes_MN, rules.presence)),
    }  # fmt: skip


def _mean_losses(
    graph: RelationGraph, removal: Removal, present_MN: sparse.csr_array
) -> dict[str, float]:
    """What the reconstruction test saw, mean over the edges that passed it, and its controls."""
    ends = np.array(_edges(graph), np.int64).reshape(-1, 2)
    found = region_losses(removal, present_MN, ends[:, 0], ends[:, 1])
    return {
        "loss": float(np.mean(found.loss_E)) if len(ends) else float("nan"),
        "loss_random_region": float(np.mean(found.chance_E)) if len(ends) else float("nan"),
        "loss_other_concept": float(np.mean(found.other_E)) if len(ends) else float("nan"),
    }
