"""Draw one dermoscopy phantom with its exact ground truth.

Three random streams per phantom (recipe, drawing, artefacts) are derived from (seed, index), so
that the same index with and without a planted shortcut shows the same lesion: a counterfactual.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.phantoms import artefacts, structures
from core.phantoms.captions import caption_for
from core.phantoms.drawing import Array, Mask, Rng, noise, smoothstep
from core.phantoms.lesion import Outline, paint_lesion, paint_skin, sample_outline
from core.phantoms.spec import ARTEFACTS, CLASSES, CUE_NAMES, Shortcut

MIN_SIZE, MAX_SIZE = 64, 1024
MIN_VISIBLE = 0.002
"""A cue counts as present when it covers at least this share of the picture."""
SIGN_RATES: dict[str, dict[str, float]] = {
    "naevus": {"typical network": 0.68, "globules": 0.5},
    "melanoma": {
        "atypical network": 0.62,
        "streaks": 0.5,
        "blue-white veil": 0.48,
        "regression": 0.38,
        "globules": 0.15,
    },
    "seborrhoeic keratosis": {"milia-like cysts": 0.72, "comedo-like openings": 0.7},
}
FOREIGN_RATES: dict[str, dict[str, float]] = {
    "naevus": {"milia-like cysts": 0.03, "regression": 0.03, "atypical network": 0.02},
    "melanoma": {"typical network": 0.06, "milia-like cysts": 0.03},
    "seborrhoeic keratosis": {"globules": 0.08, "typical network": 0.04, "blue-white veil": 0.03},
}
IRREGULAR_RATES = {"naevus": 0.08, "melanoma": 0.88, "seborrhoeic keratosis": 0.2}
FAINT_RATE = 0.15
AMBIGUOUS_RATE = 0.06
ARTEFACT_RATES = {
    "hair": 0.35,
    "ruler": 0.3,
    "colour sticker": 0.3,
    "ink marking": 0.2,
    "dark vignette": 0.3,
}


@dataclass(frozen=True)
class Plan:
    """What to draw: whose base pigment, which border, which signs and how faint (0 to 1)."""

    look: str
    irregular: bool
    signs: frozenset[str]
    faintness: float


@dataclass(frozen=True)
class Phantom:
    """One synthetic image with all that is true of it.

    image    uint8 [size, size, 3], RGB
    label    one of CLASSES
    masks    cue -> bool [size, size]; a key for every cue in `cues` and for no other
    cues     the visible cues, in the order of CUE_NAMES
    caption  one sentence naming the class and the visible signs
    """

    image: npt.NDArray[np.uint8]
    label: str
    masks: dict[str, Mask]
    cues: tuple[str, ...]
    caption: str
    seed: int
    index: int


def generate(
    index: int,
    *,
    seed: int,
    size: int = 192,
    label: str | None = None,
    shortcuts: tuple[Shortcut, ...] = (),
    strength: float | None = None,
) -> Phantom:
    """Draw phantom number `index` of the series `seed`; a pure function of its arguments.

    label      class to draw; None draws one with equal chances
    shortcuts  artefacts tied to a label with the given strength
    strength   P(cue | its label); the cue shows with 1 - strength in every other class.
               None leaves all artefacts independent of the class. 0.05 reverses a 0.95 shortcut.

    Raises ValueError for an unknown label, a size outside 64..1024 or a strength outside 0..1.
    """
    _check(size, label, strength)
    recipe, drawing, extras = (np.random.default_rng([seed, index, k]) for k in range(3))
    chosen = str(recipe.choice(CLASSES))
    chosen = label if label is not None else chosen
    image, masks, outline = _draw_lesion(drawing, size, _plan(recipe, chosen))
    present = _choose_artefacts(extras, chosen, shortcuts, strength)
    for number, (name, painter) in enumerate(artefacts.PAINTERS.items()):
        if name in present:
            own = np.random.default_rng([seed, index, 3, number])
            _cover(masks, name, painter(own, image, outline))
    pixels = _develop(drawing, image)
    visible = {n: masks[n] for n in CUE_NAMES if n in masks and masks[n].mean() > MIN_VISIBLE}
    cues = tuple(visible)
    return Phantom(pixels, chosen, visible, cues, caption_for(chosen, cues), seed, index)


def _check(size: int, label: str | None, strength: float | None) -> None:
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"size must be {MIN_SIZE} to {MAX_SIZE} px, got {size}")
    if label is not None and label not in CLASSES:
        raise ValueError(f"unknown label {label!r}; choose one of {CLASSES}")
    if strength is not None and not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength is a probability, got {strength}")


def _choose_signs(rng: Rng, label: str, least: int) -> set[str]:
    """Pick at least `least` true signs of a class, and now and then a foreign one."""
    rates = SIGN_RATES[label]
    signs = {name for name, rate in rates.items() if rng.uniform() < rate}
    core = [name for name in rates if not (label == "melanoma" and name == "globules")]
    while len(signs & set(core)) < least:
        signs.add(str(rng.choice(core)))
    foreign = FOREIGN_RATES[label]
    return signs | {name for name, rate in foreign.items() if rng.uniform() < rate}


def _plan(rng: Rng, label: str) -> Plan:
    """Decide what a lesion looks like: most are typical of their class, some lie in between.

    An ambiguous lesion has one sign of its own class and one of another, with the base pigment
    and border of either: the signs alone leave a doubt, as in the clinic.
    """
    look = label
    signs = _choose_signs(rng, label, 2 if label == "melanoma" and rng.uniform() < 0.85 else 1)
    if rng.uniform() < AMBIGUOUS_RATE:
        other = str(rng.choice([name for name in CLASSES if name != label]))
        own, alien = sorted(signs), sorted(_choose_signs(rng, other, 1))
        signs = {str(rng.choice(own)), str(rng.choice(alien))}
        look = other if rng.uniform() < 0.5 else label
    irregular = bool(rng.uniform() < IRREGULAR_RATES[look])
    return Plan(look, irregular, frozenset(signs), _faintness(rng))


def _faintness(rng: Rng) -> float:
    """How far the signs fade into the pigment: little in most lesions, much in a few."""
    faint = rng.uniform() < FAINT_RATE
    return float(rng.uniform(0.45, 0.7) if faint else rng.uniform(0.0, 0.3))


def _draw_lesion(drawing: Rng, size: int, plan: Plan) -> tuple[Array, dict[str, Mask], Outline]:
    """Skin, outline, pigment and signs; masks of all of them."""
    image = paint_skin(drawing, size)
    outline = sample_outline(drawing, size, plan.irregular)
    alpha = paint_lesion(drawing, image, outline, plan.look)
    masks: dict[str, Mask] = {}
    plain = image.copy()
    for name, painter in structures.PAINTERS.items():
        if name in plan.signs:
            masks[name] = painter(drawing, image, outline, alpha)
    image += (plain - image) * np.float32(plan.faintness)
    masks["lesion"] = np.asarray(outline.depth_HW > 0, dtype=np.bool_)
    masks["skin"] = ~masks["lesion"]
    border = "irregular border" if plan.irregular else "regular border"
    masks[border] = structures.border_mask(outline)
    return image, masks, outline


def _choose_artefacts(
    rng: Rng, label: str, shortcuts: tuple[Shortcut, ...], strength: float | None
) -> set[str]:
    """Which artefacts show. One draw per artefact, so that a shortcut changes nothing else."""
    rates = dict(ARTEFACT_RATES)
    if strength is not None:
        for shortcut in shortcuts:
            rates[shortcut.cue] = strength if label == shortcut.label else 1.0 - strength
    draws = {name: rng.uniform() for name in ARTEFACTS}
    return {name for name in ARTEFACTS if draws[name] < rates[name]}


def _cover(masks: dict[str, Mask], name: str, covered: Mask) -> None:
    """Add an artefact's mask; what lies under an opaque one is no longer visible."""
    if name in ("ruler", "colour sticker", "dark vignette"):
        for other in masks:
            masks[other] = masks[other] & ~covered
    elif name == "ink marking":
        covered = covered & ~masks["lesion"]
        masks["skin"] = masks["skin"] & ~covered
    masks[name] = covered


def _develop(rng: Rng, image: Array) -> npt.NDArray[np.uint8]:
    """The camera: uneven light, white balance, exposure and sensor noise; then uint8."""
    size = image.shape[0]
    light = 1.0 + 0.025 * noise(rng, size, 2)
    gain = (1.0 + rng.normal(0, 0.02, 3)) * rng.uniform(0.93, 1.05)
    image *= light[..., None] * gain.astype(np.float32)
    image += rng.standard_normal(image.shape, dtype=np.float32) * np.float32(2.0)
    glare = smoothstep(2.4, 3.2, noise(rng, size, 30))
    image += (18.0 * glare)[..., None]
    return np.clip(image, 0, 255).astype(np.uint8)
