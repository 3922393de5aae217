"""Why a model decided as it did: an additive, causally checked, located explanation.

Shape legend: G, V rows and columns of the patch grid (P = G*V); D embedding; N concepts;
C classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from core.agreement import doubts, rank_agreement
from core.ancestry import ancestry_of
from core.causal import effects_of
from core.codes import Codes
from core.counterfactual import counterfactual
from core.errors import ConfigError
from core.heads import Float64Array, LinearHead
from core.hierarchy import case_forest
from core.narrative import disagreement, narrate
from core.reading import Dictionary, Reading, read_image
from core.regions import REGION_SHARE, components, region_of
from core.types import (
    ClassSet,
    ConceptName,
    Contribution,
    Counterfactual,
    Cue,
    EncoderInfo,
    Explanation,
    HierarchyNode,
    Provenance,
    Relation,
)

CANDIDATES = 12
"""Concepts with the largest |contribution| that are tested causally."""
REREAD_MOST = 32
"""Counterfactuals of more removals are not tested on the tokens: nobody could use them anyway."""
TOP = 8
"""Cues shown."""

__all__ = ["Explainable", "disagreement", "explain", "flip", "other_contribution", "reconstruction"]


class ExplainableDictionary(Dictionary, Protocol):
    """A sparse autoencoder with levels and a decoder."""

    @property
    def levels_N(self) -> Tensor:
        """Level of every concept, int64 [N]; 0 is the most general."""
        ...

    def decode(self, codes: Codes | Tensor) -> Tensor:
        """Tokens float32 [M, D] from codes, or from dense activations [M, N]."""
        ...


class ExplainableManifest(Protocol):
    """The part of a bundle's manifest that an explanation quotes."""

    @property
    def version_hash(self) -> str:
        """Of the model version, hex."""
        ...

    @property
    def parent(self) -> str | None:
        """Version that it was made from."""
        ...

    @property
    def encoder(self) -> EncoderInfo:
        """Encoder that the tokens must come from."""
        ...

    @property
    def dictionary_hash(self) -> str:
        """Of the concepts, hex."""
        ...

    @property
    def seed(self) -> int:
        """Of the run that made it."""
        ...

    @property
    def snapshot_hash(self) -> str | None:
        """Of the verdicts that it learned from."""
        ...

    @property
    def code_version(self) -> str:
        """Of the engine that made it."""
        ...


class Explainable(Protocol):
    """What is needed of a model bundle (core.artifacts.ModelBundle has it)."""

    @property
    def manifest(self) -> ExplainableManifest:
        """What the version is."""
        ...

    @property
    def sae(self) -> ExplainableDictionary:
        """Its concepts."""
        ...

    @property
    def head(self) -> LinearHead:
        """Its decision."""
        ...

    @property
    def relations(self) -> Sequence[Relation]:
        """Edges between concepts."""
        ...

    @property
    def names(self) -> Sequence[ConceptName]:
        """The model's own name of every concept."""
        ...


