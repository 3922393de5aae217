"""What a drift check found, in sentences. Plain functions over the figures kept with a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from dashboard.viewmodels.drift import DecisionShift, DriftConcept
from dashboard.viewmodels.runs import NoticeView

NAMED: Final = 3  # concepts named in the headline
CLEAR: Final = 0.1  # difference of shares of images that speaks for itself
LEANS: Final = 0.05  # share of a class's decisions from which it is said to rest on a concept
WITHIN: Final = {"nothing": "", "label": "label", "prediction": "decision"}
NOTHING_NEW = (
    "Nothing needs to be done. A concept that shifted by less than {detectable:.2f} (0.5 would "
    "separate the two sets) may have been missed: check again when more images have come."
)
LOOK = (
    "Look at the cases: a change of the camera, the site or the handling shows there first. If "
    "decisions rest on such a concept, review some of the new cases and start a run; if the images "
    "are faulty, mend their source."
)
SMALL = (
    "The sets differ by more than chance, but by too little to matter for any one concept: look at "
    "the cases if you expected none."
)


def percent(share: float) -> str:
    """A share as whole per cent; small ones are not rounded to none.

    >>> percent(0.304), percent(0.001), percent(0.0)
    ('30 %', '0.1 %', '0 %')
    """
    digits = 1 if 0 < share < 0.01 else 0
    return f"{100 * share:.{digits}f} %"


def change(fires: Sequence[float], means: Sequence[float]) -> str:
    """How a concept fires now and before: by its share of images, or by strength where those agree.

    >>> change((0.4, 0.85), (0.2, 0.7)), change((0.98, 0.95), (2.0, 0.5))
    ('in 85 %, before 40 %', 'at a strength of 0.5, before 2')
    """
    if abs(fires[1] - fires[0]) >= CLEAR:
        return f"in {percent(fires[1])}, before {percent(fires[0])}"
    return f"at a strength of {means[1]:.2g}, before {means[0]:.2g}"


def concept_sentence(
    name: str,
    fires: Sequence[float],
    means: Sequence[float],
    weight: float | None,
    of: str = "",
) -> str:
    """One concept: how it fires, and what rests on it.

    >>> concept_sentence("ruler", (0.4, 0.85), (0.2, 0.7), 0.2, " labelled melanoma")
    'ruler: new images labelled melanoma fire it in 85 %, before 40 %; up to 20 % of a class rests on it.'
    """  # noqa: E501
    rests = ""
    if weight is not None and weight >= LEANS:
        rests = f"; up to {percent(weight)} of a class rests on it"
    return f"{name}: new images{of} fire it {change(fires, means)}{rests}."


def of_which(where: str, within: str) -> str:
    """Which images a figure speaks of, behind "images".

    >>> of_which("melanoma", "label"), of_which("melanoma", "prediction"), of_which("", "label")
    (' labelled melanoma', ' decided melanoma', '')
    """
    if not where:
        return ""
    return f" labelled {where}" if within == "label" else f" decided {where}"


def headline(found: Mapping[str, Any], concepts: Sequence[DriftConcept]) -> str:
    """The answer in one or two sentences, naming the concepts."""
    if not found["alert"]:
        if found["p"] < found["level"]:
            return "The new images differ from the reference, but too little for an alert."
        return (
            f"No drift found: {found['images'][1]} new images fire concepts as the "
            f"{found['images'][0]} reference images do (p = {found['p']:.2f})."
        )
    named = [c for c in concepts if c.alert]
    if not named:
        return (
            "Drift: the new images differ from the reference as a whole, though no single concept "
            "stands out."
        )
    parts = [
        f"{c.name} ({_where(c, found['within'])}"
        f"{change((c.reference_fires, c.new_fires), (c.reference_mean, c.new_mean))})"
        for c in named[:NAMED]
    ]
    more = len(found["alerts"]) - len(parts)
    rest = f" and {more} more" if more > 0 else ""
    what = "concept fires" if len(found["alerts"]) == 1 else "concepts fire"
    return f"Drift: {len(found['alerts'])} {what} differently in the new images: " + (
        ", ".join(parts) + rest + "."
    )


def _where(concept: DriftConcept, within: str) -> str:
    of = of_which(concept.where, within)
    return f"images{of}: " if of else ""


def advice(found: Mapping[str, Any]) -> str:
    """What to do next."""
    if found["alert"]:
        return LOOK
    if found["p"] < found["level"]:
        return SMALL
    return NOTHING_NEW.format(detectable=found["detectable"])


def decisions_sentence(rows: Sequence[DecisionShift], p: float, level: float) -> str:
    """Whether the model decides differently."""
    if p >= level:
        return f"The decisions are shared out as before (p = {p:.2f})."
    most = max(rows, key=lambda row: abs(row.new - row.reference))
    return (
        f"The model decides differently: {percent(most.new)} {most.class_name}, before "
        f"{percent(most.reference)} (p = {p:.3f})."
    )


def further_notices(found: Mapping[str, Any], within: str, level: float) -> tuple[NoticeView, ...]:
    """What a reader of the figures must know."""
    notices = []
    if found["decisions"]["p"] < level and within == "nothing":
        notices.append(
            NoticeView(
                "info",
                "The new images get other decisions, so another mix of classes may be all that "
                "changed.",
                "Check again within the label, or within the decision, to see what is left.",
            )
        )
    if found["cluster_column"]:
        reference, new = found["units"]
        notices.append(
            NoticeView(
                "info",
                f"Images that share their {found['cluster_column']} count once: {new} new and "
                f"{reference} reference units were compared.",
            )
        )
    return tuple(notices)
