"""Words from a file, on the Settings screen over the fakes."""

from __future__ import annotations

import json
from typing import Any

from streamlit.testing.v1 import AppTest

from dashboard.services.data_forms import FORMAT, SCHEMA
from tests import fakes
from tests.ui import screen
from tests.ui.screen import plain_texts as texts
from tests.ui.screen import run
from tests.ui.test_settings import make_lead

VERDICT: dict[str, Any] = {
    "id": "11111111-1111-4111-8111-111111111111", "image": "a.png", "concept": 1,
    "reviewer": "<b>Zoe</b>", "value": "correct",
}  # fmt: skip


def opened(*rows: Any, name: str = "data.json") -> tuple[AppTest, fakes.FakeServices]:
    """The Settings screen with a file of verdicts chosen."""
    at, services = screen.app(fakes.Book(cases=3), "settings")
    run(at)
    body = {"format": FORMAT, "schema": SCHEMA, "tables": {"verdicts": rows}}
    at.file_uploader(key="words-file").set_value((name, json.dumps(body).encode(), "text/json"))
    return run(at), services


def test_looking_takes_nothing_in_and_taking_does_it_once() -> None:
    at, services = opened(VERDICT, name="../../evil/data.json")
    at.button(key="words-look").click()
    run(at)
    assert "Would be taken in: 1 verdicts. 0 known already, 0 do not fit." in texts(at)
    assert services.data.known == set()
    at.button(key="words-take").click()
    run(at)
    assert "Taken in: 1 verdicts" in texts(at)
    at.button(key="words-take").click()
    run(at)
    assert "Taken in: nothing new. 1 known already" in texts(at)
    assert services.data.asked == [("data.json", False), ("data.json", True), ("data.json", True)]


def test_rows_that_do_not_fit_are_named() -> None:
    at, _ = opened(VERDICT, VERDICT | {"id": None, "value": "maybe"})
    at.button(key="words-take").click()
    run(at)
    assert "1 do not fit" in texts(at)
    (table,) = at.table
    assert table.value.iloc[0].tolist() == [
        "verdicts row 2", "value must be one of correct, spurious, unsure, not 'maybe'",
    ]  # fmt: skip


def test_a_file_of_something_else_is_refused_in_a_sentence() -> None:
    at, services = screen.app(fakes.Book(cases=3), "settings")
    run(at)
    at.file_uploader(key="words-file").set_value(("x.json", b'{"format": "else"}', "text/json"))
    run(at)
    at.button(key="words-take").click()
    run(at)
    assert "is not a data file of this program" in texts(at)
    assert services.data.known == set()


def test_only_a_lead_sees_it() -> None:
    at, services = screen.app(fakes.Book(cases=3), "settings")
    make_lead(services, "Somebody else")
    run(at)
    assert not at.file_uploader
    assert "Only a lead" in texts(at)
