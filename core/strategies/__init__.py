"""Strategies: ways from what people said to a head that follows it (docs/decisions/0030)."""

from core.strategies.data import Around, FitData, GroupRow, Notice, Outcome, StrategyScore
from core.strategies.protocol import Strategy
from core.strategies.registry import STRATEGIES, fit_strategy, get_strategy

__all__ = [
    "STRATEGIES",
    "Around",
    "FitData",
    "GroupRow",
    "Notice",
    "Outcome",
    "Strategy",
    "StrategyScore",
    "fit_strategy",
    "get_strategy",
]
