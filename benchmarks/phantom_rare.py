"""Phantoms on which artefacts are rare: does it matter then which cases people look at?

As the usual world (`benchmarks.phantom_project`), but a ruler or a colour sticker lies on 12 % of
the cases to learn from instead of on nearly all: a ruler with melanoma, a sticker with naevus, and
against the label in 1 of 20 of them (about 7 of 1200). `same` is drawn alike, `reversed` is the
usual one: nearly every case shows an artefact, of the wrong class. Hairs, ink and dark corners are
as frequent as ever and tell nothing; a reviewer who meets them as a cue calls them spurious too.

The model that is judged is the shipped one: it has learnt the full shortcut elsewhere, and comes to
a site where rulers are rare. So every refit on this site's cases mends most of it, whatever was
said; `refit` tells how much, and what lies above it is what words add.

Legend: I phantoms; N concepts.
"""

import numpy as np

from benchmarks.phantom_project import KINDS, Kind, Said, Sizes, World, build
from core.heads import LinearHead, fit_head
from core.phantoms.dataset import Split
from core.phantoms.generator import generate
from core.phantoms.spec import CLASSES, PLANTED, Shortcut

RARE_SERIES = 45_000
SHOWN = 0.12  # share of cases with a ruler or a colour sticker
CONTRADICT = 0.05  # share of those in which it goes against the label
BUDGETS = (10, 25, 50)


def rates() -> tuple[float, float]:
    """P(artefact | the class that it goes with) and P(artefact | another class), of either one.

    Both artefacts are as frequent, and so are the three classes.
    """
    together = SHOWN / len(PLANTED) * len(CLASSES)  # P over the classes, added up
    return (1 - CONTRADICT) * together, CONTRADICT * together / (len(CLASSES) - 1)


def rare(seed: int, sizes: Sizes) -> Kind:
    """What each row is: artefacts by `rates`, and the usual reversed phantoms at the end."""
    tail = sizes.train + sizes.same
    kinds = [_kind(seed, row) for row in range(tail)]
    return lambda row: kinds[row] if row < tail else KINDS[1]


def _kind(seed: int, row: int) -> Split:
    """A phantom whose artefacts are decided here.

    The generator shows an artefact with `strength` in one class and 1 - strength in the others, so
    with strength 1 it shows for certain where its class is the phantom's own, and else never.
    """
    own = generate(row, seed=RARE_SERIES + seed, size=64).label
    other = next(label for label in CLASSES if label != own)
    with_it, without = rates()
    chance = np.random.default_rng((seed, 12, row)).random(len(PLANTED))
    shortcuts = tuple(
        Shortcut(each.cue, own if draw < (with_it if each.label == own else without) else other)
        for each, draw in zip(PLANTED, chance, strict=True)
    )
    return Split("", 0, shortcuts, 1.0)


def rare_world(seed: int, sizes: Sizes) -> World:
    """The phantoms of one seed under the shipped model."""
    return build(seed, sizes, series=RARE_SERIES, kind=rare(seed, sizes))


def refit(world: World) -> LinearHead:
    """A head on the world's own cases, without a word of anybody."""
    rows, head = world.train, world.bundle.head
    return fit_head(
        world.pooled_IN[rows], world.labels_I[rows], head.classes,
        pooling=head.pooling, seed=world.seed,
    )  # fmt: skip


def met(world: World, said: Said) -> int:
    """Cases looked at that show a ruler or a colour sticker."""
    return int(world.shown_I2[list(said.seen)].any(1).sum()) if said.seen else 0
