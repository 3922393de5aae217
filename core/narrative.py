"""An explanation in a few plain sentences that say how sure they are.

Plain text: whoever shows it on a page escapes it there.
"""

from collections.abc import Sequence

from core.agreement import in_words, sum_doubt
from core.regions import place_in_words, share_of_image
from core.types import ClassSet, Counterfactual, Cue

# Lower bounds of the confidence bands, strongest first.
BANDS: tuple[tuple[float, str], ...] = (
    (0.95, "almost certain"),
    (0.80, "likely"),
    (0.60, "leaning"),
)
UNDECIDED = "undecided"
MAX_FOR, MAX_AGAINST, MAX_CHANGES = 3, 1, 4
WEAK_RECONSTRUCTION = 0.6
WEAK_SHARE = 0.4


def band(confidence: float) -> str:
    """The word for a calibrated probability in [0, 1]."""
    return next((word for bound, word in BANDS if confidence >= bound), UNDECIDED)


def disagreement(contribution: float, causal_effect: float) -> str | None:
    """A warning where contribution and causal effect (logit units) tell different stories.

    They do where their signs differ, or where the effect is under a tenth of the contribution.
    None where they agree, or where the contribution is zero.
    """
    doubt = sum_doubt(contribution, causal_effect)
    return None if doubt is None else in_words(doubt)


def narrate(
    *,
    probabilities: Sequence[tuple[str, float]],
    prediction: str,
    explained: str,
    logit: float,
    bias: float,
    cues: Sequence[Cue],
    reconstruction: float,
    class_set: ClassSet | None = None,
    counterfactual: Counterfactual | None = None,
    rank_agreement: float | None = None,
) -> str:
    """Plain words for one explained decision.

    Args:
        probabilities: every class with its calibrated probability, in class order.
        prediction: the class the model chose.
        explained: the class whose logit the cues explain.
        logit, bias: of the explained class, logit units.
        cues: the cues shown, largest |causal effect| first.
        reconstruction: share of the tokens' variance that the concepts explain, (-inf, 1].
        class_set: the classes that cannot be ruled out; None says nothing of them.
        counterfactual: the fewest changes that flip the decision; None says nothing of it.
        rank_agreement: Spearman of contributions and effects; None says nothing of it.
    """
    sentences = [_decision(probabilities, prediction)]
    if class_set is not None:
        sentences.append(_held(class_set, len(probabilities)))
    if explained != prediction:
        sentences.append(f"What follows explains {explained}.")
    sentences += _evidence(cues, explained)
    sentences.append(_carried(cues, logit, bias, explained))
    sentences.append(_explained_share(reconstruction))
    if counterfactual is not None:
        sentences += _flip(counterfactual, prediction)
    warning = _warning(cues, logit, bias, reconstruction, rank_agreement)
    return " ".join([*sentences, warning] if warning else sentences)


def _decision(probabilities: Sequence[tuple[str, float]], prediction: str) -> str:
    ranked = sorted(probabilities, key=lambda item: -item[1])
    confidence = dict(probabilities)[prediction]
    rival = next((item for item in ranked if item[0] != prediction), None)
    word = band(confidence)
    shown = _percent(confidence)
    if rival is None:
        return f"The model says {prediction} ({shown})."
    against = f"next comes {rival[0]} at {_percent(rival[1])}"
    if word == UNDECIDED:
        return (
            f"The model is undecided between {prediction} ({shown}) and {rival[0]} "
            f"({_percent(rival[1])})."
        )
    if word == "leaning":
        return f"The model is leaning towards {prediction} ({shown} sure); {against}."
    stated = "is almost certain that this is" if word == "almost certain" else "finds it likely:"
    return f"The model {stated} {prediction} ({shown} sure); {against}."


def _evidence(cues: Sequence[Cue], explained: str) -> list[str]:
    """One sentence on the strongest cues for, one on the strongest against."""
    supporting = [cue for cue in cues if cue.causal_effect > 0][:MAX_FOR]
    opposing = [cue for cue in cues if cue.causal_effect < 0][:MAX_AGAINST]
    said = []
    if supporting:
        said.append(f"For {explained} speak most: {_join([_cue(c) for c in supporting])}.")
    else:
        said.append(f"No single concept shown speaks for {explained}.")
    if opposing:
        said.append(f"Against it speaks most: {_join([_cue(c) for c in opposing])}.")
    nameless = [cue.name for cue in (*supporting, *opposing) if not cue.named]
    if nameless:
        verb = "has" if len(nameless) == 1 else "have"
        said.append(f"{_join(nameless)} {verb} no trusted name yet: look at the region.")
    return said


