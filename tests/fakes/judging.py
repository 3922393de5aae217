"""A judgement over the phantoms: figures, groups, flips and weights as the real one gives them."""

from __future__ import annotations

from dataclasses import replace

from core.phantoms import CLASSES
from dashboard.viewmodels.judgement import (
    ConceptChange,
    Estimate,
    FigureView,
    FlipKind,
    FlipRow,
    GuardView,
    JudgementView,
    PartView,
    RailView,
    Said,
    SplitView,
)
from tests.fakes.cases import HOSTILE, Book, phantom, uid

TOLERANCE = 0.03
FIGURES: tuple[tuple[str, str, str, bool, float, float, float, float | None, Said], ...] = (
    # key, label, unit, higher is better, before, after, half width, p, said
    ("accuracy", "Accuracy", "share", True, 0.941, 0.932, 0.014, 0.263, "no clear change"),
    ("worst_group", "Worst-group accuracy", "share", True, 0.412, 0.897, 0.081, 0.0004, "better"),
    ("average_group", "Average-group accuracy", "share", True, 0.71, 0.93, 0.04, 0.0004, "better"),
    ("shortcut_gap", "Shortcut gap", "share", False, 0.553, 0.041, 0.09, 0.0004, "better"),
    ("spurious_share", "Share on rejected concepts", "share", False, 0.381, 0.043, 0.02, 0.0004,
     "better"),
    ("ece", "Calibration error", "share", False, 0.061, 0.033, 0.019, 0.012, "better"),
    ("brier", "Brier score", "score", False, 0.104, 0.109, 0.011, 0.41, "no clear change"),
)  # fmt: skip
PARTS: tuple[tuple[str, int, float, float, Said], ...] = (
    ("melanoma, with ruler", 412, 0.99, 0.94, "worse"),
    ("melanoma, without ruler", 21, 0.41, 0.9, "better"),
    ("naevus, with ruler", 18, 0.44, 0.89, "better"),
    ("naevus, without ruler", 398, 0.98, 0.95, "no clear change"),
)


class FakeJudging:
    """The same judgement for every run; a run whose seed is 13 loses accuracy."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.old: set[str] = set()  # runs of before, which have none

    def of_run(self, run_id: str) -> JudgementView | None:
        run = self._book.runs[run_id]
        if run_id in self.old or run.result_version is None:
            return None
        return judgement(self._book, run.base_version or "", run.result_version, bad=run.seed == 13)


def judgement(book: Book, before: str, after: str, *, bad: bool = False) -> JudgementView:
    """The fakes' judgement of two versions."""
    splits = tuple(_split(book, split, cases) for split, cases in (("test", 849), ("val", 212)))
    splits = (splits[0], replace(splits[1], flips=(), flips_left_out=0))
    pooled = replace(_split(book, "all held-out", 1061), flips=(), flips_left_out=0)
    return JudgementView(
        before, after, splits, guard(bad=bad), _concepts(book),
        "Worst-group accuracy rose by 48.5 points and nothing else got clearly worse.",
        notes=("21 cases whose verdicts taught the new version were left out.",),
        pooled=pooled, resamples=2000, help={"concepts": "Weights before and after"},
        regions=_figure(
            "spurious_mass", "Mass in rejected regions", "share", False, 0.42, 0.05, 0.06, 0.0004,
            "better",
        ),
        regions_n=21,
    )  # fmt: skip


def guard(*, bad: bool) -> GuardView:
    """Kept, or broken by the accuracy."""
    lost = 0.052 if bad else 0.009
    rail = RailView(
        "test", "accuracy", "Accuracy", lost, lost - 0.014, lost + 0.014, TOLERANCE, bad,
        f"Accuracy on the test images fell by {100 * lost:.1f} points; 3.0 may be lost.",
    )  # fmt: skip
    if bad:
        said = "Held-out figures got worse by more than the project allows."
    else:
        said = "Held-out figures stay within what the project allows to be lost (3.0 points)."
    asks = "To use this version all the same, write down why." if bad else ""
    return GuardView(not bad, True, TOLERANCE, said, (rail,), asks)


def _split(book: Book, split: str, cases: int) -> SplitView:
    flips = tuple(
        _flip(book, at, kind)
        for at, kind in enumerate(("broken", "mended", "mended", "mended", "mended", "moved"))
        if at < book.cases
    )
    return SplitView(
        split, cases, 21, tuple(_figure(*row) for row in FIGURES), _classes(), _groups(book),
        "Groups are the label and whether the picture shows a ruler, as the detectors see it.",
        37, 12, 3, 0.0006,
        f"On the {split} images 37 decisions were mended and 12 went wrong.", flips, 46,
    )  # fmt: skip


def _figure(
    key: str, label: str, unit: str, higher: bool, before: float, after: float, half: float,
    p: float | None, said: Said,
) -> FigureView:  # fmt: skip
    change = after - before
    words = f"{said or 'cannot be said'}: {before:.3f} to {after:.3f} (p = {p})"
    return FigureView(
        key, label, unit, higher, f"{label}, on held-out images", _about(before, half),
        _about(after, half), Estimate(change, change - half, change + half), p, said, words,
    )  # fmt: skip


def _about(value: float, half: float) -> Estimate:
    return Estimate(value, max(0.0, value - half), min(1.0, value + half))


def _groups(book: Book) -> tuple[PartView, ...]:
    rows = PARTS if not book.hostile else ((HOSTILE, *PARTS[0][1:]), *PARTS[1:])
    return tuple(_part(*row) for row in rows)


def _classes() -> tuple[PartView, ...]:
    shares: tuple[tuple[float, float, Said], ...] = (
        (0.96, 0.95, "no clear change"), (0.93, 0.94, "no clear change"), (0.9, 0.88, ""),
    )  # fmt: skip
    pairs = zip(CLASSES, shares, strict=True)
    return tuple(_part(name, 280, *found) for name, found in pairs)


def _part(name: str, n: int, before: float, after: float, said: Said) -> PartView:
    half = min(0.4, 1 / n**0.5)
    change = after - before
    return PartView(
        name, n, _about(before, half), _about(after, half),
        Estimate(change, change - half, change + half), 0.004, 0.012, said, n >= 20,
    )  # fmt: skip


def _flip(book: Book, at: int, kind: FlipKind) -> FlipRow:
    label = phantom(at).label
    other = next(name for name in CLASSES if name != label)
    third = next(name for name in CLASSES if name not in {label, other})
    before, after = {
        "broken": (label, other), "mended": (other, label), "moved": (other, third),
    }[kind]  # fmt: skip
    return FlipRow(
        uid("image", at), HOSTILE if book.hostile else f"phantom_{at:04d}.png", uid("case", at),
        uid("case", at), label, None, before, after, 0.91, 0.74, kind,
    )  # fmt: skip


def _concepts(book: Book) -> tuple[ConceptChange, ...]:
    rows = (
        ("ruler", CLASSES[1], 1.9, 0.12, -1.31, True),
        ("colour sticker", CLASSES[0], 1.1, 0.04, -0.62, True),
        ("streaks", CLASSES[1], 0.7, 1.05, 0.41, False),
        ("atypical network", CLASSES[1], 0.9, 1.2, 0.28, False),
        (HOSTILE if book.hostile else "regular border", CLASSES[0], 0.5, 0.71, 0.17, False),
    )
    return tuple(
        ConceptChange(uid("concept", name), at, name, label, before, after, effect, rejected)
        for at, (name, label, before, after, effect, rejected) in enumerate(rows)
    )
