"""Several people's words: how far they agree, who decides, and what a newcomer learns from it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.driver import Person
from tests.e2e.journey import Scene, next_case, question, scene_in
from tests.e2e.screen import agree_to_each, drawn
from tests.integration.services.world import reviewer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

# One line a case, one letter a cue: what Ada and Ben press.
ADA = ("xyy", "yxy", "yyx", "xuy")
BEN = ("xyx", "yxy", "yux", "yyy")
DIFFER = 2  # cues on which both say correct or spurious, and not the same


@pytest.fixture(scope="module")
def scene(chrome: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Two people have judged the same cases at the desk."""
    with scene_in(tmp_path_factory.mktemp("team"), chrome) as opened:
        ada, ben = opened.arrives("Ada"), opened.arrives("Ben")
        for number, (hers, his) in enumerate(zip(ADA, BEN, strict=True)):
            if number:
                next_case(ada)
            judges(ada, hers)
            ben.page.goto(ada.page.url)  # on purpose: the same case
            ben.wait_for_case()
            judges(ben, his)
        yield opened


def judges(person: Person, keys: str) -> None:
    """Each key judges a cue and goes on to the next."""
    person.press("1", *keys)
    person.settled()


def verdicts(scene: Scene) -> list[tuple[str, str]]:
    """Every verdict ever given in the project."""
    with scene.world.services.uow(read_only=True) as uow:
        log = uow.log.read(scene.world.project_id)
    return [(event.id, str(event.values["value"])) for event in log if event.table == "verdicts"]


def test_agreement_has_intervals_and_consensus_beside_majority(scene: Scene) -> None:
    page = scene.arrives("Cleo", "agreement").page
    for name in ("Krippendorff's alpha", "Fleiss' kappa"):
        figure = page.get_by_test_id("stMetric").filter(has_text=name)
        expect(figure).to_contain_text(re.compile(r"\d\.\d\d"))
    expect(page.get_by_text(re.compile(r"^95 % interval .* to ")).first).to_be_visible()
    pair = page.get_by_role("row").filter(has_text="Ada · Ben")
    expect(pair).to_contain_text(re.compile(r"\d\.\d\d"))
    expect(pair).to_contain_text(" to ")
    expect(page.get_by_role("columnheader", name="Majority", exact=True)).to_be_visible()
    expect(page.get_by_role("columnheader", name="Consensus", exact=True)).to_be_visible()
    expect(page.get_by_test_id("stMetric").filter(has_text="To decide")).to_contain_text(
        str(DIFFER)
    )


def test_a_disagreement_is_decided_and_leaves_the_list(scene: Scene) -> None:
    page = scene.arrives("Dana", "agreement?show=disagreements").page
    expect(page.get_by_role("heading", name=f"{DIFFER} disagreements")).to_be_visible()
    expect(page.get_by_text(re.compile("^Ada: . (correct|spurious)"))).to_be_visible()
    expect(page.get_by_text(re.compile("^Ben: . (correct|spurious)"))).to_be_visible()
    page.get_by_role("textbox", name="Why (optional)").fill("ink is no sign")
    page.get_by_role("textbox", name="Why (optional)").press("Enter")
    drawn(page)
    page.get_by_role("button", name="Spurious").click()
    expect(page.get_by_text(re.compile("^Decided: .* is spurious"))).to_be_visible()
    expect(page.get_by_role("heading", name=f"{DIFFER - 1} disagreement")).to_be_visible()
    page.get_by_text("Also the decided ones").click()
    expect(page.get_by_role("heading", name=f"{DIFFER} disagreements")).to_be_visible()
    page.get_by_role("button", name=re.compile("decided ✕")).click()
    decision = page.get_by_role("row").filter(has_text="ink is no sign")
    expect(decision).to_contain_text("Dana")


def test_a_kept_case_trains_a_newcomer_and_changes_no_verdict(scene: Scene) -> None:
    keeps_two_cases(scene)
    before = verdicts(scene)
    assert len(before) == sum(map(len, (*ADA, *BEN)))
    newcomer = scene.arrives("Nina", "studies")
    browses(newcomer.page)
    trains(newcomer.page)
    assert verdicts(scene) == before


def keeps_two_cases(scene: Scene) -> None:
    """Two judged cases go into a case study, from the desk."""
    eli = scene.arrives("Eli")
    page = eli.page
    for number, case in enumerate(judged(scene)):
        page.goto(f"{eli.url}/?case={case}")
        eli.wait_for_case()
        eli.press("k")
        box = question(eli, "Keep this case in a case study")
        if number == 0:
            box.get_by_label("New name").fill("Rulers mislead")
        box.get_by_label("Note").fill("Look at the edge.")
        eli.press("Enter")
        eli.settled()
        expect(page.locator(".unseen")).to_contain_text("Kept in the case study.")


def judged(scene: Scene) -> list[str]:
    """Two cases that Ada and Ben judged."""
    queue = scene.world.services.review.queue(scene.world.project_id, reviewer(scene.world, "Ada"))
    return [row.case_id for row in queue if row.done][:2]


def browses(page: Page) -> None:
    """The collection, and one of its cases; a newcomer is not told the answers."""
    expect(page.get_by_text(re.compile("Case study · 2 cases · by Eli"))).to_be_visible()
    page.get_by_role("button", name="Open", exact=True).click()
    page.get_by_role("button", name="Open case 2").click()
    expect(page.get_by_text("Look at", exact=True)).to_be_visible()
    expect(page.get_by_text("Look at the edge.")).to_have_count(0)
    page.get_by_role("button", name="Rulers mislead").click()


def trains(page: Page) -> None:
    page.get_by_role("button", name="Train with these cases").click()
    for number in (1, 2):
        expect(page.get_by_text(f"Case {number} of 2")).to_be_visible()
        agree_to_each(page, page.get_by_text(re.compile("a right reason\\?$")), drawn)
        page.keyboard.press("1")
        expect(page.get_by_text("All is answered.")).to_be_visible()
        drawn(page)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name=re.compile(r"^\d of \d right$"))).to_be_visible()
        expect(page.get_by_text("Look at the edge.")).to_be_visible()
        page.keyboard.press("n")
    expect(page.get_by_role("heading", name="Attempt 1 is done")).to_be_visible()
    score = page.get_by_test_id("stMetric").filter(has_text="Right")
    expect(score).to_contain_text("%")
    expect(page.get_by_test_id("stMetric").filter(has_text="Kappa")).to_be_visible()
