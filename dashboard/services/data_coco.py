"""Regions in the COCO format: cues and drawings as annotations, concepts as categories.

A cue's region lies on the grid of patches, so its outline is exact as a few rectangles, each one
polygon of the annotation: they do not overlap and their union is the region.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dashboard.services.data_forms import iso
from dashboard.services.data_rows import Page, dictionaries
from dashboard.services.report_scope import Resolved
from db.desk_records import DrawingRecord
from db.feedback_records import VerdictRecord
from db.records import CaseRecord, CueRecord
from db.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from numpy.typing import NDArray

COCO_TABLES: Final = ("assessments", "class_verdicts", "column_verdicts", "names", "notes")
"""What speaks of no region; verdicts and drawings are attributes of annotations."""
DRAWN: Final = "drawn region"


@dataclass(frozen=True)
class Categories:
    """Concepts as categories, and one for drawings that speak of no concept."""

    ids: Mapping[tuple[str, int], int]  # dictionary, number
    drawn: int
    listed: tuple[dict[str, Any], ...]


def categories(uow: UnitOfWork, resolved: Resolved) -> Categories:
    """Every concept of the dictionaries in scope, numbered from 1."""
    ids: dict[tuple[str, int], int] = {}
    listed: list[dict[str, Any]] = []
    for dictionary in dictionaries(uow, resolved):
        by_number = uow.concepts.by_number(resolved.project.id, dictionary)
        for number in sorted(by_number):
            ids[dictionary, number] = len(ids) + 1
            listed.append({
                "id": len(ids), "name": by_number[number].shown_name,
                "supercategory": f"level {by_number[number].level}",
                "dictionary": dictionary, "concept": number,
            })  # fmt: skip
    drawn = len(ids) + 1
    listed.append({"id": drawn, "name": DRAWN, "supercategory": "drawing"})
    return Categories(ids, drawn, tuple(listed))


def image_of(case: CaseRecord, number: int) -> dict[str, Any]:
    """The image of a case."""
    image = case.image
    return {
        "id": number, "file_name": image.relpath, "width": image.width, "height": image.height,
        "sha256": image.sha256, "label": image.label, "split": image.split,
    }  # fmt: skip


def marks(page: Page, images: Mapping[str, int], numbers: Categories) -> Iterator[dict[str, Any]]:
    """The annotations of a page's cases, without their ids."""
    for case in page.cases:
        version, dictionary = page.versions[case.version_id]
        parts = page.parts.get(case.id)
        shared = {"version": version, "dictionary": dictionary}
        cues = {cue.id: cue for cue in page.cues.get(case.id, ())}
        for cue in cues.values():
            said = [v for v in parts.verdicts if v.cue_id == cue.id] if parts else []
            yield _frame(case, images, numbers.ids[dictionary, cue.number], _boxes(case, cue)) | {
                "attributes": shared | _cue(cue) | {"verdicts": list(map(_verdict, said))},
            }  # fmt: skip
        for drawing in parts.drawings if parts else ():
            about = cues.get(drawing.cue_id or "")
            category = numbers.ids[dictionary, about.number] if about else numbers.drawn
            yield _frame(case, images, category, [_outline(case, drawing)]) | {
                "attributes": shared | _drawing(drawing, about),
            }  # fmt: skip


