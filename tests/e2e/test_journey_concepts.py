"""Concepts among several people: named, marked, locked, proposed by one and decided by another."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.driver import Person
from tests.e2e.journey import Scene, choose, next_case, scene_in, visit
from tests.e2e.screen import drawn

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def scene(chrome: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene_in(tmp_path_factory.mktemp("concepts"), chrome) as opened:
        yield opened


def open_concept(person: Person, search: str, heading: str) -> Page:
    """Find a concept in the list and open it."""
    page = visit(person, "concepts")
    page.get_by_role("searchbox", name="Find a concept").fill(search)
    expect(page.get_by_text("1 to 1 of 1 concepts")).to_be_visible()
    page.locator(".stDataFrameGlideDataEditor").first.click(position={"x": 12, "y": 48})
    expect(page.get_by_role("heading", name=heading)).to_be_visible()
    return page


def rename(page: Page, name: str, why: str) -> None:
    field = page.get_by_role("combobox", name="Better name")
    field.click()
    field.fill(name)
    field.press("Enter")
    page.get_by_role("textbox", name="Why (optional)").first.fill(why)
    page.get_by_role("button", name="Rename").click()


def test_a_better_name_is_kept_with_who_when_and_why(scene: Scene) -> None:
    page = open_concept(scene.arrives("Ada"), "concept 10", "concept 10")
    rename(page, "milky veil", "whitish haze, no structure")
    expect(page.get_by_text("Renamed to “milky veil”.")).to_be_visible()
    expect(page.get_by_role("heading", name="milky veil no. 10")).to_be_visible()
    page.get_by_role("tab", name="History").click()
    row = page.get_by_role("row").filter(has_text="milky veil")
    expect(row).to_contain_text("Ada")
    expect(row).to_contain_text("whitish haze, no structure")
    expect(row).to_contain_text(re.compile(r"20\d\d"))


def test_an_artefact_is_marked_and_found_by_its_mark(scene: Scene) -> None:
    page = open_concept(scene.arrives("Ben"), "concept 7", "concept 7")
    page.get_by_role("button", name="Mark as artefact").click()
    page.get_by_role("textbox", name="Why (optional)").last.fill("a scale bar")
    page.get_by_role("button", name="Mark as artefact now").click()
    expect(page.get_by_text("Marked as artefact.")).to_be_visible()
    page.get_by_role("searchbox", name="Find a concept").fill("")
    choose(page, "Only", "marked as artefact")
    expect(page.get_by_text("1 to 1 of 1 concepts")).to_be_visible()
    page.get_by_role("tab", name="History").click()
    expect(page.get_by_role("cell", name="a scale bar")).to_be_visible()


def test_a_locked_name_refuses_renames_with_a_sentence(scene: Scene) -> None:
    cleo, dana = scene.arrives("Cleo"), scene.arrives("Dana")
    before = open_concept(cleo, "hair", "hair no. 3")
    page = open_concept(dana, "hair", "hair no. 3")
    page.get_by_role("button", name="Lock the name").click()
    page.get_by_role("textbox", name="Why (optional)").last.fill("as the atlas has it")
    page.get_by_role("button", name="Lock the name now").click()
    expect(page.get_by_text("The name is locked.")).to_be_visible()
    rename(before, "bristle", "shorter")  # Cleo's page still shows it open
    expect(before.get_by_text(re.compile("Not stored: .*locked"))).to_be_visible()
    expect(before.get_by_role("heading", name="hair no. 3")).to_be_visible()
    expect(before.get_by_role("button", name="Rename")).to_be_disabled()
    said = re.compile("^Dana locked this name on .*: as the atlas has it")
    expect(before.get_by_text(said)).to_be_visible()


def test_one_proposes_another_decides_and_the_desk_follows(scene: Scene) -> None:
    expert = scene.arrives("Eli")
    desk = case_with(expert, {"streaks", "round border", "ruler"})
    gives_roles(scene)
    proposes(expert)
    decides(scene.arrives("Fay"))
    follows(expert, desk)
    assert "streaks" not in names(expert)  # merged away


def names(person: Person) -> list[str]:
    """The cues on the desk."""
    return person.page.locator(".cue .name").all_inner_texts()


def case_with(person: Person, wanted: set[str]) -> str:
    """Go on to a case with these cues; returns its address."""
    for _ in range(20):
        if wanted <= set(names(person)):
            break
        next_case(person)
    assert wanted <= set(names(person))
    return person.page.url


def gives_roles(scene: Scene) -> None:
    """Eli proposes, Fay decides."""
    scene.arrives("Fay").page.close()  # who was here once can be given a role
    page = scene.arrives("Lena", "settings").page
    page.get_by_role("tab", name="Members").click()
    for name, role in (("Lena", "Lead"), ("Fay", "Annotator")):
        choose(page, f"Role of {name}", role)
        expect(page.get_by_text(f"{name}: {role.lower()}.")).to_be_visible()
        drawn(page)


def proposes(eli: Person) -> None:
    """A move, a merge and a split; none of it is his to decide."""
    page = asks(eli, "ruler", "Move it under another", "it lies on the streaks", "streaks",
                how="it is part of that")  # fmt: skip
    expect(page.get_by_role("button", name="Change it now")).to_have_count(0)
    expect(page.get_by_role("button", name="Rename")).to_be_disabled()
    asks(eli, "streaks", "Merge it into another", "the same thing", "round border")
    page = asks(eli, "hair", "Split it", "two kinds", parts="terminal hair\nvellus hair")
    page.get_by_role("radio", name="Proposals (3 open)").click()
    expect(page.get_by_text("Annotators and leads decide proposals")).to_be_visible()
    expect(page.get_by_role("button", name="Accept")).to_have_count(0)


def asks(
    person: Person, name: str, kind: str, why: str, target: str = "", *, how: str = "",
    parts: str = "",
) -> Page:  # fmt: skip
    """One proposal, from a concept's page."""
    page = open_concept(person, name, f"{name} no.")
    page.get_by_role("tab", name="Relations").click()
    page.get_by_role("radio", name=kind).click()
    if target:
        choose(page, "The other concept", target)
    if how:
        page.get_by_text(how).click()
    if parts:
        page.get_by_role("textbox", name="Its parts, one a line").fill(parts)
    page.get_by_role("textbox", name="Why", exact=True).fill(why)
    page.get_by_role("textbox", name="Why", exact=True).press("Enter")
    page.get_by_role("button", name="Propose it").click()
    expect(page.get_by_text("Proposed. It waits under Proposals")).to_be_visible()
    return page


