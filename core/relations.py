"""Which concept implies which: a directed, acyclic graph from local co-occurrence.

D^_ij is an activation-weighted P(j present | i fires) over patches (Insight, arXiv 2601.13798;
counted in `core.cooccurrence`). Where D^_ij > tau and D^_ij > D^_ji, the child i implies the
parent j; where both exceed `same`, i and j are synonyms.

Beyond the paper: a concept is present only above a share of its usual maximum (general concepts
glimmer nearly everywhere), an edge needs support in patches and images, a lift over chance and a
child's region that rests on the parent (`core.reconstruction`), circles lose their weakest edge,
and what a longer path implies is left out. Each edge that was left out is kept with the reason.

tau, presence and min_loss were chosen together on two draws of phantoms (1200 images each) that no
figure is reported on; the paper's tau of .75 with the plain rule finds fewer and less of what is
true there (docs/decisions/0013).

Shape legend: M patches (all images together), P patches of one image, I images, N concepts,
D embedding, E edges.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from core.cooccurrence import Cooccurrence, cooccurrence, strong_part
from core.errors import ConfigError
from core.reconstruction import Removal, region_losses
from core.types import Relation

__all__ = [
    "LEAST",
    "Cooccurrence",
    "DropReason",
    "DroppedRelation",
    "Regions",
    "RelationConfig",
    "RelationGraph",
    "cooccurrence",
    "relation_graph",
    "relations",
]

Indices = NDArray[np.integer]
Floats = NDArray[np.float64]
LEAST = 0.05  # pairs with a smaller D^ are not kept: no rule looks at them
DropReason = Literal[
    "support", "chance", "reconstruction", "direction", "circle", "implied", "synonym"
]


@dataclass(frozen=True)
class RelationConfig:
    """What counts as a relation."""

    tau: float = 0.5  # least activation-weighted P(parent | child), (0, 1)
    same: float = 0.75  # synonyms: over this both ways; else the larger P gives the direction
    presence: float = 0.3  # a concept is present above this share of its usual maximum, [0, 1)
    min_patches: int = 20  # patches on which the child fires
    min_images: int = 4  # images in which child and parent share a patch's image
    min_lift: float = 1.5  # least P(parent | child) / P(parent): more often than by chance
    min_loss: float = 0.2  # least share of the child's region that is lost without the parent
    similar: float = 0.4  # decoder cosine from which a relation is "is-a"
    same_area: float = 0.9  # least share of the parent's patches, in the images that hold the
    # child, on which the child fires too, for "is-a"; else the relation is "part-of"

    def __post_init__(self) -> None:
        if not 0.0 < self.tau < 1.0 or not 0.0 < self.same <= 1.0:
            raise ConfigError(f"tau and same are shares of 1, not {self.tau} and {self.same}")
        if not 0.0 <= self.presence < 1.0 or min(self.min_lift, self.min_loss) < 0.0:
            raise ConfigError("presence lies in [0, 1); min_lift and min_loss are not negative")


@dataclass(frozen=True)
class DroppedRelation:
    """An edge over tau that is not in the graph, and why."""

    relation: Relation
    reason: DropReason


@dataclass(frozen=True)
class RelationGraph:
    """The final edges (acyclic, transitively reduced, strongest first), and what was left out."""

    relations: tuple[Relation, ...]
    synonyms: tuple[tuple[int, ...], ...] = ()  # groups that imply each other, sorted
    dropped: tuple[DroppedRelation, ...] = ()


def relations(
    codes_MN: sparse.csr_array,
    decoder_ND: NDArray[np.floating],
    patches: int,
    config: RelationConfig | None = None,
    removal: Removal | None = None,
) -> RelationGraph:
    """The concept graph of a data set.

    Args:
        codes_MN: activations >= 0 of all patches, image after image.
        decoder_ND: decoder directions; their cosine tells *is-a* from *part-of*.
        patches: P, patches per image.
        config: thresholds.
        removal: of `core.reconstruction.removal_costs` on the same patches, for the
            reconstruction test; None leaves it out.
    """
    config = config or RelationConfig()
    counts = cooccurrence(codes_MN, patches, config.presence, least=LEAST)
    regions = None if removal is None else Regions(removal, strong_part(codes_MN, config.presence))
    return relation_graph(counts, decoder_ND, config, regions)


@dataclass(frozen=True, eq=False)
class Regions:
    """What the reconstruction test needs: costs of removal, and where concepts are present."""

    removal: Removal
    present_MN: sparse.csr_array


def relation_graph(
    counts: Cooccurrence,
    decoder_ND: NDArray[np.floating],
    config: RelationConfig,
    regions: Regions | None = None,
) -> RelationGraph:
    """The concept graph from counts; see `relations`."""
    pairs = _candidates(counts, decoder_ND, config)
    pairs, weak = _split_weak(pairs, counts, config)
    strong = {(r.child, r.parent): r.weight for r in pairs}
    mutual, one_way, lesser = [], [], []
    for edge in pairs:
        back = strong.get((edge.parent, edge.child), 0.0)
        if min(edge.weight, back) > config.same:
            mutual.append(edge)
        elif edge.weight > back or (edge.weight == back and edge.child > edge.parent):
            one_way.append(edge)
        else:
            lesser.append(edge)
    synonyms = _groups((r.child, r.parent) for r in mutual)
    group = {concept: g for g, members in enumerate(synonyms) for concept in members}
    inside = [r for r in one_way if _same(group, r.child, r.parent)]
    outside = [r for r in one_way if not _same(group, r.child, r.parent)]
    outside, needless = _tested(outside, regions, config.min_loss)
    kept, circles = _break_circles(outside)
    kept, implied = _reduce(kept)
    dropped = (
        *weak,
        *_dropped(inside, "synonym"),
        *_dropped(lesser, "direction"),
        *needless,
        *circles,
        *implied,
    )
    return RelationGraph(tuple(_ordered(kept)), synonyms, dropped)


def _same(group: dict[int, int], a: int, b: int) -> bool:
    return a in group and group[a] == group.get(b)


def _candidates(
    counts: Cooccurrence, decoder_ND: NDArray[np.floating], config: RelationConfig
) -> list[Relation]:
    """Every pair over tau, in a fixed order."""
    share = counts.conditional_NN.tocoo()
    over = (share.data > config.tau) & (share.row != share.col)
    child_E, parent_E, weight_E = share.row[over], share.col[over], share.data[over]
    if not len(child_E):
        return []
    is_a_E = _cosine(decoder_ND, child_E, parent_E) >= config.similar
    is_a_E |= _coverage(counts, child_E, parent_E) >= config.same_area
    support_E = counts.patches_N[child_E]
    rows = zip(child_E, parent_E, is_a_E, weight_E, support_E, strict=True)
    return _ordered(
        Relation(int(i), int(j), "is-a" if a else "part-of", float(w), int(n))
        for i, j, a, w, n in rows
    )


def _cosine(decoder_ND: NDArray[np.floating], a_E: Indices, b_E: Indices) -> Floats:
    norms_N = np.maximum(np.linalg.norm(decoder_ND, axis=1, keepdims=True), 1e-12)
    unit_ND = decoder_ND / norms_N
    return np.asarray(np.einsum("ed,ed->e", unit_ND[a_E], unit_ND[b_E]), np.float64)


def _coverage(counts: Cooccurrence, child_E: Indices, parent_E: Indices) -> Floats:
    """Of the parent's patches in images with the child: the share where the child fires too."""
    found_IN = counts.images_IN.tocsc()
    joint_E = np.asarray(counts.joint_NN[child_E, parent_E]).ravel()
    with_child = (found_IN[:, child_E] > 0).multiply(found_IN[:, parent_E])
    area_E = np.asarray(with_child.sum(axis=0)).ravel()
    return np.asarray(joint_E / np.maximum(area_E, 1), np.float64)