def rectangles(mask: NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """A mask [rows, cols] as rectangles (top, left, bottom, right), ends excluded.

    They do not overlap and cover exactly what is true. A run of a row goes on downwards as long as
    the next row has the same run.

    >>> rectangles(np.array([[1, 1, 0], [1, 1, 0], [0, 1, 1]], dtype=bool))
    [(0, 0, 2, 2), (2, 1, 3, 3)]
    """
    done: list[tuple[int, int, int, int]] = []
    growing: dict[tuple[int, int], int] = {}
    for row in range(mask.shape[0] + 1):
        runs = _runs(mask[row]) if row < mask.shape[0] else set()
        for left, right in sorted(set(growing) - runs):
            done.append((growing.pop((left, right)), left, row, right))
        for run in runs:
            growing.setdefault(run, row)
    return sorted(done)


def _runs(cells: NDArray[np.bool_]) -> set[tuple[int, int]]:
    """(start, end) of each run of true cells; a row has few cells, so plain Python is quickest."""
    found, start = set(), None
    for at, inside in enumerate([*cells.tolist(), False]):
        if inside and start is None:
            start = at
        elif not inside and start is not None:
            found.add((start, at))
            start = None
    return found


def _boxes(case: CaseRecord, cue: CueRecord) -> list[list[float]]:
    """The region of a cue as polygons in pixels."""
    cells = cue.grid_rows * cue.grid_cols
    bits = np.unpackbits(np.frombuffer(cue.region_bits, dtype=np.uint8), count=cells)
    mask = bits.astype(bool).reshape(cue.grid_rows, cue.grid_cols)
    across, down = case.image.width / cue.grid_cols, case.image.height / cue.grid_rows
    return [
        _box(left * across, top * down, right * across, bottom * down)
        for top, left, bottom, right in rectangles(mask)
    ]


def _box(x0: float, y0: float, x1: float, y1: float) -> list[float]:
    return [round(at, 3) for at in (x0, y0, x1, y0, x1, y1, x0, y1)]


def _outline(case: CaseRecord, drawing: DrawingRecord) -> list[float]:
    """A drawing as one polygon in pixels."""
    width, height = case.image.width, case.image.height
    if drawing.shape == "box":
        (x0, y0), (x1, y1) = drawing.points
        (x0, x1), (y0, y1) = sorted((x0, x1)), sorted((y0, y1))
        return _box(x0 * width, y0 * height, x1 * width, y1 * height)
    return [round(at, 3) for x, y in drawing.points for at in (x * width, y * height)]


def _frame(
    case: CaseRecord, images: Mapping[str, int], category: int, polygons: list[list[float]]
) -> dict[str, Any]:
    xs = [x for polygon in polygons for x in polygon[::2]] or [0.0]
    ys = [y for polygon in polygons for y in polygon[1::2]] or [0.0]
    return {
        "image_id": images[case.image.sha256], "category_id": category, "iscrowd": 0,
        "segmentation": polygons, "area": round(sum(map(_area, polygons)), 3),
        "bbox": [round(at, 3) for at in (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))],
    }  # fmt: skip


def _area(polygon: list[float]) -> float:
    """By the shoelace formula."""
    xs, ys = polygon[::2], polygon[1::2]
    around = zip(xs, ys, [*xs[1:], xs[0]], [*ys[1:], ys[0]], strict=True)
    return abs(sum(x * next_y - next_x * y for x, y, next_x, next_y in around)) / 2


def _cue(cue: CueRecord) -> dict[str, Any]:
    return {
        "kind": "cue", "concept": cue.number, "rank": cue.rank, "activation": cue.activation,
        "contribution": cue.contribution, "causal_effect": cue.causal_effect,
        "grid": [cue.grid_rows, cue.grid_cols],
    }  # fmt: skip


def _verdict(verdict: VerdictRecord) -> dict[str, Any]:
    return {
        "id": verdict.id, "reviewer": verdict.reviewer, "value": verdict.value,
        "scope": verdict.scope, "reason": verdict.reason, "comment": verdict.comment,
        "revision": verdict.revision, "given_at": iso(verdict.created_at),
    }  # fmt: skip


def _drawing(drawing: DrawingRecord, about: CueRecord | None) -> dict[str, Any]:
    return {
        "kind": "drawing", "concept": about.number if about else None,
        "drawing": {
            "id": drawing.id, "kind": drawing.kind, "shape": drawing.shape,
            "points": drawing.points, "note": drawing.note, "reviewer": drawing.reviewer,
            "given_at": iso(drawing.created_at),
        },
    }  # fmt: skip
