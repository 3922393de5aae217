"""An explanation in a few plain sentences that say how sure they are.

Plain text: whoever shows it on a page escapes it there.
"""

from collections.abc import Sequence

from core.regions import place_in_words, share_of_image
from core.types import Cue

# Lower bounds of the confidence bands, strongest first.
BANDS: tuple[tuple[float, str], ...] = (
    (0.95, "almost certain"),
    (0.80, "likely"),
    (0.60, "leaning"),
)
UNDECIDED = "undecided"
MAX_FOR, MAX_AGAINST = 3, 1
FAINT = 0.1  # a causal effect under this share of the contribution counts as no effect
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
    if contribution == 0:
        return None
    if abs(causal_effect) < FAINT * abs(contribution):
        return (
            "removing this concept hardly changes the decision, although it counts in the sum: "
            "other concepts carry the same evidence"
        )
    if contribution * causal_effect < 0:
        return (
            "removing this concept moves the decision the other way than its contribution says: "
            "do not trust its map alone"
        )
    return None


def narrate(
    *,
    probabilities: Sequence[tuple[str, float]],
    prediction: str,
    explained: str,
    logit: float,
    bias: float,
    cues: Sequence[Cue],
    reconstruction: float,
) -> str:
    """Plain words for one explained decision.

    Args:
        probabilities: every class with its calibrated probability, in class order.
        prediction: the class the model chose.
        explained: the class whose logit the cues explain.
        logit, bias: of the explained class, logit units.
        cues: the cues shown, largest |causal effect| first.
        reconstruction: share of the tokens' variance that the concepts explain, (-inf, 1].
    """
    sentences = [_decision(probabilities, prediction)]
    if explained != prediction:
        sentences.append(f"What follows explains {explained}.")
    sentences += _evidence(cues, explained)
    sentences.append(_carried(cues, logit, bias, explained))
    sentences.append(_explained_share(reconstruction))
    warning = _warning(cues, logit, bias, reconstruction)
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


def _warning(cues: Sequence[Cue], logit: float, bias: float, reconstruction: float) -> str | None:
    """Why the explanation itself should be doubted, or None."""
    reasons = []
    if reconstruction < WEAK_RECONSTRUCTION:
        reasons.append("much of the image is not covered by any concept")
    odd = [cue.name for cue in cues if disagreement(cue.contribution, cue.causal_effect)]
    if odd:
        reasons.append(f"contribution and causal test disagree for {_join(odd[:3])}")
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


def _join(parts: Sequence[str]) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