def decides(fay: Person) -> None:
    """The move and the merge are accepted; the split is declined, which needs a reason."""
    page = visit(fay, "concepts?show=proposals")
    split = page.get_by_role("button", name="Decline").nth(2)
    expect(page.get_by_text("the same thing")).to_be_visible()
    split.click()
    expect(page.get_by_text("Say why you decline it")).to_be_visible()
    page.get_by_role("textbox", name="Reason for the decision").nth(2).fill("one kind to us")
    split.click()
    expect(page.get_by_text("Declined.")).to_be_visible()
    for left in (1, 0):
        page.get_by_role("button", name="Accept").first.click()
        expect(page.get_by_text(f"Waiting for a decision: {left}")).to_be_visible()


def follows(eli: Person, desk: str) -> None:
    """The tree and the names of the case, and what became of the proposal that was declined."""
    page = eli.page
    page.goto(desk)
    eli.wait_for_case()
    assert "streaks" not in names(eli)
    assert sum("round border" in name for name in names(eli)) == 2
    ruler = page.get_by_role("tree").get_by_role("treeitem", name="ruler")
    expect(ruler).to_have_attribute("aria-level", "2")
    expect(ruler).to_contain_text("is part of the one above")
    visit(eli, "concepts?show=proposals")
    declined = page.get_by_role("row").filter(has_text="Split “hair”")
    expect(declined).to_contain_text("declined")
    expect(declined).to_contain_text("one kind to us")
