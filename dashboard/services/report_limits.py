"""How a report came about and what it does not say. Pure: no store, no screen."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.services.report_words import listed, many, number
from dashboard.viewmodels.report_content import (
    AgreementPart,
    CoveragePart,
    CriterionLine,
    Figure,
    PersonPart,
    SignOff,
)
from db.report_records import Selection

SHORTCUT = (
    "A cue that people call spurious is one that, in their judgement, has nothing to do with the "
    "question; whether the model would decide otherwise without it is told by the causal effect, "
    "which removes the concept from what the encoder sees, not from the world."
)
MAPS = (
    "A map shows where a concept fires. That it lies on the right place does not prove that the "
    "decision rests on it; the warnings beside a cue say where map and causal effect part."
)
INTERVALS = (
    "Intervals hold the true value in 95 of 100 such samples, each for itself: of twenty figures, "
    "one may miss. They say nothing of images of another kind than those reviewed."
)
CHOSEN = (
    "Cases were not drawn at random for review but in the order of the queue, which puts uncertain "
    "and suspicious ones first: shares among the reviewed cases are not shares of all cases."
)
RANDOM = "Each reviewer met the cases in a random order of their own."
METHOD = (
    "A frozen vision encoder turns each image into patch tokens, a sparse autoencoder turns these "
    "into named concepts, and a linear head decides on the concepts. Each decision is the sum of "
    "the concepts' contributions; a cue is one concept in one case, with the place where it fires "
    "and the change of the decision when it is removed (its causal effect, in logit units)."
)
PEOPLE = (
    "People looked at the cues of each case and called each correct, spurious or unsure. Nothing "
    "they said is overwritten: a later word supersedes an earlier one, and what stands at the end "
    "of the period is counted here."
)
STATISTICS = (
    "Shares of cases have Wilson's 95 % interval; shares of verdicts, means of ratings and the "
    "coefficients of agreement are drawn anew over whole cases (bootstrap), because verdicts in "
    "one case are not independent. Held-out cases are those of the splits that no version learns "
    "from, without the cases whose verdicts taught the version."
)
FEW_CASES = 30
STATEMENT = (
    "I have read this report, its limits and what was not reviewed, and I accept it as a true "
    "account of the review within its scope."
)


def method(sentence: str, sel: Selection, order: str, blind: Sequence[str]) -> tuple[str, ...]:
    """The paragraphs of the method."""
    own = [sentence, METHOD, PEOPLE]
    if blind:
        own.append(
            "The review was blind: "
            f"{listed(sorted(blind))} stayed hidden from each reviewer until their own word was in."
        )
    own += [RANDOM if order == "random" else CHOSEN, STATISTICS]
    if sel.by_words:
        own.append(
            "The scope names a person or a period: figures of the review count those words alone. "
            "Figures of the model are over all cases, whoever judged them."
        )
    if sel.by_words or sel.class_name is not None:
        own.append("Groups, runs and drift are told of the whole version, whatever the scope.")
    return tuple(own)


def limits(
    sel: Selection, part: CoveragePart, agreement: AgreementPart, headline: Sequence[Figure],
    people: Sequence[PersonPart], learnt: bool | None,
) -> tuple[str, ...]:  # fmt: skip
    """What to bear in mind, the particular before the general."""
    found = []
    if part.cases:
        found.append(part.sentence)
    if learnt:
        found.append(
            "There is no held-out split: accuracy and calibration are of cases that the version "
            "learnt from, so they are too good."
        )
    found += [
        f"{each.label} is drawn from {many(each.n, 'case')} only."
        for each in headline
        if each.key in ("accuracy", "sensitivity", "precision") and 0 < each.n < FEW_CASES
    ]
    if len(people) == 1 and not sel.by_words:
        found.append("One person alone has judged: whether others would say the same is not known.")
    elif people and not _shared(agreement) and not sel.committed:
        found.append("No cue was judged by two people: how far people agree is not known.")
    if part.not_explained:
        found.append(
            f"{many(part.not_explained, 'case')} of {part.cases:,} "
            f"({number(part.not_explained / part.cases, 'share')}) were never opened: they have a "
            "decision, but no cues."
        )
    if sel.committed:
        found.append("The review is blind: only cases on which your own word is in are told.")
    return (*found, SHORTCUT, MAPS, INTERVALS)


def _shared(part: AgreementPart) -> bool:
    return any(view is not None and view.items for view in (part.cues, part.cases))


def sign_off(people: Sequence[PersonPart], by: str, criteria: Sequence[CriterionLine]) -> SignOff:
    """Who vouches for the report: names are typed where they are known, signed on paper."""
    failed = sum(each.passed is False for each in criteria)
    open_ = sum(each.passed is None for each in criteria)
    statement = STATEMENT
    if failed:
        statement += f" I know that {many(failed, 'criterion', 'criteria')} are not met." if (
            failed > 1
        ) else " I know that one criterion is not met."  # fmt: skip
    if open_:
        statement += f" Of {many(open_, 'criterion', 'criteria')} it cannot be said."
    reviewers = listed([each.name for each in people], most=8)
    return SignOff(
        statement, (("Drawn up by", by), ("Reviewed by", reviewers), ("Accepted by", ""))
    )
