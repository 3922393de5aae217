"""All strategies by name."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from core.errors import ConfigError
from core.strategies.auto import Auto
from core.strategies.columns import Columns
from core.strategies.combined import EraseColumns, GroupsCounterfactual
from core.strategies.concept_penalty import LASSO, ConceptPenalty
from core.strategies.counterfactual import Counterfactual
from core.strategies.data import FitData, Outcome
from core.strategies.directions import BALANCED, Erase
from core.strategies.groups import Groups, Subsets
from core.strategies.protocol import Report, Strategy, silent
from core.strategies.sanity import checked, followed, without_words

# Simple ones first: of equals, auto takes the first.
_SINGLE: tuple[Strategy, ...] = (
    Erase(), Groups(), BALANCED, Subsets(), GroupsCounterfactual(), Counterfactual(),
    EraseColumns(), Columns(), ConceptPenalty(), LASSO,
)  # fmt: skip
STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {each.name: each for each in (Auto(_SINGLE), *_SINGLE)}
)


def get_strategy(name: str) -> Strategy:
    """The strategy of that name. Raises ConfigError that lists the names there are."""
    if name not in STRATEGIES:
        raise ConfigError(f"there is no strategy {name!r}: choose one of {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def fit_strategy(name: str, data: FitData, report: Report = silent) -> Outcome:
    """The outcome of the strategy `name`.

    The words are checked first (core.strategies.sanity). `auto` refuses those that look wrong; any
    other strategy was chosen by a person, who may know better than the check: it follows them, with
    a warning among its notes.

    Raises:
        ConfigError: there is no such strategy, or the data do not fit together.
        FeedbackError: the evidence cannot carry the strategy.
    """
    strategy = get_strategy(name)
    if isinstance(strategy, Auto) or not _follows_words(strategy, data):
        return strategy.fit(data, report)
    found = checked(data, report)
    outcome = strategy.fit(replace(data, words=found), report)
    return replace(outcome, notes=tuple(dict.fromkeys((*followed(found), *outcome.notes))))


def _follows_words(strategy: Strategy, data: FitData) -> bool:
    """Whether words on cues and concepts enter; a strategy that can do without them (on columns
    alone) does not look at them."""
    return strategy.why_not(without_words(data)) is not None
