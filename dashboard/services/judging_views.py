"""A kept judgement as the screens show it: cases and concepts by name, figures with sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dashboard.services import judging_words as words
from dashboard.services.judged import ConceptMark, FlipMark, Judged, SplitJudged
from dashboard.viewmodels.concept_names import told_apart
from dashboard.viewmodels.judgement import (
    ConceptChange,
    FlipRow,
    GuardView,
    JudgementView,
    SplitView,
)
from db.records import ConceptRecord

if TYPE_CHECKING:
    from core.guard_rails import Rail
    from db.run_records import PredictionRow


ALL: Final = "all held-out"


@dataclass(frozen=True)
class Known:
    """What the store knows of the two versions."""

    before_hash: str
    after_hash: str | None
    before: Mapping[str, PredictionRow]  # by image id
    after: Mapping[str, PredictionRow]
    concepts: Mapping[int, ConceptRecord]  # of the later version's dictionary, by number


def judgement_view(found: Judged, known: Known, tolerance: float) -> JudgementView:
    """The view of a judgement, its rails by the tolerance that stands now."""
    splits = tuple(_split(found, name, each, known) for name, each in found.splits.items())
    draws = [each.judgement.resamples for each in found.splits.values()]
    return JudgementView(
        before_hash=known.before_hash,
        after_hash=known.after_hash,
        splits=splits,
        guard=guard_of(found, tolerance),
        concepts=_concepts(found, known),
        sentence=" ".join(split.sentence for split in splits)
        or "There is no labelled held-out case to compare them on.",
        notes=found.notes,
        pooled=_split(found, ALL, found.pooled, known) if found.pooled else None,
        regions=words.figure_view(found.regions) if found.regions else None,
        regions_n=found.regions_n,
        resamples=max(draws, default=0),
        help=dict(words.HELP),
    )


def guard_of(found: Judged, tolerance: float) -> GuardView:
    """The rails of a judgement."""
    return words.guard_view(rails_of(found, tolerance), tolerance)


def rails_of(found: Judged, tolerance: float) -> tuple[Rail, ...]:
    """The rails of a judgement, broken ones and the largest losses first."""
    from core.guard_rails import rails

    judged = {name: each.judgement for name, each in found.splits.items()}
    return rails(judged, tolerance, pooled=found.pooled.judgement if found.pooled else None)


def _split(found: Judged, name: str, each: SplitJudged, known: Known) -> SplitView:
    judgement = each.judgement
    flips = tuple(row for mark in each.flips if (row := _flip(found, mark, known)) is not None)
    return SplitView(
        split=name,
        n=judgement.n,
        left_out=each.left_out,
        figures=tuple(words.figure_view(figure) for figure in judgement.figures),
        classes=tuple(words.part_view(part) for part in judgement.classes),
        groups=tuple(words.part_view(part) for part in judgement.groups),
        groups_from=found.groups_from,
        mended=judgement.mended,
        broken=judgement.broken,
        moved=judgement.moved,
        p=judgement.p,
        sentence=words.headline(name, judgement),
        flips=flips,
        flips_left_out=each.flips_left_out + len(each.flips) - len(flips),
        notes=each.notes,
    )


def _flip(found: Judged, mark: FlipMark, known: Known) -> FlipRow | None:
    """A flip with its picture and cases; None where the image has gone from both versions."""

    later, former = known.after.get(mark.image_id), known.before.get(mark.image_id)
    image = later or former
    if image is None:
        return None
    return FlipRow(
        image_id=mark.image_id,
        image_name=image.relpath,
        case_id=later.case_id if later else None,
        former_case_id=former.case_id if former else None,
        label=found.classes[mark.label] if mark.label >= 0 else None,
        group=mark.group or None,
        before=found.classes[mark.before],
        after=found.classes[mark.after],
        before_confidence=mark.before_confidence,
        after_confidence=mark.after_confidence,
        kind=mark.kind,
    )


def _concepts(found: Judged, known: Known) -> tuple[ConceptChange, ...]:
    """Concepts whose effect changed; those of one name with their numbers."""
    records = {mark.concept: known.concepts.get(mark.concept) for mark in found.concepts}
    names = told_apart({n: row.shown_name if row else f"concept {n}" for n, row in records.items()})
    return tuple(
        _concept(found, mark, records[mark.concept], names[mark.concept]) for mark in found.concepts
    )


def _concept(
    found: Judged, mark: ConceptMark, record: ConceptRecord | None, name: str
) -> ConceptChange:
    return ConceptChange(
        concept_id=record.id if record else None,
        concept=mark.concept,
        name=name,
        class_name=found.classes[mark.class_index],
        before=mark.before,
        after=mark.after,
        effect=mark.effect,
        rejected=mark.rejected,
    )
