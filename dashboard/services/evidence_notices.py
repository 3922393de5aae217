"""What the people who start a run must know of the words behind it, in plain sentences.

Worded when a snapshot is read, from the figures in it: a better sentence changes no hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.notices import Notice
from core.rater_checks import NEEDED
from dashboard.services.evidence_places import places_in

if TYPE_CHECKING:
    from dashboard.services.evidence import Outcome, RaterEvidence

FEW_REPEATS = 5
UNLIKE = 0.75
"""Share of like words among repeats under which a person is named."""
NAMED = 3  # people or columns named in one sentence
LEAD = "Let a lead decide some of these cues under Team, Disagreements; then start again."


def notices_of(
    payload: Mapping[str, Any],
    raters: Sequence[RaterEvidence],
    outcomes: Mapping[Outcome, int],
) -> tuple[Notice, ...]:
    """The notices of a snapshot, warnings first."""
    found = [
        *(_suspect(each) for each in raters if each.status not in ("reliable", "unproven")),
        *(_unlike(each) for each in raters if each.counted and _changes(each)),
        *_nothing_left(payload, outcomes),
        *_differ(payload, raters, outcomes),
        *_columns(payload),
        *_places(payload),
        *_unproven(raters),
        *_explanation(outcomes),
    ]
    return tuple(sorted((each for each in found if each), key=lambda n: n.level != "warning"))


def _notice(level: str, text: str, advice: str = "") -> Notice:
    return Notice("warning" if level == "warning" else "info", text, advice)


def _suspect(rater: RaterEvidence) -> Notice:
    name = rater.reviewer
    aside = f"All {rater.words} words of {name} were set aside"
    if rater.status == "contradicted":
        return _notice(
            "warning",
            f"{aside}: they contradict what one other person said, and nobody else tells who is "
            "right.",
            LEAD,
        )
    if rater.informedness is None:
        return _notice(
            "warning",
            f"{aside}: they change from case to case within one concept as a coin would "
            f"({_percent(rater.certainty)} sure).",
            f"Let a second person judge about {NEEDED['random']} of the same cues, or let a "
            "lead decide some; concepts that mix several things can look like this too.",
        )
    on = f"on {_count(rater.compared, 'cue')} where others or a decision tell what is right"
    if rater.status == "one word":
        text = f"{aside}: {name} says the same word whatever the cue, also where it is wrong, {on}."
    elif rater.status == "inverted":
        text = f"{aside}: {on}, {name} mostly said the opposite ({_right(rater)})."
    else:
        text = f"{aside}: {on}, {name} was right hardly more often than a coin ({_right(rater)})."
    advice = {
        "inverted": f"Ask {name} what 'spurious' means to them: it is a cue that must not count.",
        "one word": f"Ask {name} to look again at the cues that others call correct.",
    }.get(rater.status, f"Go through some cases with {name}; then start again.")
    return _notice("warning", text, advice)


def _right(rater: RaterEvidence) -> str:
    return (
        f"right on {_percent(rater.right_spurious)} of the spurious and "
        f"{_percent(rater.right_correct)} of the correct cues"
    )


def _changes(rater: RaterEvidence) -> bool:
    alike, repeated = rater.repeats
    return repeated >= FEW_REPEATS and alike < UNLIKE * repeated


def _unlike(rater: RaterEvidence) -> Notice:
    alike, repeated = rater.repeats
    return _notice(
        "warning",
        f"{rater.reviewer} judged {_count(repeated, 'cue')} again under another version and said "
        f"the same of {alike}. The later words count.",
        f"Ask {rater.reviewer} whether they changed their mind or are unsure.",
    )


def _nothing_left(payload: Mapping[str, Any], outcomes: Mapping[Outcome, int]) -> list[Notice]:
    usable = outcomes.get("correct", 0) + outcomes.get("spurious", 0)
    usable += sum(each["outcome"] == "spurious" for each in places_in(payload))
    if usable or payload.get("columns") or not payload["cues"]:
        return []
    return [
        _notice(
            "warning",
            "No cue is left that people agree on: there is nothing to learn from.",
            "Judge more cues, or let a lead decide where people differ.",
        )
    ]


def _differ(
    payload: Mapping[str, Any], raters: Sequence[RaterEvidence], outcomes: Mapping[Outcome, int]
) -> list[Notice]:
    found = []
    counted = {each.reviewer_id for each in raters if each.counted}
    said = [
        [v["value"] for v in cue["verdicts"] if v.get("reviewer") in counted
         and v["value"] in ("correct", "spurious")]
        for cue in payload["cues"]
    ]  # fmt: skip
    shared, torn = sum(len(own) > 1 for own in said), sum(len(set(own)) > 1 for own in said)
    if torn:
        found.append(
            _notice(
                "info",
                f"People differ on {torn} of {_count(shared, 'cue')} that several judged: these "
                "weigh less.",
            )
        )
    ties, doubted = outcomes.get("tie", 0), outcomes.get("doubted", 0)
    if ties:
        found.append(
            _notice(
                "info",
                f"People are even on {_count(ties, 'cue')}: used for nothing.",
                LEAD,
            )
        )
    if doubted:
        found.append(
            _notice(
                "info",
                f"On {_count(doubted, 'cue')} the only word stands against what was said of the "
                "same concept in other cases: used for nothing.",
                "Look at them again, or let a lead decide them.",
            )
        )
    return found


def _columns(payload: Mapping[str, Any]) -> list[Notice]:
    even = [each["column"] for each in payload.get("columns", ()) if each["outcome"] == "tie"]
    if not even:
        return []
    return [
        _notice(
            "info",
            f"People are even on {_listed(even)}: not used as a rejected column.",
            "Agree on it, then start again.",
        )
    ]


def _places(payload: Mapping[str, Any]) -> list[Notice]:
    even = sum(each["outcome"] == "tie" for each in places_in(payload))
    if not even:
        return []
    return [
        _notice(
            "info",
            f"People are even on {_count(even, 'drawn place')}, called a sign by some and rejected "
            "by others: used for nothing.",
            "Agree on what lies there, then start again.",
        )
    ]


def _unproven(raters: Sequence[RaterEvidence]) -> list[Notice]:
    alone = [each for each in raters if each.status == "unproven" and each.words]
    if not alone:
        return []
    names = _listed([each.reviewer for each in alone])
    return [
        _notice(
            "info",
            f"How reliable {names} {'is' if len(alone) == 1 else 'are'} cannot be told yet: too "
            "few cues were judged by others as well.",
            f"It takes about {NEEDED['random']} shared cues to notice random words and "
            f"{NEEDED['inverted']} to notice inverted ones.",
        )
    ]


def _explanation(outcomes: Mapping[Outcome, int]) -> list[Notice]:
    aside = outcomes.get("set aside", 0)
    if not aside:
        return []
    return [
        _notice(
            "info",
            f"On {_count(aside, 'cue')} people say that the region or the name is wrong: that is "
            "about the explanation, and changes no weight.",
        )
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{100 * share:.0f} %"


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:NAMED])
    rest = len(names) - len(shown)
    if rest:
        shown.append(f"{rest} more")
    return " and ".join(([", ".join(shown[:-1])] if len(shown) > 1 else []) + shown[-1:])
