"""A scripted honest reviewer: marks only what the phantoms' ground truth says.

She looks at cases in the order of the queue and at the cues in the order shown. She judges a cue
by ground truth only: "spurious" where at least half of the cue's region lies on artefacts,
"correct" where at least half lies on signs of the lesion. Per case she gives at most one verdict
of each kind, on the first cue of that kind, and spends none on cues that are neither (she would
be unsure). Every verdict she gives counts.

Legend: H, W pixels.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.phantoms import ARTEFACTS, LESION_PARTS, read_cue_masks
from dashboard.bootstrap import Services
from dashboard.viewmodels import CaseView, ProjectView

Word = Literal["spurious", "correct", "unsure"]


@dataclass(frozen=True)
class Verdicts:
    """What the reviewer did."""

    given: int
    spurious: int
    cases: int


def review(
    services: Services, project: ProjectView, *, budget: int, name: str = "Scripted Reviewer"
) -> Verdicts:
    """Gives up to `budget` verdicts through the review service, by the module's policy.

    The project's images must be phantoms with ground truth beside them.
    """
    me = services.review.sign_in(name)
    with services.uow(read_only=True) as uow:
        root = Path(uow.projects.get(project.id).root)
    given = spurious = cases = 0
    for row in services.review.queue(project.id, me):
        if given == budget:
            break
        case = services.review.case(project.id, row.case_id, me)
        cases += 1
        for cue_id, word in _words(services, case, root)[: budget - given]:
            # Ids from the content, so that a seed always gives the same snapshot.
            ident = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{case.image_sha256}/{word}"))
            services.review.give_verdict(
                id=ident, cue_id=cue_id, reviewer_id=me, value=word, based_on=0
            )
            given, spurious = given + 1, spurious + (word == "spurious")
    return Verdicts(given, spurious, cases)


def _words(
    services: Services, case: CaseView, root: Path
) -> list[tuple[str, Literal["spurious", "correct"]]]:
    """(cue, verdict): the first spurious and the first correct cue, in the order shown."""
    masks = read_cue_masks(root, case.image_name)
    shape = (case.height, case.width)
    artefact_HW, sign_HW = _union(masks, ARTEFACTS, shape), _union(masks, LESION_PARTS, shape)
    first: dict[Literal["spurious", "correct"], str] = {}
    with services.uow(read_only=True) as uow:
        regions = {cue.id: cue.region_bits for cue in uow.cues.list(case.id)}
    for cue in case.cues:
        word = honest_word(_region(regions[cue.id], cue.grid, shape), artefact_HW, sign_HW)
        if word != "unsure":
            first.setdefault(word, cue.id)
    return [(cue_id, word) for word, cue_id in first.items()]


def honest_word(
    region_HW: NDArray[np.bool_], artefact_HW: NDArray[np.bool_], sign_HW: NDArray[np.bool_]
) -> Word:
    """What ground truth says of a cue whose region is `region_HW`."""
    area = int(region_HW.sum())
    if area == 0:
        return "unsure"
    if 2 * int((region_HW & artefact_HW).sum()) >= area:
        return "spurious"
    if 2 * int((region_HW & sign_HW).sum()) >= area:
        return "correct"
    return "unsure"


def _union(
    masks: dict[str, NDArray[np.bool_]], names: Sequence[str], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    union_HW = np.zeros(shape, dtype=np.bool_)
    for name in names:
        if name in masks:
            union_HW |= masks[name]
    return union_HW


def _region(bits: bytes, grid: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The cue's patches as pixels, bool [H, W]: images are squashed onto the grid."""
    rows, cols = grid
    flat = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=rows * cols)
    small = Image.fromarray(flat.reshape(rows, cols) * np.uint8(255))
    resized = small.resize((shape[1], shape[0]), Image.Resampling.NEAREST)
    region_HW: NDArray[np.bool_] = np.asarray(resized) > 0
    return region_HW