def _cue(cue: Cue) -> str:
    place = place_in_words(cue.regions)
    area = _percent(share_of_image(cue.regions))
    return (
        f"{cue.name} ({place}, {area} of the image, "
        f"{abs(cue.causal_effect):.1f} logit units when removed)"
    )


def _carried(cues: Sequence[Cue], logit: float, bias: float, explained: str) -> str:
    if not cues:
        return f"No concept fires in this image: the score of {explained} is the bias alone."
    shown = sum(cue.contribution for cue in cues)
    total = logit - bias
    return (
        f"The {len(cues)} cues shown add {shown:+.1f} of the {total:+.1f} logit units by which "
        "all concepts together move the score from its starting point."
    )


def _explained_share(reconstruction: float) -> str:
    if reconstruction <= 0:
        return "The concepts do not explain what the encoder sees in this image."
    return f"The concepts explain {_percent(reconstruction)} of what the encoder sees here."


def _held(found: ClassSet, classes: int) -> str:
    """The conformal set, with what it promises."""
    if not found.informed:
        return found.note
    share = f"{100 * found.coverage:.4g} %"
    if len(found.classes) == classes:
        return f"No class can be ruled out for this image at {share}."
    names = _join(found.classes, "or")
    alone = " alone" if len(found.classes) == 1 else ""
    return (
        f"In {share} of cases like those it was checked on, the truth is in the answer set; "
        f"here the set is {names}{alone}."
    )


def _flip(found: Counterfactual, prediction: str) -> list[str]:
    """What would have to be different for another decision."""
    raised = [change.name for change in found.changes if change.after > 0]
    gone = [change.name for change in found.changes if change.after == 0]
    if raised:
        without = f", without {_count(gone)}" if gone else ""
        return [
            "Taking concepts away cannot change this answer. It would become "
            f"{found.prediction} if {_count(raised)} fired as strongly as ever seen in "
            f"training{without}."
        ]
    said = [f"Without {_count(gone)} the answer would be {found.prediction}."]
    if found.reread not in (None, found.prediction):
        still = "still " if found.reread == prediction else ""
        said.append(
            f"Read again with them taken out, the image is {still}called {found.reread}: other "
            "concepts take over."
        )
    return said


def _count(names: Sequence[str]) -> str:
    """The names, or the first ones and how many there are."""
    distinct = list(dict.fromkeys(names))
    if len(distinct) <= MAX_CHANGES:
        return _join(distinct)
    return f"{len(names)} concepts ({', '.join(distinct[:MAX_CHANGES])} and others)"


def _warning(
    cues: Sequence[Cue], logit: float, bias: float, reconstruction: float,
    rank_agreement: float | None,
) -> str | None:  # fmt: skip
    """Why the explanation itself should be doubted, or None."""
    reasons = []
    if reconstruction < WEAK_RECONSTRUCTION:
        reasons.append("much of the image is not covered by any concept")
    odd = [cue.name for cue in cues if sum_doubt(cue.contribution, cue.causal_effect)]
    if odd:
        reasons.append(f"contribution and causal test disagree for {_join(odd[:3])}")
    placed = [c.name for c in cues if {"region-silent", "region-opposite"} & set(c.doubts)]
    if placed:
        reasons.append(f"the marked place does not carry the effect of {_join(placed[:3])}")
    if rank_agreement is not None and rank_agreement < 0:
        reasons.append("what counts most in the sum matters least when it is removed")
    size = abs(logit - bias)
    if cues and size > 0 and abs(sum(cue.contribution for cue in cues)) < WEAK_SHARE * size:
        reasons.append("many small concepts that are not shown carry the decision")
    if not reasons:
        return None
    return f"Treat this explanation with caution: {_join(reasons)}."


def _percent(share: float) -> str:
    value = 100 * share
    if 0 < value < 1:
        return "under 1 %"
    if 99 < value < 100:
        return "over 99 %"
    return f"{value:.0f} %"


def _join(parts: Sequence[str], word: str = "and") -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}"
