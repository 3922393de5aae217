"""Words for what a picture shows: the text alternative of the canvas."""

from dashboard.viewmodels import CaseView, ClassSetView, CueView, RegionView


def place(regions: tuple[RegionView, ...]) -> str:
    """Where the largest region lies and how much of the image all of them cover."""
    if not regions:
        return "no clear region"
    largest = max(regions, key=lambda region: region.area)
    middle_x = (largest.x0 + largest.x1) / 2
    middle_y = (largest.y0 + largest.y1) / 2
    row = ("upper", "middle", "lower")[min(int(3 * middle_y), 2)]
    column = ("left", "centre", "right")[min(int(3 * middle_x), 2)]
    where = "centre" if (row, column) == ("middle", "centre") else f"{row} {column}"
    more = f" and {len(regions) - 1} more" if len(regions) > 1 else ""
    covered = min(sum(region.area for region in regions), 1.0)
    return f"{where}{more}, {100 * covered:.0f} % of the image"


def picture(case: CaseView) -> str:
    """One text for a reviewer who cannot see the canvas."""
    label = f", label {case.label}" if case.label else ""
    hidden = "prediction" in case.hidden
    cues = "; ".join(_cue(cue, hidden) for cue in case.cues) or "no cues"
    rounded = f"{100 * case.confidence:.0f}"
    figure = "over 99" if rounded == "100" and case.confidence < 1 else rounded
    said = f"Prediction {case.prediction}, {figure} % sure"
    return (
        f"Image {case.image_name}, {case.width} by {case.height} pixels. "
        f"{'Prediction hidden' if hidden else said}{label}. Cues: {cues}."
    )


FAIR, GOOD = 0.5, 0.75  # as core.agreement has them; a test holds the two together


def trust(value: float) -> str:
    """How far an explanation can be trusted, in a word.

    >>> [trust(value) for value in (0.2, 0.5, 0.9)]
    ['low', 'fair', 'good']
    """
    return "low" if value < FAIR else "fair" if value < GOOD else "good"


def held(found: ClassSetView | None, classes: int) -> str:
    """The answer set (conformal), as a short line; "" where nothing is known.

    >>> held(ClassSetView(("naevus",), 0.9, True, ""), 3)
    'naevus alone'
    """
    if found is None:
        return ""
    if not found.informed or len(found.classes) == classes:
        return "any class"
    if len(", ".join(found.classes)) > MOST and len(found.classes) > 1:
        return f"{len(found.classes)} of {classes} classes"
    alone = " alone" if len(found.classes) == 1 else ""
    return f"{', '.join(found.classes)}{alone}"


MOST = 28  # letters: a longer list of classes does not fit


def held_in_full(found: ClassSetView | None) -> str:
    """The same at length, for a tip."""
    if found is None:
        return ""
    share = f"{100 * found.coverage:.4g} %"
    listed = ", ".join(found.classes)
    outside = " A class outside it is not excluded for this very case." if found.informed else ""
    return f"Answer set of {share}: {listed}. {found.note}{outside}".strip()


def _cue(cue: CueView, hidden: bool) -> str:
    effect = "" if hidden else f", {cue.causal_effect:+.2f} logit"
    return f"{cue.letter} {cue.name}, {place(cue.regions)}{effect}"
