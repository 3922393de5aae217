"""How figures, rails and flips are called and told. Pure: no store, no screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dashboard.viewmodels.judgement import (
    Estimate,
    FigureView,
    GuardView,
    PartView,
    RailKey,
    RailView,
)

if TYPE_CHECKING:
    from core import guard_rails, intervals, judgement

MINUS: Final = "\u2212"
FEW: Final = 30  # cases
ASKS: Final = "To use this version all the same, write down why."


@dataclass(frozen=True)
class Spec:
    """How one figure is called and read."""

    label: str
    unit: str  # "share" or "score"
    help: str


SPECS: Mapping[str, Spec] = {
    "accuracy": Spec(
        "Accuracy", "share", "share of the held-out cases whose decision is their label"
    ),
    "worst_group": Spec(
        "Worst-group accuracy", "share",
        "lowest accuracy among the groups of at least 5 cases: what the worst served can expect",
    ),
    "average_group": Spec(
        "Average-group accuracy", "share",
        "plain mean of the groups' accuracies, every group counting the same",
    ),
    "shortcut_gap": Spec(
        "Shortcut gap", "share",
        "accuracy where the shortcut goes with the label as in training, less accuracy where it "
        "misleads, within each label; 0 is a model that does not care",
    ),
    "spurious_share": Spec(
        "Share on rejected concepts", "share",
        "share of all contributions to the decisions that lies on concepts called spurious",
    ),
    "spurious_mass": Spec(
        "Mass in rejected regions", "share",
        "share of the decisions that is read off the regions called spurious, on the judged cases "
        "themselves; these taught the run, so it is no held-out figure",
    ),
    "ece": Spec(
        "Calibration error", "share",
        "mean gap between stated confidence and accuracy (ECE, 15 bins); reads high with few cases",
    ),
    "brier": Spec(
        "Brier score", "score",
        "mean squared distance of the probabilities from the truth, 0 to 2; 0 is perfect",
    ),
}  # fmt: skip
HELP: Mapping[str, str] = {
    "figures": "Both versions decide the same held-out cases. Intervals hold the true value in 95 "
    "of 100 such samples; they come from drawing whole cases anew, for both versions at once. Each "
    "interval stands alone: of twenty figures that did not change, one may look changed",
    "classes": "Accuracy of the cases of one label. p is adjusted for the number of rows (Holm)",
    "groups": "Accuracy of the cases of one group. p is adjusted for the number of rows (Holm)",
    "flips": "Cases that the two versions decide differently: first those that went wrong",
    "concepts": "Change of a concept's weight times its mean activation in the held-out cases: how "
    "far it moves the logit of that class on average, relative to the other classes",
    "guard": "What this project allows a new version to lose on held-out cases. Beyond it, a "
    "version can become active only with a written reason",
}


def estimate(found: intervals.Estimate) -> Estimate:
    """The engine's estimate as a view model."""
    return Estimate(found.value, found.low, found.high)


def figure_view(figure: judgement.Figure) -> FigureView:
    """One figure with its sentence."""
    from core.judgement import HIGHER_IS_BETTER

    spec = SPECS[figure.key]
    return FigureView(
        figure.key, spec.label, spec.unit, HIGHER_IS_BETTER[figure.key], spec.help,
        estimate(figure.before), estimate(figure.after), estimate(figure.difference), figure.p,
        figure.said, change_words(figure.difference, figure.said, figure.p, spec.unit),
    )  # fmt: skip


def part_view(part: judgement.Part) -> PartView:
    """One class or group."""
    return PartView(
        part.name, part.n, estimate(part.before), estimate(part.after), estimate(part.difference),
        part.p, part.p_adjusted, part.said, part.counted,
    )  # fmt: skip


def change_words(
    difference: intervals.Estimate, said: str, p: float | None, unit: str = "share"
) -> str:
    """A difference in words: "better by 4.5 points (95 % interval +1.2 to +7.8, p = 0.012)"."""
    if difference.value is None:
        return "cannot be told"
    size = amount(abs(difference.value), unit)
    if said in ("better", "worse"):
        text = f"{said} by {size}"
    elif said == "no clear change":
        text = f"no clear change: {signed(difference.value, unit)}"
    else:
        text = signed(difference.value, unit)
    return text + _doubt(difference.low, difference.high, p, unit)


def _doubt(low: float | None, high: float | None, p: float | None, unit: str) -> str:
    parts = []
    if low is not None and high is not None:
        parts.append(f"95 % interval {bare(low, unit)} to {bare(high, unit)}")
    if p is not None:
        parts.append(p_words(p))
    return f" ({', '.join(parts)})" if parts else ""


