"""Plain, frozen records that the engine hands out.

Shape legend: H, W pixels; G, V rows and columns of the patch grid (P = G*V patches);
D embedding; N latents of the dictionary (concepts); C classes.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
RelationKind = Literal["is-a", "part-of"]


@dataclass(frozen=True)
class EncoderInfo:
    """What an encoder is: enough to find it again and to refuse a wrong one."""

    spec: str  # "demo", "NAME/PRETRAINED_TAG" or a local folder, and options (core.encoders.spec)
    hash: str  # sha256 over config, weights and options, hex
    dim: int  # D
    grid: tuple[int, int]  # (G, V)
    image_size: int  # rows of the input in pixels


@dataclass(frozen=True)
class Region:
    """One connected component of a cue's map, in fractions of width and height."""

    x0: float  # each in [0, 1], x0 < x1, y0 < y1
    y0: float
    x1: float
    y1: float
    area: float  # share of the whole image, (0, 1]


@dataclass(frozen=True)
class RunnerUp:
    """A name that lost, with its score."""

    name: str
    score: float


@dataclass(frozen=True)
class ConceptName:
    """The model's own name for one concept; `name` is None where it abstains."""

    name: str | None
    score: float  # cosine after modality-gap correction, [-1, 1]
    margin: float  # lead over the best term neither more general nor more specific, >= 0
    runners_up: tuple[RunnerUp, ...] = ()

    def display(self, concept: int) -> str:
        """The name, or "concept 17" where the model abstained."""
        return self.name if self.name is not None else f"concept {concept}"


@dataclass(frozen=True)
class Relation:
    """A directed edge of the concept graph: `child` implies `parent`."""

    child: int
    parent: int
    kind: RelationKind
    weight: float  # activation-weighted P(parent present | child), [0, 1]
    support: int  # patches on which the child fires
    loss: float | None = None  # share of what is explained in the child's region that is lost
    # without the parent; None where it was not measured


@dataclass(frozen=True)
class Contribution:
    """Share of one concept in one logit: pooled activation times weight."""

    concept: int
    name: str
    value: float  # logit units


Doubt = Literal["redundant", "opposite", "rank", "region-silent", "region-opposite"]
"""How the figures of a cue may disagree; core.agreement defines each."""


@dataclass(frozen=True)
class ConceptChange:
    """One concept's pooled activation before and after; 0 after means that it was taken away."""

    concept: int
    name: str
    before: float  # pooled activation, >= 0
    after: float


@dataclass(frozen=True)
class Counterfactual:
    """The fewest concept changes after which the head decides otherwise."""

    changes: tuple[ConceptChange, ...]  # largest gain first
    prediction: str  # the decision after them
    lead: float  # logit units by which it then leads the former decision, > 0
    reread: str | None = None  # decision after taking the concepts out of the tokens and reading
    # the image anew; None where a change is no removal


@dataclass(frozen=True)
class ClassSet:
    """The classes that a conformal rule cannot rule out for a case."""

    classes: tuple[str, ...]  # most probable first; the prediction is always among them
    coverage: float  # share of cases like the held-out ones whose set holds the truth, (0, 1)
    informed: bool  # False where too few held-out cases were there to rule anything out
    note: str  # what the set promises and what it does not, in words


@dataclass(frozen=True)
class Cue:
    """One concept in one case, as shown to a reviewer."""

    concept: int
    name: str  # shown name: the person's, else the model's, else "concept N"
    named: bool  # False where the model abstained and no person gave a name
    level: int  # Matryoshka group, 0 = most general
    activation: float  # pooled activation, > 0
    contribution: float  # logit units, to the explained class
    causal_effect: float  # logit minus logit after removal of the concept, logit units
    map_GV: FloatArray = field(repr=False)  # activations, >= 0
    region_GV: BoolArray = field(repr=False)  # patches that belong to the cue's region
    regions: tuple[Region, ...] = ()
    doubts: tuple[Doubt, ...] = ()  # where map, sum and causal test tell different stories
    region_effect: float | None = None  # of filling the region in, logit units; None: not tested
    control_effects: tuple[float, ...] = ()  # of filling like regions elsewhere, logit units


@dataclass(frozen=True)
class HierarchyNode:
    """A node of the display forest of the concepts present in a case."""

    concept: int
    name: str
    contribution: float  # of this concept alone, logit units
    total: float  # rolled up from its children, logit units
    kind: RelationKind | None  # edge to its parent; None at a root
    children: tuple["HierarchyNode", ...] = ()


@dataclass(frozen=True)
class Provenance:
    """From where every figure of an explanation comes."""

    image_sha256: str
    version_hash: str
    dictionary_hash: str
    encoder_spec: str
    encoder_hash: str
    code_version: str
    seed: int
    parent: str | None = None
    snapshot_hash: str | None = None


@dataclass(frozen=True)
class Explanation:
    """Why the model decided as it did; contributions plus bias equal the logit."""

    prediction: str
    class_index: int
    confidence: float  # calibrated probability, [0, 1]
    logit: float
    bias: float
    probabilities: tuple[tuple[str, float], ...]  # every class, in class order
    contributions: tuple[Contribution, ...]  # every non-zero one, largest |value| first
    cues: tuple[Cue, ...]  # the ones worth showing, largest |causal effect| first
    hierarchy: tuple[HierarchyNode, ...]
    narrative: str
    reconstruction: float  # share of token variance the concepts explain, (-inf, 1]
    provenance: Provenance
    class_set: ClassSet | None = None  # None where the head has no conformal rule
    counterfactual: Counterfactual | None = None  # None where no allowed change flips the decision
    rank_agreement: float | None = None  # Spearman of |contribution| and |effect|, [-1, 1]


def as_json(explanation: Explanation) -> dict[str, Any]:
    """A JSON-ready dict of an explanation; maps become nested lists of floats."""
    from dataclasses import asdict

    raw = asdict(explanation)
    for cue in raw["cues"]:
        cue["map"] = np.round(cue.pop("map_GV"), 4).tolist()
        cue["region_mask"] = cue.pop("region_GV").astype(int).tolist()
    raw["probabilities"] = dict(raw["probabilities"])
    return raw
