"""Try what the evidence allows, and keep what does best on a validation made from the verdicts.

The strategies that are usable are fitted without the cases that they are scored on
(core.strategies.validation), beside the head as it would be without feedback. The best score wins;
of those within CLOSE of it, the one stated first (core.strategies.registry). Ordinary accuracy does
not break ties: a head that goes on leaning on the shortcut keeps most of it. The winner is then
fitted on all cases. All scores are handed back, and a notice where nothing beats leaving things as
they are.

Shape legend: I cases; R rejected cues.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from core.errors import FeedbackError, TooFewVerdicts
from core.heads import LinearHead
from core.strategies.columns import rejected_columns
from core.strategies.cues import cue_presence, learn_cues
from core.strategies.data import Checked, FitData, Notice, Outcome, StrategyScore
from core.strategies.fitting import Plan, even_weights, fit_plan
from core.strategies.groups import why_no_marks
from core.strategies.protocol import Report, Strategy, silent
from core.strategies.sanity import checked, without_words
from core.strategies.validation import Judged, Validation, build_validation, judge, predict_rounds

UNFIXED = "unfixed"
"""Name of the head without feedback among the scores."""
CLOSE = 0.005
"""Scores that differ by less count as equal."""
LOOK_AGAIN = "Look at the verdicts on cues and concepts, then run again to use them."


@dataclass(frozen=True)
class Auto:
    """Chooses among strategies."""

    candidates: tuple[Strategy, ...]
    name: str = "auto"
    title: str = "Choose for me"
    line: str = (
        "Tries every strategy that the verdicts allow and keeps the one that does best on cases "
        "set aside, grouped by what was rejected."
    )
    paper: str = "Average accuracy over inferred groups: Idrissi et al. 2022 (2110.14503)"

    def why_not(self, data: FitData) -> str | None:
        """See Strategy.why_not."""
        reasons = [each.why_not(data) for each in self.candidates]
        if any(reason is None for reason in reasons):
            return None
        return reasons[0] or "there is no strategy to choose from"

    def fit(self, data: FitData, report: Report = silent) -> Outcome:
        """See Strategy.fit; `Outcome.strategy` is the one chosen."""
        reason = self.why_not(data)
        if reason is not None:
            raise FeedbackError(reason)
        data, notes = prepared(data, report)
        validation = build_validation(data, data.presence_IR)
        usable = [each for each in self.candidates if _usable(each, data)]
        judged, failed = _tried(data, validation, usable, report)
        unfixed = judge(
            data, validation, predict_rounds(data, validation, data.presence_IR, _plain)
        )
        if not judged:
            raise FeedbackError(" ".join(failed.values()) or "no strategy can use this evidence")
        best = chosen(judged)
        report(0.8, f"fitting {best} on all cases")
        strategy = next(each for each in usable if each.name == best)
        outcome = strategy.fit(data, lambda share, text: report(0.8 + 0.2 * share, text))
        scores = _scores(judged, failed, unfixed, best)
        notes = (*notes, *outcome.notes, *_doubts(judged[best], unfixed))
        return replace(outcome, notes=tuple(dict.fromkeys(notes)), scores=scores)


def prepared(data: FitData, report: Report = silent) -> tuple[FitData, tuple[Notice, ...]]:
    """The data with the detectors learnt and applied once, and what is to be said about them.

    Where the words are refused but a column is rejected, the column alone is left: concepts were
    judged in the same verdicts. Too few marks leave what was said of concepts.

    Raises:
        FeedbackError: the marks contradict each other or look swapped, or there are too few of
            them and nothing else to go by.
    """
    if why_no_marks(data) is not None:
        return data, ()
    words = checked(data, report)
    try:
        if words.refusal:
            raise FeedbackError(words.refusal)
        learnt = learn_cues(replace(data, words=words), report)
        learnt, found_IR = cue_presence(data, learnt, report)
    except TooFewVerdicts as error:
        if not (rejected_columns(data) or data.concepts):
            raise
        text = f"The marked regions were not used: {error}."
        advice = "Mark the same cue in more cases."
        return _unmarked(data), (*words.notes, Notice("warning", text, advice))
    except FeedbackError as error:
        if not rejected_columns(data):
            raise
        reason = Checked(refusal=str(error)).reason
        text = f"What was said of cues and concepts was not used, only rejected columns: {reason}"
        return without_words(data), (*words.notes, Notice("warning", text, LOOK_AGAIN))
    ready = replace(data, cues=learnt.cues, presence_IR=found_IR)
    return ready, (*words.notes, *learnt.notes)


def chosen(judged: dict[str, Judged]) -> str:
    """The best score; of those within CLOSE of it, the one stated first."""
    top = max(each.score for each in judged.values())
    return next(name for name, each in judged.items() if each.score >= top - CLOSE)


def _unmarked(data: FitData) -> FitData:
    """The data without their marks; what was said of concepts and columns stays."""
    return replace(data, marks=(), words=None, cues=None, presence_IR=None)


def _usable(strategy: Strategy, data: FitData) -> bool:
    return strategy.why_not(data) is None


def _head_of(strategy: Strategy, data: FitData) -> LinearHead:
    return strategy.fit(data).head


def _plain(data: FitData) -> LinearHead:
    """The head without any feedback."""
    return fit_plan(data, Plan(even_weights(data)))


def _tried(
    data: FitData, validation: Validation, strategies: Sequence[Strategy], report: Report
) -> tuple[dict[str, Judged], dict[str, str]]:
    """Scores of the strategies that could be fitted, and why the others could not."""
    judged: dict[str, Judged] = {}
    failed: dict[str, str] = {}
    for number, strategy in enumerate(strategies):
        report(0.3 + 0.5 * number / len(strategies), f"trying: {strategy.title}")
        try:
            fit = partial(_head_of, strategy)
            predicted = predict_rounds(data, validation, data.presence_IR, fit)
        except FeedbackError as error:
            failed[strategy.name] = str(error)
            continue
        judged[strategy.name] = judge(data, validation, predicted)
    return judged, failed


def _scores(
    judged: dict[str, Judged], failed: dict[str, str], unfixed: Judged, best: str
) -> tuple[StrategyScore, ...]:
    """All scores, best first, the head without feedback among them, those that failed last."""
    rows = [
        StrategyScore(
            name, one.score, one.worst, one.ordinary, name == best, _why(name, best, judged)
        )
        for name, one in judged.items()
    ]
    rows.append(
        StrategyScore(
            UNFIXED,
            unfixed.score,
            unfixed.worst,
            unfixed.ordinary,
            False,
            "the head without feedback, to compare with",
        )
    )
    rows.sort(key=lambda row: (not row.chosen, -(row.score or 0.0)))
    rows += [StrategyScore(name, None, None, None, False, why) for name, why in failed.items()]
    return tuple(rows)


def _why(name: str, best: str, judged: dict[str, Judged]) -> str:
    one, top = judged[name], judged[best]
    if name == best:
        if one.score >= max(each.score for each in judged.values()):
            return "best where what was rejected is present, absent, or turned against the label"
        return "as good as the best, and stated before it"
    if one.score >= top.score - CLOSE:
        return "about as good, but stated later"
    return f"{100 * (top.score - one.score):.1f} points behind"


def _doubts(best: Judged, unfixed: Judged) -> tuple[Notice, ...]:
    """A warning where the fix does not do better than no fix."""
    if best.score > unfixed.score + CLOSE / 2:
        return ()
    text = (
        "No strategy does better than the head without feedback on cases grouped by what was "
        f"rejected ({100 * best.score:.1f} % against {100 * unfixed.score:.1f} %)."
    )
    advice = "The model may not lean on it: look at the comparison before you activate the result."
    return (Notice("warning", text, advice),)


__all__ = ["CLOSE", "UNFIXED", "Auto", "chosen", "prepared"]
