"""What a strategy is: one way from evidence to a new head."""

from collections.abc import Callable
from typing import Protocol

from core.strategies.data import FitData, Outcome

Report = Callable[[float, str], None]
"""(share done in [0, 1], what is being done)"""


def silent(share: float, text: str) -> None:
    """A report that nobody reads."""


class Strategy(Protocol):
    """One way from evidence to a new head. Stateless: equal data give an equal outcome."""

    @property
    def name(self) -> str:
        """Key in code, files and the command line, such as "groups"."""

    @property
    def title(self) -> str:
        """Name on the screen."""

    @property
    def line(self) -> str:
        """One sentence that says what it does, for the screen."""

    @property
    def paper(self) -> str:
        """Where it comes from."""

    def why_not(self, data: FitData) -> str | None:
        """Why it cannot be used on these data, in one sentence; None where it can. Cheap."""

    def fit(self, data: FitData, report: Report = silent) -> Outcome:
        """The new head.

        Raises:
            FeedbackError: the evidence cannot carry it.
            ConfigError: the data do not fit together.
        """
