"""The Audit screen over the fakes, driven by Streamlit's AppTest."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from tests import fakes
from tests.ui import screen
from tests.ui.screen import plain_texts, press, run
from tests.ui.test_settings import make_lead


def app(**address: str) -> tuple[AppTest, fakes.FakeServices]:
    return screen.app(fakes.Book(cases=3), "audit", **address)


def cells(at: AppTest) -> str:
    return "\n".join(str(table.value.to_dict()) for table in at.table).replace("\\", "")


def test_the_newest_lines_come_first() -> None:
    at, _ = app()
    run(at)
    assert "12 entries; never checked yet" in plain_texts(at)
    did = list(at.table[0].value["Did"])
    assert [each.replace("\\", "") for each in did] == [
        "concept.renamed", "run.succeeded", "verdict.given", "run.started",
    ]  # fmt: skip


def test_a_check_says_that_the_chain_is_whole() -> None:
    at, services = app()
    run(at)
    press(at, "audit-verify")
    assert services.audit.checks == 1
    assert "demo: whole: 12 entries" in plain_texts(at)
    run(at)
    assert "demo: whole" in plain_texts(at), "what was found stays on the screen"


def test_a_check_names_what_was_changed() -> None:
    at, services = app()
    services.audit.broken = True
    run(at)
    press(at, "audit-verify")
    assert "BROKEN: 1 finding" in plain_texts(at)
    assert "verdicts 9a7c (place 7) is not what was written" in cells(at)


def test_filters_are_in_the_address() -> None:
    at, _ = app(who="Ada", did="verdict.given", since="2000-01-01", until="not a day")
    run(at)
    assert len(at.table[0].value) == 1
    box = next(each for each in at.selectbox if each.label == "Person")
    box.set_value("worker")
    run(at)
    assert "worker" in at.query_params["who"]
    assert "No line fits these filters." in plain_texts(at)


def test_an_extract_is_made_and_offered() -> None:
    at, services = app(who="Ada")
    run(at)
    press(at, "audit-extract")
    assert [asked.person for asked in services.audit.taken] == ["Ada"]
    assert "12 entries, 4 with their rows" in plain_texts(at)
    assert "insight audit check audit-" in plain_texts(at)


def test_lines_are_for_leads() -> None:
    at, services = app()
    make_lead(services, "Lena")
    run(at)
    assert "for leads" in plain_texts(at)
    assert not at.table
    assert "audit-extract" not in {button.key for button in at.button}
    press(at, "audit-verify")
    assert "demo: whole" in plain_texts(at), "whether it is whole is for everybody"


def test_hostile_names_are_text() -> None:
    at, services = screen.app(fakes.Book(cases=3, hostile=True), "audit")
    run(at)
    assert fakes.HOSTILE in cells(at)
    assert callable(services.audit.lines)
