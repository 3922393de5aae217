"""All strategies by name."""

from collections.abc import Mapping
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

    Raises:
        ConfigError: there is no such strategy, or the data do not fit together.
        FeedbackError: the evidence cannot carry the strategy.
    """
    return get_strategy(name).fit(data, report)
