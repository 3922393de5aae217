"""The Review screen's modes, over the fakes."""

from __future__ import annotations

import pytest

from dashboard.state import DeskState
from tests import fakes
from tests.ui.screen import app, texts


@pytest.mark.parametrize("mode", ["validate", "discover"])
def test_a_mode_without_the_desk_has_the_switch_above_it(mode: str) -> None:
    at, _ = app()
    at.query_params["mode"] = mode
    at.run()
    assert not at.exception
    (switch,) = [each for each in at.button_group if each.label == "What do you want to know"]
    assert switch.value == mode
    switch.set_value("review").run()
    assert not at.exception
    assert at.query_params["mode"] == "review"
    assert at.query_params["case"] == fakes.uid("case", 0)


def test_an_unknown_mode_is_review() -> None:
    at, _ = app()
    at.query_params["mode"] = "drop"
    at.run()
    assert not at.exception
    assert at.query_params["case"] == fakes.uid("case", 0)


def test_diagnose_puts_the_desk_on_an_error() -> None:
    at, _ = app()
    at.query_params["mode"] = "diagnose"
    at.run()
    assert not at.exception
    assert "case" in at.query_params
    assert texts(at)


def test_a_lease_is_not_renewed_at_every_rerun() -> None:
    state = DeskState({})
    assert not state.leased("a", since=-1.0)
    state.lease("a", at=100.0)
    assert state.leased("a", since=40.0)
    assert not state.leased("a", since=100.0)
    assert not state.leased("b", since=40.0)
