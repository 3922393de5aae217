"""The picture's part of the desk's packet: the image, what was drawn on it, further layers."""

from dataclasses import dataclass
from typing import Any

from dashboard.viewmodels import CaseView


@dataclass(frozen=True)
class Picture:
    """A case's image: encoded bytes, or addresses from which the browser fetches it.

    With addresses `content` is empty: the preview is drawn first, every pixel is fetched when
    somebody zooms in, and the next case's preview is fetched ahead.
    """

    content: bytes
    mime: str
    url: str = ""  # every pixel
    preview: str = ""  # fitted to the desk; the same as `url` for small images
    ahead: tuple[str, str] | None = None  # id and preview address of the next case's image


def image_part(case: CaseView, picture: Picture) -> dict[str, Any]:
    """`image` of the model."""
    ahead = picture.ahead
    return {
        "id": case.image_id,
        "name": case.image_name,
        "mime": picture.mime,
        "size": f"{case.width} x {case.height} pixels",
        "width": case.width,
        "height": case.height,
        "url": picture.url,
        "preview": picture.preview,
        "ahead": {"id": ahead[0], "url": ahead[1]} if ahead else None,
    }


def drawings_part(case: CaseView) -> list[dict[str, Any]]:
    """`drawings` of the model: this reviewer's standing ones, oldest first."""
    letters = {cue.id: cue.letter for cue in case.cues}
    return [
        {
            "id": drawing.id,
            "kind": drawing.kind,
            "shape": drawing.shape,
            "points": [list(point) for point in drawing.points],
            "note": drawing.note,
            "cue_id": drawing.cue_id,
            "letter": letters.get(drawing.cue_id or "", ""),
            "reviewer": drawing.reviewer,
            "at": f"{drawing.at.astimezone():%H:%M}",
        }
        for drawing in case.drawings
    ]


def layers_part(case: CaseView) -> list[dict[str, Any]]:
    """`layers` of the model: only those that can be fetched."""
    return [
        {
            "key": layer.key,
            "name": layer.name,
            "kind": layer.kind,
            "url": layer.url,
            "about": layer.about,
        }
        for layer in case.layers
        if layer.url
    ]
