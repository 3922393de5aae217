"""Words and numbers of the form in which a success criterion is set."""

from collections.abc import Mapping, Sequence

from dashboard.viewmodels.success import MeasureView, PresetView

SIGNS = {">=": "at least", "<=": "at most"}


def sign(comparator: str) -> str:
    """A comparison in words."""
    return SIGNS[comparator]


def scale(measure: MeasureView) -> tuple[float, float, str]:
    """Step, factor and unit in which a threshold is typed: shares in per cent."""
    match measure.unit:
        case "share":
            return 1.0, 100.0, "%"
        case "points":
            return 0.5, 100.0, "points"
        case "count":
            return 1.0, 1.0, "count"
        case "people":
            return 0.5, 1.0, "people"
        case _:
            return 0.05, 1.0, "score"


def usual(measure: MeasureView, presets: Sequence[PresetView]) -> float:
    """Where the form begins: a preset's threshold, else a plain one."""
    for preset in presets:
        for key, _, threshold in preset.criteria:
            if key == measure.key:
                return threshold
    if measure.unit == "people":
        return 2.0
    return 0.0 if measure.comparator == "<=" else min(0.8, measure.high)


def preset(found: PresetView, measures: Mapping[str, MeasureView]) -> str:
    """What a preset asks for, in one line."""
    parts = [_one(measures[key], comparator, value) for key, comparator, value in found.criteria]
    return f"{found.about[0].upper()}{found.about[1:]}: {'; '.join(parts)}."


def _one(measure: MeasureView, comparator: str, value: float) -> str:
    _, factor, unit = scale(measure)
    written = f"{value * factor:g}{' ' + unit if unit in ('%', 'points', 'people') else ''}"
    return f"{measure.label} {SIGNS[comparator]} {written}"
