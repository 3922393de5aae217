"""Where the browser gets a case's pictures from: signed addresses, or along with the case."""

from dataclasses import replace

from dashboard.components.picture import Picture
from dashboard.resources import gate
from dashboard.routes import image_path, layer_path
from dashboard.screens.context import REFUSALS, Sitting
from dashboard.services.image_files import PREVIEW
from dashboard.viewmodels import CaseView


def picture(sitting: Sitting, case: CaseView) -> Picture:
    """The case's image, for the viewer.

    Raises one of REFUSALS where the file has gone or was altered: no case is judged without its
    image.
    """
    passes = gate()
    if passes is None:
        return Picture(*sitting.services.review.image_bytes(case.image_id))
    sitting.services.images.check(case.image_id)
    path = image_path(case.image_id)
    small = max(case.width, case.height) <= PREVIEW
    return Picture(
        b"",
        "",
        url=passes.url(path),
        preview=passes.url(path) if small else passes.url(path, side=PREVIEW),
        ahead=_ahead(sitting, case),
    )


def layered(sitting: Sitting, case: CaseView) -> CaseView:
    """The case with an address at each layer; without any where no routes are served."""
    passes = gate()
    if passes is None:
        return case
    layers = tuple(
        replace(layer, url=passes.url(layer_path(case.id, layer.key))) for layer in case.layers
    )
    return replace(case, layers=layers)


def _ahead(sitting: Sitting, case: CaseView) -> tuple[str, str] | None:
    """The next case's preview, to be fetched before it is asked for."""
    passes = gate()
    if passes is None or case.next_id is None:
        return None
    try:
        image = sitting.services.images.ahead(case.next_id)
    except REFUSALS:
        return None
    path = image_path(image.id)
    small = max(image.width, image.height) <= PREVIEW
    return image.id, passes.url(path) if small else passes.url(path, side=PREVIEW)