def p_words(p: float) -> str:
    """p = 0.012, or p < 0.001."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def amount(value: float, unit: str = "share") -> str:
    """A size with its unit: "4.5 points" of a share, "0.041" of a score."""
    return f"{100 * value:.1f} points" if unit == "share" else f"{value:.3f}"


def bare(value: float, unit: str = "share") -> str:
    """A signed size without its unit."""
    sign = MINUS if value < -1e-12 else "+" if value > 1e-12 else ""
    return f"{sign}{100 * abs(value):.1f}" if unit == "share" else f"{sign}{abs(value):.3f}"


def signed(value: float, unit: str = "share") -> str:
    """A signed size with its unit."""
    return f"{bare(value, unit)} points" if unit == "share" else bare(value, unit)


def percent(value: float | None) -> str:
    """A share in percent."""
    return "unknown" if value is None else f"{100 * value:.1f} %"


def cases(count: int) -> str:
    """One case, 5 cases."""
    return "one case" if count == 1 else f"{count} cases"


def headline(split: str, found: judgement.Judgement) -> str:
    """The first sentence on a split."""
    accuracy = found.figure("accuracy")
    change = "" if accuracy is None else change_words(accuracy.difference, accuracy.said, found.p)
    before = percent(accuracy.before.value if accuracy else None)
    after = percent(accuracy.after.value if accuracy else None)
    return (
        f"On {cases(found.n)} of the split {split}, {found.mended} went from wrong to right and "
        f"{found.broken} from right to wrong: accuracy {before} before, {after} after, {change}."
    )


def split_notes(found: judgement.Judgement) -> tuple[str, ...]:
    """What to bear in mind about one split."""
    notes = []
    if found.n < FEW:
        notes.append(f"Only {cases(found.n)}: hardly any change could be told from chance.")
    small = [part for part in found.groups if not part.counted]
    if small:
        notes.append(
            f"{len(small)} of {len(found.groups)} groups have fewer than 5 cases: they are listed, "
            "but do not count for the worst and the average group."
        )
    if found.figure("shortcut_gap") is None:
        notes.append(
            "No shortcut gap: no label has at least 5 cases both where the shortcut helps and "
            "where it misleads."
        )
    return tuple(notes)


def rail_view(rail: guard_rails.Rail) -> RailView:
    """One guard rail with its sentence."""
    key: RailKey = rail.key
    label = SPECS[key].label
    return RailView(
        rail.split, key, label, rail.lost, rail.low, rail.high, rail.tolerance, rail.broken,
        _rail_words(rail, label),
    )  # fmt: skip


def _rail_words(rail: guard_rails.Rail, label: str) -> str:
    allowed = f"{100 * rail.tolerance:.1f}".removesuffix(".0")
    where = f"{label} on {_place(rail.split)}"
    falls = rail.higher_is_better
    if rail.lost <= 0:
        return f"{where}: nothing is lost ({signed(-rail.lost if falls else rail.lost)})."
    size = f"{amount(rail.lost)} are lost" if falls else f"grew by {amount(rail.lost)}"
    if not rail.beyond:
        return f"{where}: {size}; this project allows {allowed}."
    known = rail.low is not None and rail.high is not None
    reach = _reach(rail.low or 0.0, rail.high or 0.0, "loss" if falls else "growth")
    if not rail.broken:
        doubt = f" (it may be {reach})" if known else ""
        return f"{where}: {size}, but not clearly by more than the {allowed} allowed{doubt}."
    text = f"{where}: {size}, more than the {allowed} this project allows"
    if known and not rail.clear:
        text += f"; with so few cases it may be {reach}"
    return f"{text}."


def _reach(low: float, high: float, worse: str) -> str:
    """An interval of what was lost, without signs to mix up: "a loss of 0.9 to 7.1 points".

    >>> _reach(-0.012, 0.071, "loss")
    'anything from a gain of 1.2 to a loss of 7.1 points'
    """
    if low >= 0:
        return f"a {worse} of {100 * low:.1f} to {100 * high:.1f} points"
    better = "gain" if worse == "loss" else "fall"
    if high <= 0:
        return f"a {better} of {-100 * high:.1f} to {-100 * low:.1f} points"
    return f"anything from a {better} of {-100 * low:.1f} to a {worse} of {100 * high:.1f} points"


def _place(split: str) -> str:
    from core.guard_rails import ALL

    return "all held-out splits together" if split == ALL else f"the split {split}"


def guard_view(rails: tuple[guard_rails.Rail, ...], tolerance: float) -> GuardView:
    """All rails with the sentence that says what is asked for."""
    if not rails:
        return GuardView(
            True, False, tolerance,
            "There is no labelled held-out case that both versions decided, so nothing is known "
            "for or against this version: label some images that no version learns from.",
        )  # fmt: skip
    views = tuple(rail_view(rail) for rail in rails)
    broken = [view for view in views if view.broken]
    allowed = f"{100 * tolerance:.1f}".removesuffix(".0")
    if not broken:
        text = f"Nothing watched is worse by more than the {allowed} points this project allows."
        return GuardView(True, True, tolerance, text, views)
    text = (
        f"{len(broken)} of {len(views)} watched figures are worse by more than the {allowed} "
        "points this project allows."
    )
    return GuardView(False, True, tolerance, text, views, ASKS)
