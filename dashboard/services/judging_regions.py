"""Spurious mass: how much of each decision is drawn from the regions that people rejected.

Measured on the very cases on which the regions were marked, before and after. These cases taught
the run, so the figure does not say how well it does on new ones; it says whether the model still
reads its evidence off the places that were pointed at.

Legend: J marked cases, P patches, N concepts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from core.heads import LinearHead
    from core.judgement import Figure

KEY: Final = "spurious_mass"
MOST: Final = 300  # cases; drawn evenly where more are marked
Key = TypeVar("Key", bound=Hashable)
Patches = Callable[[Key], NDArray[Any]]
"""A case -> its inference activations [P, N] under one version."""


def region_figure(
    before: tuple[LinearHead, Patches[Key]], after: tuple[LinearHead, Patches[Key]],
    regions: Mapping[Key, NDArray[np.bool_]], *, seed: int = 0,
) -> tuple[Figure, int] | None:  # fmt: skip
    """Spurious mass of both versions and over how many cases; None where nothing is marked.

    Args:
        before, after: a head and what gives the activations of a case.
        regions: case -> rejected patches; a case whose grid fits neither version is left out.
        seed: of the bootstrap over cases.
    """
    from core.decided import share_of
    from core.judgement import Figure
    from core.resampling import bootstrap

    marked = [key for key, region_P in regions.items() if region_P.any()]
    step = max(1, -(-len(marked) // MOST))  # every second, third, ... where more are marked
    found = []
    for key in marked[::step]:
        pair = [_mass(head, acts_of(key), regions[key]) for head, acts_of in (before, after)]
        if all(each is not None for each in pair):
            found.append([*(pair[0] or ()), *(pair[1] or ())])
    if not found:
        return None
    mass_J4 = np.array(found)
    drawn = bootstrap(
        {
            "before": share_of(mass_J4[:, 0], mass_J4[:, 1]),
            "after": share_of(mass_J4[:, 2], mass_J4[:, 3]),
        },
        seed=seed,
    )
    apart = drawn["after"].minus(drawn["before"])
    figure = Figure(
        KEY, drawn["before"].estimate(0.0, 1.0), drawn["after"].estimate(0.0, 1.0),
        apart.estimate(-1.0, 1.0), apart.p_zero(),
    )  # fmt: skip
    return figure, len(found)


def patches_of(sae: Any, tokens_of: Callable[[Key], NDArray[Any]]) -> Patches[Key]:
    """Activations of a case from its tokens [P, D] under an autoencoder."""
    import torch

    def acts(key: Key) -> NDArray[Any]:
        with torch.no_grad():
            found: NDArray[Any] = sae.encode_dense(torch.from_numpy(tokens_of(key))).numpy()
        return found

    return acts


def _mass(
    head: LinearHead, acts_PN: NDArray[Any], region_P: NDArray[np.bool_]
) -> tuple[float, float] | None:
    from core.region_mass import region_mass

    return region_mass(head, acts_PN, region_P) if len(acts_PN) == len(region_P) else None
