"""A judgement as it is kept: plain JSON in a run's metrics, and back.

Schema 1. Image ids stand for cases, because the later version's cases do not exist yet when a run
measures. Class names are kept once; flips and concepts refer to them by number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from core.evaluation import EvalReport
    from core.intervals import Estimate
    from core.judgement import Figure, Judgement, Part

SCHEMA: Final = 1
FLIPS: Final = 400  # kept per split; the counts are of all
FlipKind = Literal["mended", "broken", "moved"]


@dataclass(frozen=True)
class FlipMark:
    """A case that is decided differently."""

    image_id: str
    label: int  # class index; -1 without a label
    before: int
    after: int
    before_confidence: float
    after_confidence: float
    kind: FlipKind
    group: str


@dataclass(frozen=True)
class ConceptMark:
    """A concept whose weight changed."""

    concept: int
    class_index: int
    before: float
    after: float
    effect: float  # logit units
    rejected: bool


@dataclass(frozen=True)
class SplitJudged:
    """Both versions on one split."""

    judgement: Judgement  # its own flips are left empty: see `flips`
    left_out: int
    flips: tuple[FlipMark, ...]
    flips_left_out: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judged:
    """Both versions on every held-out split."""

    classes: tuple[str, ...]
    splits: Mapping[str, SplitJudged]
    groups_from: str
    tolerance: float
    concepts: tuple[ConceptMark, ...] = ()
    notes: tuple[str, ...] = ()
    pooled: SplitJudged | None = None  # all splits together, without flips; None for one split
    regions: Figure | None = None  # spurious mass on the judged cases
    regions_n: int = 0  # how many of these
    reports: Mapping[str, tuple[EvalReport, EvalReport]] | None = None  # not kept

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "schema": SCHEMA,
            "classes": list(self.classes),
            "groups_from": self.groups_from,
            "tolerance": self.tolerance,
            "splits": {name: _split_json(each) for name, each in self.splits.items()},
            "concepts": [asdict(each) for each in self.concepts],
            "notes": list(self.notes),
            "pooled": _split_json(self.pooled) if self.pooled else None,
            "regions": _figure_json(self.regions) if self.regions else None,
            "regions_n": self.regions_n,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Judged | None:
        """What `as_json` gave; None for a schema that is not known here."""
        if raw.get("schema") != SCHEMA:
            return None
        return cls(
            tuple(raw["classes"]),
            {name: _split(each) for name, each in raw["splits"].items()},
            raw["groups_from"],
            float(raw["tolerance"]),
            tuple(ConceptMark(**each) for each in raw["concepts"]),
            tuple(raw["notes"]),
            _split(raw["pooled"]) if raw.get("pooled") else None,
            _figure(raw["regions"]) if raw.get("regions") else None,
            int(raw.get("regions_n", 0)),
        )

    def splits_metrics(self) -> dict[str, dict[str, dict[str, float | int | None]]]:
        """Headline figures before and after by split, as runs have always kept them."""
        found = {}
        for name, pair in (self.reports or {}).items():
            judgement = self.splits[name].judgement
            more: tuple[dict[str, float | None], ...] = ({}, {})
            for key in ("shortcut_gap", "brier"):
                figure = judgement.figure(key)
                if figure is not None:
                    more[0][key], more[1][key] = figure.before.value, figure.after.value
            found[name] = {
                side: {**report.metrics(), **extra}
                for side, report, extra in zip(("before", "after"), pair, more, strict=True)
            }
        return found

    def group_sizes(self) -> dict[str, dict[str, int]]:
        """Split -> group -> cases."""
        return {
            name: {part.name: part.n for part in sorted(each.judgement.groups, key=_name)}
            for name, each in self.splits.items()
        }

    def group_accuracy(self) -> dict[str, dict[str, list[float | None]]]:
        """Split -> group -> accuracy before and after."""
        return {
            name: {part.name: [part.before.value, part.after.value] for part in
                   sorted(each.judgement.groups, key=lambda p: (p.before.value or 0.0, p.name))}
            for name, each in self.splits.items()
        }  # fmt: skip


def split_judged(
    judgement: Judgement, image_ids: list[str], labels: list[int], groups: list[str],
    *, left_out: int, notes: tuple[str, ...],
) -> SplitJudged:  # fmt: skip
    """A core judgement with its rows turned into image ids."""
    marks = tuple(
        FlipMark(
            image_ids[flip.row], labels[flip.row], flip.before, flip.after,
            flip.before_confidence, flip.after_confidence, flip.kind, groups[flip.row],
        )
        for flip in judgement.flips
    )  # fmt: skip
    kept = replace(judgement, flips=())
    return SplitJudged(kept, left_out, marks[:FLIPS], max(0, len(marks) - FLIPS), notes)


def _name(part: Part) -> str:
    return part.name


def _split_json(each: SplitJudged) -> dict[str, Any]:
    judgement = each.judgement
    return {
        "n": judgement.n,
        "figures": [_figure_json(figure) for figure in judgement.figures],
        "classes": [_part_json(part) for part in judgement.classes],
        "groups": [_part_json(part) for part in judgement.groups],
        "mended": judgement.mended,
        "broken": judgement.broken,
        "moved": judgement.moved,
        "p": judgement.p,
        "resamples": judgement.resamples,
        "left_out": each.left_out,
        "flips": [list(asdict(flip).values()) for flip in each.flips],
        "flips_left_out": each.flips_left_out,
        "notes": list(each.notes),
    }


def _split(raw: Mapping[str, Any]) -> SplitJudged:
    from core.judgement import Judgement

    judgement = Judgement(
        n=int(raw["n"]),
        figures=tuple(_figure(each) for each in raw["figures"]),
        classes=tuple(_part(each) for each in raw["classes"]),
        groups=tuple(_part(each) for each in raw["groups"]),
        mended=int(raw["mended"]),
        broken=int(raw["broken"]),
        moved=int(raw["moved"]),
        p=raw["p"],
        flips=(),
        resamples=int(raw["resamples"]),
    )
    flips = tuple(FlipMark(*values) for values in raw["flips"])
    return SplitJudged(
        judgement, int(raw["left_out"]), flips, int(raw["flips_left_out"]), tuple(raw["notes"])
    )


def _estimates_json(each: Figure | Part) -> dict[str, list[float | None]]:
    return {
        "before": each.before.as_json(),
        "after": each.after.as_json(),
        "difference": each.difference.as_json(),
    }


def _estimates(raw: Mapping[str, Any]) -> tuple[Estimate, Estimate, Estimate]:
    from core.intervals import Estimate

    before, after, difference = (
        Estimate.from_json(raw[name]) for name in ("before", "after", "difference")
    )
    return before, after, difference


def _figure_json(figure: Figure) -> dict[str, Any]:
    return {"key": figure.key, **_estimates_json(figure), "p": figure.p}


def _figure(raw: Mapping[str, Any]) -> Figure:
    from core.judgement import Figure

    return Figure(raw["key"], *_estimates(raw), raw["p"])


def _part_json(part: Part) -> dict[str, Any]:
    return {
        "name": part.name, "n": part.n, **_estimates_json(part), "p": part.p,
        "p_adjusted": part.p_adjusted, "counted": part.counted,
    }  # fmt: skip


def _part(raw: Mapping[str, Any]) -> Part:
    from core.judgement import Part

    return Part(
        raw["name"], int(raw["n"]), *_estimates(raw), raw["p"], raw["p_adjusted"], raw["counted"]
    )
