"""When a queue learns, and where it never does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.services.project_settings import ProjectSettings
from dashboard.services.queue_learning import GROWTH, applies, is_due


@pytest.mark.parametrize(
    ("every", "planned", "said", "due"),
    [
        (10, 0, 9, False),
        (10, 0, 10, True),
        (10, 7, 16, False),
        (10, 7, 17, True),
        (0, 0, 10_000, False),  # switched off
        (10, 1000, 1049, False),  # one in twenty must be new
        (10, 1000, 1050, True),
    ],
)
def test_when_enough_was_said(every: int, planned: int, said: int, due: bool) -> None:
    assert is_due(every, planned, said) is due


@given(every=st.integers(1, 1000), planned=st.integers(0, 10**6), more=st.integers(0, 10**5))
def test_what_is_due_stays_due_as_more_is_said(every: int, planned: int, more: int) -> None:
    wait = max(every, planned // GROWTH)
    assert not is_due(every, planned, planned + wait - 1)
    assert is_due(every, planned, planned + wait + more)
    assert not is_due(0, planned, planned + wait + more)


def test_plans_grow_slowly_with_the_words() -> None:
    planned, plans = 0, 0
    while planned < 100_000:
        said = planned + 1
        while not is_due(10, planned, said):
            said += 1
        planned, plans = said, plans + 1
        if planned == 10 * GROWTH:
            assert plans == GROWTH
    assert 120 < plans < 170


def test_rules_that_leave_the_order_alone() -> None:
    assert applies(ProjectSettings())
    assert not applies(ProjectSettings(replan_words=0))
    assert not applies(ProjectSettings(order="random"))
    assert not applies(ProjectSettings(blind=frozenset({"peers"})))
