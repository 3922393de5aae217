"""What every screen gets: the services, the session's state, who sits here and on what."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import InsightError
from dashboard.state import DeskState, Reviewer
from dashboard.viewmodels import ProjectView
from dashboard.views import chrome
from db.errors import StoreError

if TYPE_CHECKING:
    from dashboard.bootstrap import Services

REFUSALS = (InsightError, StoreError)


@dataclass(frozen=True)
class Sitting:
    """One reviewer at the desk of one project."""

    services: "Services"
    state: DeskState
    reviewer: Reviewer
    project: ProjectView


@contextmanager
def shown_as_sentence(advice: str = "") -> Iterator[None]:
    """Shows a refusal of the engine or the store as a sentence and goes on after the block."""
    try:
        yield
    except REFUSALS as error:
        chrome.problem(error, advice)