def _ordered(edges: Iterable[Relation]) -> list[Relation]:
    return sorted(edges, key=lambda r: (-r.weight, r.child, r.parent))


def _dropped(edges: Iterable[Relation], reason: DropReason) -> list[DroppedRelation]:
    return [DroppedRelation(edge, reason) for edge in edges]


def _split_weak(
    edges: list[Relation], counts: Cooccurrence, config: RelationConfig
) -> tuple[list[Relation], list[DroppedRelation]]:
    """Set apart what rests on too little data, or is no more frequent than chance."""
    if not edges:
        return [], []
    found_IN = counts.found_IN
    children, parents = [r.child for r in edges], [r.parent for r in edges]
    both_IE = found_IN[:, children].multiply(found_IN[:, parents])
    both_E = np.asarray(both_IE.sum(axis=0)).ravel()
    prior_N = counts.patches_N / max(counts.patches, 1)
    kept, dropped = [], []
    for edge, images in zip(edges, both_E, strict=True):
        if edge.support < config.min_patches or images < config.min_images:
            dropped.append(DroppedRelation(edge, "support"))
        elif edge.weight < config.min_lift * prior_N[edge.parent]:
            dropped.append(DroppedRelation(edge, "chance"))
        else:
            kept.append(edge)
    return kept, dropped


