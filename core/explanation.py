"""Why a model decided as it did: an additive, causally checked, located explanation.

Shape legend: G, V rows and columns of the patch grid (P = G*V); D embedding; N concepts;
C classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from core.causal import Dictionary, causal_effects
from core.errors import ConfigError
from core.heads import Float64Array, LinearHead
from core.hierarchy import case_forest
from core.narrative import disagreement, narrate
from core.regions import REGION_SHARE, components, region_of
from core.types import (
    ConceptName,
    Contribution,
    Cue,
    EncoderInfo,
    Explanation,
    Provenance,
    Relation,
)

CANDIDATES = 12
"""Concepts with the largest |contribution| that are tested causally."""
TOP = 8
"""Cues shown."""

__all__ = ["Explainable", "disagreement", "explain", "other_contribution", "reconstruction"]


class ExplainableDictionary(Dictionary, Protocol):
    """A sparse autoencoder with levels and a decoder for dense activations."""

    @property
    def levels_N(self) -> Tensor: ...

    def decode(self, codes: Tensor) -> Tensor:
        """Tokens float32 [M, D] from dense activations [M, N]."""


class ExplainableManifest(Protocol):
    """The part of a bundle's manifest that an explanation quotes."""

    @property
    def version_hash(self) -> str: ...
    @property
    def parent(self) -> str | None: ...
    @property
    def encoder(self) -> EncoderInfo: ...
    @property
    def dictionary_hash(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def snapshot_hash(self) -> str | None: ...
    @property
    def code_version(self) -> str: ...


class Explainable(Protocol):
    """What is needed of a model bundle (core.artifacts.ModelBundle has it)."""

    @property
    def manifest(self) -> ExplainableManifest: ...
    @property
    def sae(self) -> ExplainableDictionary: ...
    @property
    def head(self) -> LinearHead: ...
    @property
    def relations(self) -> Sequence[Relation]: ...
    @property
    def names(self) -> Sequence[ConceptName]: ...


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
    acts_PN = bundle.sae.encode_dense(tokens_PD)
    pooled_N = acts_PN.amax(0).double().numpy()
    logits_C = head.logits(pooled_N[None])[0]
    probs_C = head.probabilities(pooled_N[None])[0]
    predicted = int(logits_C.argmax())
    target = predicted if class_index is None else class_index
    contribution_N = head.contributions(pooled_N, target)
    label = _Names(bundle.names, names or {})
    present = [int(k) for k in np.flatnonzero(pooled_N)]
    parts = _Parts(
        prediction=head.classes[predicted],
        logit=float(logits_C[target]),
        bias=float(head.bias_C[target]),
        probabilities=tuple(zip(head.classes, map(float, probs_C), strict=True)),
        cues=_cues(bundle, tokens_PD, acts_PN, contribution_N, target, label, top, candidates),
        reconstruction=reconstruction(bundle.sae, tokens_PD, acts_PN),
    )
    return Explanation(
        **vars(parts),
        class_index=target,
        confidence=float(probs_C[predicted]),
        contributions=_contributions(contribution_N, label),
        hierarchy=case_forest(
            bundle.relations,
            {k: float(contribution_N[k]) for k in present},
            {k: label.of(k) for k in present},
        ),
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


def other_contribution(explanation: Explanation) -> float:
    """Contribution of all concepts that are not shown as cues, logit units."""
    shown = {cue.concept for cue in explanation.cues}
    return float(sum(c.value for c in explanation.contributions if c.concept not in shown))


@torch.no_grad()
def reconstruction(
    sae: ExplainableDictionary, tokens_PD: Tensor, acts_PN: Tensor | None = None
) -> float:
    """1 - FVU of one image's tokens, in (-inf, 1]: the share of variance the concepts explain.

    FVU = sum_p |x_p - decode(encode(x_p))|^2 / sum_p |x_p - mean(x)|^2. For tokens that are all
    alike the share is 1 where they are reconstructed to rounding error, else 0.
    """
    acts = sae.encode_dense(tokens_PD) if acts_PN is None else acts_PN
    x_PD = tokens_PD.double()
    error = float((x_PD - sae.decode(acts).double()).square().sum())
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
    order = np.argsort(-np.abs(value_N), kind="stable")
    return [int(k) for k in order[:count] if value_N[k] != 0]


def _cues(
    bundle: Explainable, tokens_PD: Tensor, acts_PN: Tensor, contribution_N: Float64Array,
    target: int, label: _Names, top: int, candidates: int,
) -> tuple[Cue, ...]:  # fmt: skip
    chosen = _largest(contribution_N, candidates)
    effect_K = causal_effects(bundle.sae, bundle.head, tokens_PD, chosen, target, acts_PN=acts_PN)
    order = np.argsort(-np.abs(effect_K), kind="stable")[:top]
    cues = []
    for k in order:
        concept = chosen[k]
        map_GV = acts_PN[:, concept].reshape(bundle.manifest.encoder.grid).numpy().copy()
        region_GV = region_of(map_GV, REGION_SHARE)
        cues.append(
            Cue(
                concept=concept,
                name=label.of(concept),
                named=label.named(concept),
                level=int(bundle.sae.levels_N[concept]),
                activation=float(map_GV.max()),
                contribution=float(contribution_N[concept]),
                causal_effect=float(effect_K[k]),
                map_GV=map_GV,
                region_GV=region_GV,
                regions=components(region_GV),
            )
        )
    return tuple(cues)


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