@torch.no_grad()
def explain(
    bundle: Explainable,
    tokens_PD: Tensor,
    *,
    image_sha256: str,
    names: Mapping[int, str] | None = None,
    class_index: int | None = None,
    top: int = TOP,
    candidates: int = CANDIDATES,
) -> Explanation:
    """Explain one decision from the image's dense tokens.

    The `candidates` concepts with the largest |contribution| to the explained class are removed
    one by one (core.causal); the `top` ones whose removal moves the logit most are the cues.

    Args:
        tokens_PD: float32 tokens of the image, in row-major grid order.
        image_sha256: hash of the image file, for the provenance.
        names: names given by people, by concept; they go before the model's own.
        class_index: class to explain; None explains the predicted one.
        top, candidates: >= 1.

    Raises:
        ConfigError: the tokens do not fit the encoder's grid, or a setting is out of range.
    """
    head = bundle.head
    _check(tokens_PD, bundle.manifest.encoder.grid, head, class_index, top, candidates)
    seen = read_image(bundle.sae, tokens_PD, head.pooling)
    logits_C = head.logits(seen.pooled_N[None])[0]
    probs_C = head.probabilities(seen.pooled_N[None])[0]
    predicted = int(logits_C.argmax())
    target = predicted if class_index is None else class_index
    contribution_N = head.contributions(seen.pooled_N, target)
    label = _Names(bundle.names, names or {})
    cues, rank = _cues(bundle, seen, contribution_N, target, label, top, candidates)
    parts = _Parts(
        prediction=head.classes[predicted],
        logit=float(logits_C[target]),
        bias=float(head.bias_C[target]),
        probabilities=tuple(zip(head.classes, map(float, probs_C), strict=True)),
        cues=cues,
        reconstruction=reconstruction(bundle.sae, tokens_PD, seen.codes),
        class_set=head.conformal.class_set(logits_C, head.classes) if head.conformal else None,
        counterfactual=flip(head, seen, label.of),
        rank_agreement=rank,
    )
    return Explanation(
        **vars(parts),
        class_index=target,
        confidence=float(probs_C[predicted]),
        contributions=_contributions(contribution_N, label),
        hierarchy=_forest(bundle.relations, seen, contribution_N, label),
        narrative=narrate(explained=head.classes[target], **vars(parts)),
        provenance=_provenance(bundle.manifest, image_sha256),
    )


@dataclass(frozen=True)
class _Parts:
    """What the explanation and its narrative both tell."""

    prediction: str
    logit: float
    bias: float
    probabilities: tuple[tuple[str, float], ...]
    cues: tuple[Cue, ...]
    reconstruction: float
    class_set: ClassSet | None
    counterfactual: Counterfactual | None
    rank_agreement: float | None


def flip(
    head: LinearHead, seen: Reading, names: Callable[[int], str] | None = None
) -> Counterfactual | None:
    """The fewest concepts to take away, else to change, for another decision (core.counterfactual).

    Removals go first: that a thing were not there is easier to judge than that another were as
    strong as it ever was. Removals are then tested on the tokens, see Counterfactual.reread.
    """
    found = counterfactual(head, seen.pooled_N, names=names)
    if found is None:
        if head.upper_N is None:
            return None
        return counterfactual(head, seen.pooled_N, upper_N=head.upper_N, names=names)
    if len(found.changes) > REREAD_MOST:
        return found
    after_N = seen.without([change.concept for change in found.changes])
    decision = head.classes[int(head.logits(after_N[None])[0].argmax())]
    return replace(found, reread=decision)


def other_contribution(explanation: Explanation) -> float:
    """Contribution of all concepts that are not shown as cues, logit units."""
    shown = {cue.concept for cue in explanation.cues}
    return float(sum(c.value for c in explanation.contributions if c.concept not in shown))


@torch.no_grad()
def reconstruction(
    sae: ExplainableDictionary, tokens_PD: Tensor, codes: Codes | None = None
) -> float:
    """1 - FVU of one image's tokens, in (-inf, 1]: the share of variance the concepts explain.

    FVU = sum_p |x_p - decode(encode(x_p))|^2 / sum_p |x_p - mean(x)|^2. For tokens that are all
    alike the share is 1 where they are reconstructed to rounding error, else 0.

    Args:
        codes: of the tokens, if they are at hand already.
    """
    rebuilt_PD = sae.decode(read_image(sae, tokens_PD).codes if codes is None else codes)
    x_PD = tokens_PD.double()
    error = float((x_PD - rebuilt_PD.double()).square().sum())
    spread = float((x_PD - x_PD.mean(0)).square().sum())
    size = float(x_PD.square().sum())
    if spread <= 1e-12 * max(size, 1.0):
        return 1.0 if error <= 1e-6 * max(size, 1.0) else 0.0
    return 1.0 - error / spread


