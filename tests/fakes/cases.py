"""What the fake services show: phantoms with cues, trees and maps made from their true masks."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.phantoms import ARTEFACTS, CLASSES, NOTICE, PLANTED, Phantom, generate
from dashboard.viewmodels import (
    AssessmentView,
    CaseView,
    ClassSetView,
    CueView,
    DrawingView,
    FlipView,
    LayerView,
    LeverView,
    NameEvent,
    NodeView,
    NoteView,
    PeerView,
    RegionView,
    RunView,
    VerdictView,
    WhatIfView,
)
from dashboard.viewmodels.queue import UndoneView

START = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
GRID = 24
HOSTILE = '<img src=x onerror="document.title=1"> & 😀'
LEVELS = {"lesion": 0, "skin": 0, "artefact": 0}
WEIGHTS = {
    "ruler": 1.9, "atypical network": 0.9, "blue-white veil": 1.2, "irregular border": 0.6,
    "streaks": 0.7, "globules": 0.3, "lesion": 0.2, "skin": -0.15, "regression": 0.5,
    "colour sticker": -1.1, "hair": 0.1, "ink marking": 0.4, "dark vignette": 0.3,
    "regular border": -0.5, "typical network": -0.8, "milia-like cysts": -0.6,
    "comedo-like openings": -0.6,
}  # fmt: skip


PEERS = (
    (PeerView("Dr Bright", "spurious", "everywhere", "artefact"),),
    (PeerView("Dr Bright", "correct", "here", None), PeerView("Dr Chen", "unsure", "here", None)),
    (),
)


def uid(*parts: object) -> str:
    """A stable uuid for a thing named by its parts."""
    return str(uuid5(NAMESPACE_URL, "/".join(map(str, parts))))


@cache
def phantom(index: int) -> Phantom:
    """Phantom number `index` of the fakes' series, with the demo's planted shortcuts."""
    return generate(index, seed=5, size=160, shortcuts=PLANTED, strength=0.95)


@dataclass
class Book:
    """What the fakes remember."""

    cases: int = 6
    notice: str | None = NOTICE
    hostile: bool = False
    lost: frozenset[str] = frozenset()  # ids of images whose file is gone
    reviewers: dict[str, str] = field(default_factory=dict)
    verdicts: list[tuple[str, str, VerdictView]] = field(default_factory=list)  # cue, reviewer
    undone: dict[str, UndoneView] = field(default_factory=dict)
    assessments: dict[tuple[str, str], AssessmentView] = field(default_factory=dict)
    revisions: dict[tuple[str, str], int] = field(default_factory=dict)  # of the assessments
    drawings: dict[tuple[str, str], dict[str, DrawingView]] = field(default_factory=dict)
    notes: dict[str, list[NoteView]] = field(default_factory=dict)  # by case
    names: dict[str, list[NameEvent]] = field(default_factory=dict)
    runs: dict[str, RunView] = field(default_factory=dict)

    def standing(self, cue_id: str, reviewer_id: str) -> VerdictView | None:
        """The newest verdict of one reviewer on one cue."""
        mine = [v for cue, who, v in self.verdicts if (cue, who) == (cue_id, reviewer_id)]
        return mine[-1] if mine else None

    def name_of(self, concept: str) -> str:
        """The name that stands."""
        given = self.names.get(uid("concept", concept))
        return given[-1].name if given else concept


def case_view(book: Book, at: int, ids: list[str], reviewer_id: str) -> CaseView:
    shown = phantom(at)
    prediction = "melanoma" if "ruler" in shown.cues or shown.label == "melanoma" else CLASSES[0]
    cues = _cues(book, at, shown, reviewer_id, 1.0 if prediction == "melanoma" else -1.0)
    logit = 0.31 + sum(cue.contribution for cue in cues)
    sure = 0.55 + 0.4 * (1 - np.exp(-abs(logit) / 2))
    rest = [name for name in CLASSES if name != prediction]
    strongest = cues[0]
    return CaseView(
        id=ids[at], position=at + 1, total=len(ids), image_id=uid("image", at),
        image_name=f"phantom_{at:04d}.png", image_sha256="ab" * 32, width=160, height=160,
        label=shown.label, split="train", prediction=prediction, confidence=float(sure),
        logit=logit, bias=0.31,
        probabilities=(
            (prediction, sure), (rest[0], 0.7 * (1 - sure)), (rest[1], 0.3 * (1 - sure)),
        ),
        reconstruction=0.83, other=-0.12, cues=cues, tree=_tree(cues),
        narrative=(
            f"Likely {prediction}. The decision rests mostly on the {strongest.name}; without it "
            f"the score would fall by {strongest.causal_effect:.2f} logit. The concepts explain "
            "83 % of what the encoder sees, so a part of the reason may be missing."
        ),
        assessment=book.assessments.get((ids[at], reviewer_id)), version_hash="9f3c1ab7" * 8,
        previous_id=ids[at - 1] if at else None, next_id=ids[at + 1] if at + 1 < len(ids) else None,
        class_set=ClassSetView(
            (prediction, rest[0]) if at % 2 else CLASSES, 0.9, at % 2 == 1,
            "Holds the truth in 9 of 10 cases like these.",
        ),
        flip=FlipView(
            ((strongest.name, strongest.activation, 0.0),), rest[0], 0.4, rest[0]
        ),
        trust=(0.81, 0.62, 0.31)[at % 3], layers=LAYERS,
        what_if=_what_if(cues, prediction, (prediction, *rest), sure),
    )  # fmt: skip


LAYERS = (
    LayerView("mask", "Ground truth", "mask", "", "What a person drew"),
    LayerView("grad-cam", "Grad-CAM", "attribution", "", "Gradient times activation"),
)


def _what_if(
    cues: tuple[CueView, ...], prediction: str, ranked: tuple[str, ...], sure: float
) -> WhatIfView:
    """Levers whose weights give the cues' own contributions to the predicted class."""
    shares = dict(zip(ranked, (sure, 0.7 * (1 - sure), 0.3 * (1 - sure)), strict=True))

    def weights(cue: CueView) -> tuple[float, ...]:
        own = cue.contribution / cue.activation
        return tuple(own if name == prediction else -0.5 * own for name in CLASSES)

    levers = tuple(
        LeverView(cue.concept_id, cue.concept, cue.name, cue.activation, 2.4, weights(cue))
        for cue in cues
    )
    other = LeverView(uid("concept", "crust"), 77, "crust", 0.0, 1.8, (0.4, -0.9, 0.3))
    logits = tuple(1.3 * float(np.log(shares[name])) for name in CLASSES)
    return WhatIfView(CLASSES, logits, 1.3, (*levers, other))


