"""Several people at one queue: who gets which case, what is put aside, how far they are."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.driver import Person
from tests.e2e.journey import Scene, case_id, choose, question, scene_in, visit
from tests.e2e.screen import drawn

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def scene(chrome: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    # Nothing is wanted twice: then the same case for two people is an accident.
    with scene_in(tmp_path_factory.mktemp("queue"), chrome, overlap_share=0.0) as opened:
        yield opened


def links(page: Page) -> Locator:
    """The cases listed on the Queue screen."""
    return page.get_by_role("link", name=re.compile(r"^Case \d"))


def place(person: Person) -> str:
    """The words before " of", such as "Case 3"."""
    return person.page.locator(".where b").inner_text().partition(" of")[0]


def test_two_people_get_different_cases_and_see_each_other(scene: Scene) -> None:
    ada, ben = scene.arrives("Ada"), scene.arrives("Ben")
    hers, address = case_id(ada), ada.page.url
    assert hers != case_id(ben)
    expect(ben.page.locator(".held")).to_be_hidden()
    ben.page.goto(address)  # she sent him the link
    ben.wait_for_case()
    assert case_id(ben) == hers
    expect(ben.page.locator(".held")).to_contain_text("Ada has this case open until")
    visit(ben, "queue?status=held")
    expect(ben.page.get_by_text("open at Ada")).to_be_visible()


def test_skipped_flagged_and_escalated_cases_are_found_by_their_address(scene: Scene) -> None:
    cleo = scene.arrives("Cleo")
    page = cleo.page
    cases: dict[str, str] = {}
    for key, status, box in (("f", "flagged", "Flag"), ("q", "escalated", "Escalate")):
        cases[status] = place(cleo)
        cleo.press(key)
        question(cleo, re.compile(f"^{box}")).get_by_label("Why").fill("is this a scar?")
        cleo.press("Enter")
        expect(page.locator(".why")).to_contain_text(status)
        cleo.settled()
        cleo.next_case()
    cases["skipped"] = place(cleo)
    cleo.press("j")
    expect(page.locator(".where b")).not_to_contain_text(f"{cases['skipped']} of")
    cleo.go("Queue")
    choose(page, "Status", "Flagged")
    expect(page).to_have_url(re.compile("status=flagged"))
    expect(links(page)).to_have_count(1)
    aside = [cases["escalated"], cases["skipped"]]
    for status, found in (
        ("flagged", [cases["flagged"]]),
        ("escalated", [cases["escalated"]]),
        ("skipped", aside),
    ):
        visit(cleo, f"queue?status={status}")
        expect(links(page)).to_have_text(found)
        expect(page.locator(".st-key-queue-rows").get_by_text(status)).to_be_visible()
    links(page).last.click()
    cleo.wait_for_case()
    expect(page.locator(".where b")).to_contain_text(f"{cases['skipped']} of")


def test_progress_counts_for_me_and_for_the_team(scene: Scene) -> None:
    dana, eli = scene.arrives("Dana"), scene.arrives("Eli")
    dana.press("y")
    dana.settled()
    expect(dana.page.locator(".progress")).to_contain_text("you 1 ")
    dana.next_case()
    dana.press("x")
    dana.settled()
    expect(dana.page.locator(".progress")).to_contain_text("you 2 ")
    expect(eli.page.locator(".progress")).to_contain_text("you 0 ")
    eli.go("Queue")
    expect(eli.page.get_by_text(re.compile("^You 0 of"))).to_be_visible()
    expect(eli.page.get_by_text(re.compile(r"^Team [1-9]\d* of"))).to_be_visible()
    expect(eli.page.get_by_text(re.compile("Cases per person:.*Dana 2"))).to_be_visible()


def test_the_plan_states_its_reasons(scene: Scene) -> None:
    fay = scene.arrives("Fay", "queue")
    page = fay.page
    expect(page.get_by_text(re.compile("^Priority. .*random control"))).to_be_visible()
    page.get_by_role("button", name="Plan or assign").click()
    page.get_by_role("button", name="Plan the queue").click()
    expect(page.get_by_text(re.compile(r"^\d+ cases planned\.$"))).to_be_visible()
    rows = page.locator(".st-key-queue-rows")
    expect(rows.get_by_text("not planned yet")).to_have_count(0)
    choose(page, "Why", "random control")
    expect(page).to_have_url(re.compile("reason=control"))
    drawn(page)
    expect(rows.get_by_text("random control")).to_have_count(links(page).count())
    links(page).first.click()
    fay.wait_for_case()
    expect(page.locator(".why")).to_contain_text("random control")


def test_assigned_cases_go_to_that_person_alone(scene: Scene) -> None:
    gil = scene.arrives("Gil")
    hugo = scene.arrives("Hugo", "queue")
    page = hugo.page
    page.get_by_role("button", name="Plan or assign").click()
    choose(page, "Person", "Gil")
    page.get_by_role("spinbutton", name="Cases").fill("2")
    page.get_by_role("button", name="Assign", exact=True).click()
    expect(page.get_by_text("2 cases assigned.")).to_be_visible()
    visit(gil, "queue?status=assigned")
    expect(links(gil.page)).to_have_count(2)
    expect(gil.page.get_by_text("for Gil")).to_have_count(2)
    visit(hugo, "queue?status=assigned")
    expect(page.get_by_text("No case matches")).to_be_visible()