class _Names:
    """The name to show for a concept: a person's, else the model's, else "concept N"."""

    def __init__(self, own: Sequence[ConceptName], given: Mapping[int, str]) -> None:
        self.own, self.given = own, given

    def of(self, concept: int) -> str:
        return self.given.get(concept) or self.own[concept].display(concept)

    def named(self, concept: int) -> bool:
        return bool(self.given.get(concept)) or self.own[concept].name is not None


def _check(
    tokens_PD: Tensor, grid: tuple[int, int], head: LinearHead, class_index: int | None,
    top: int, candidates: int,
) -> None:  # fmt: skip
    if tokens_PD.ndim != 2 or tokens_PD.shape[0] != grid[0] * grid[1]:
        raise ConfigError(f"tokens {tuple(tokens_PD.shape)} do not fit a grid of {grid}")
    if class_index is not None and not 0 <= class_index < len(head.classes):
        raise ConfigError(f"there is no class number {class_index}")
    if top < 1 or candidates < 1:
        raise ConfigError("at least one cue must be asked for")


def _contributions(contribution_N: Float64Array, label: _Names) -> tuple[Contribution, ...]:
    """Every non-zero contribution, largest |value| first."""
    return tuple(
        Contribution(k, label.of(k), float(contribution_N[k]))
        for k in _largest(contribution_N, len(contribution_N))
    )


def _largest(value_N: Float64Array, count: int) -> list[int]:
    """Positions of the `count` largest |values| that are not zero; ties by position."""
    some_K = np.flatnonzero(value_N)
    order = np.argsort(-np.abs(value_N[some_K]), kind="stable")[:count]
    return [int(k) for k in some_K[order]]


def _cues(
    bundle: Explainable, seen: Reading, contribution_N: Float64Array, target: int,
    label: _Names, top: int, candidates: int,
) -> tuple[tuple[Cue, ...], float | None]:  # fmt: skip
    """The cues, and how far contributions and effects of all tested concepts rank alike."""
    chosen = _largest(contribution_N, candidates)
    effect_K = effects_of(seen, bundle.head, chosen, target)
    part_K = [float(contribution_N[concept]) for concept in chosen]
    doubt_K = doubts(part_K, effect_K.tolist())
    order = np.argsort(-np.abs(effect_K), kind="stable")[:top]
    levels_N = bundle.sae.levels_N
    cues = []
    for k in order:
        concept = chosen[k]
        map_GV = seen.codes.map_of(concept).reshape(bundle.manifest.encoder.grid)
        region_GV = region_of(map_GV, REGION_SHARE)
        cues.append(
            Cue(
                concept=concept,
                name=label.of(concept),
                named=label.named(concept),
                level=int(levels_N[concept]),
                activation=float(seen.pooled_N[concept]),
                contribution=part_K[k],
                causal_effect=float(effect_K[k]),
                map_GV=map_GV,
                region_GV=region_GV,
                regions=components(region_GV),
                doubts=doubt_K[k],
            )
        )
    return tuple(cues), rank_agreement(part_K, effect_K.tolist())


def _forest(
    relations: Sequence[Relation], seen: Reading, contribution_N: Float64Array, label: _Names
) -> tuple[HierarchyNode, ...]:
    present = [int(k) for k in np.flatnonzero(seen.pooled_N)]
    return case_forest(
        ancestry_of(relations).upward(present),
        {k: float(contribution_N[k]) for k in present},
        {k: label.of(k) for k in present},
    )


def _provenance(manifest: ExplainableManifest, image_sha256: str) -> Provenance:
    return Provenance(
        image_sha256=image_sha256,
        version_hash=manifest.version_hash,
        dictionary_hash=manifest.dictionary_hash,
        encoder_spec=manifest.encoder.spec,
        encoder_hash=manifest.encoder.hash,
        code_version=manifest.code_version,
        seed=manifest.seed,
        parent=manifest.parent,
        snapshot_hash=manifest.snapshot_hash,
    )