def _tested(
    edges: list[Relation], regions: Regions | None, min_loss: float
) -> tuple[list[Relation], list[DroppedRelation]]:
    """Set apart the edges whose parent makes no difference to the child's region."""
    if regions is None or not edges:
        return edges, []
    child_E = np.array([edge.child for edge in edges])
    parent_E = np.array([edge.parent for edge in edges])
    found = region_losses(regions.removal, regions.present_MN, child_E, parent_E)
    told = [replace(r, loss=float(x)) for r, x in zip(edges, found.loss_E, strict=True)]
    rests_E = (found.loss_E >= min_loss) & (found.loss_E > found.chance_E)
    kept = [edge for edge, rests in zip(told, rests_E, strict=True) if rests]
    lost = [edge for edge, rests in zip(told, rests_E, strict=True) if not rests]
    return kept, _dropped(lost, "reconstruction")


def _groups(pairs: Iterable[tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    graph = nx.Graph()
    graph.add_edges_from(pairs)
    return tuple(sorted(tuple(sorted(part)) for part in nx.connected_components(graph)))


def _break_circles(edges: list[Relation]) -> tuple[list[Relation], list[DroppedRelation]]:
    """Keep edges from the strongest down, leaving out each that would close a circle."""
    graph = nx.DiGraph((r.child, r.parent) for r in edges)
    component = {
        node: c for c, part in enumerate(nx.strongly_connected_components(graph)) for node in part
    }
    kept, dropped = [], []
    grown: dict[int, nx.DiGraph] = defaultdict(nx.DiGraph)  # only inside a component can one close
    for edge in edges:
        if component[edge.child] != component[edge.parent]:
            kept.append(edge)
            continue
        part = grown[component[edge.child]]
        part.add_nodes_from((edge.child, edge.parent))
        if nx.has_path(part, edge.parent, edge.child):
            dropped.append(DroppedRelation(edge, "circle"))
        else:
            part.add_edge(edge.child, edge.parent)
            kept.append(edge)
    return kept, dropped


def _reduce(edges: list[Relation]) -> tuple[list[Relation], list[DroppedRelation]]:
    """Leave out each edge that a longer path implies already."""
    graph = nx.DiGraph((r.child, r.parent) for r in edges)
    needed = set(nx.transitive_reduction(graph).edges)
    kept = [r for r in edges if (r.child, r.parent) in needed]
    implied = [r for r in edges if (r.child, r.parent) not in needed]
    return kept, _dropped(implied, "implied")