def _cues(
    book: Book, at: int, shown: Phantom, reviewer_id: str, sign: float
) -> tuple[CueView, ...]:
    rng = np.random.default_rng(at)
    rows = []
    for name in shown.cues:
        activation = 0.6 + float(rng.random())
        contribution = sign * WEIGHTS[name] * activation
        rows.append((contribution * float(rng.uniform(0.6, 1.1)), contribution, activation, name))
    rows.sort(key=lambda row: -abs(row[0]))
    views = []
    for rank, (effect, contribution, activation, name) in enumerate(rows[:8]):
        map_GV = map_of(shown.masks[name], rng)
        cue_id = uid("cue", at, name)
        mine = book.standing(cue_id, reviewer_id)
        shown_name = HOSTILE if book.hostile and rank == 1 else book.name_of(name)
        views.append(
            CueView(
                id=cue_id, letter="ABCDEFGH"[rank], concept_id=uid("concept", name),
                concept=40 + rank, name=shown_name, named=rank != 6, level=LEVELS.get(name, 2),
                activation=activation, contribution=contribution, causal_effect=effect,
                grid=(GRID, GRID), map_u8=map_GV.tobytes(), regions=_regions(map_GV), mine=mine,
                agree_note="Contribution and causal effect disagree: other concepts carry the same "
                "information." if rank == 3 else None,
                trust=(0.86, 0.64, 0.58, 0.22)[rank % 4], peers=PEERS[rank % 3],
            )
        )  # fmt: skip
    return tuple(views)


def map_of(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.uint8]:
    small = Image.fromarray(mask.astype(np.uint8) * 255).resize((GRID, GRID), Image.Resampling.BOX)
    values = np.asarray(small, dtype=np.float64) / 255
    values = np.sqrt(values) * rng.uniform(0.7, 1.0, values.shape)
    top = values.max() or 1.0
    return np.rint(255 * values / top).astype(np.uint8)


def _regions(map_GV: NDArray[np.uint8]) -> tuple[RegionView, ...]:
    rows, columns = np.nonzero(map_GV >= 128)
    if not len(rows):
        return ()
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    return (RegionView(*(float(v) / GRID for v in box), area=len(rows) / GRID**2),)


def _tree(cues: tuple[CueView, ...]) -> tuple[NodeView, ...]:
    def leaf(cue: CueView, kind: str | None) -> NodeView:
        return NodeView(
            cue.concept_id, cue.concept, cue.name, kind, cue.contribution, cue.contribution, cue.id
        )

    artefacts = [c for c in cues if c.level == 2 and c.name in ARTEFACTS]
    inside = [c for c in cues if c.level == 2 and c not in artefacts]
    rest = tuple(leaf(c, None) for c in cues if c.level == 0)

    def parent(name: str, children: list[CueView], kind: str) -> NodeView:
        total = sum(c.contribution for c in children)
        under = tuple(leaf(c, kind) for c in children)
        return NodeView(uid("concept", name), 3, name, None, 0.0, total, None, under)

    found = ((parent("artefact", artefacts, "is-a"),) if artefacts else ()) + rest
    return ((parent("lesion structure", inside, "part-of"), *found)) if inside else found


def png(rgb: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "PNG")
    return out.getvalue()
