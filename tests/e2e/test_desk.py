"""A person at the desk, from the first case to the downloaded report; and crashes in between."""

from __future__ import annotations

import json
import re
from pathlib import Path
from zipfile import ZipFile

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.driver import App, Person
from tests.integration.services.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

REGIONS = 6  # marked regions of the same cue: what a reliable detector needs


@pytest.fixture
def person(chrome: Browser, app: App) -> Person:
    page = chrome.new_page(viewport={"width": 1280, "height": 800})
    return Person(page, app.url)


def standing(world: World, name: str = "Dr Example") -> dict[str, str]:
    """What the store holds for a reviewer: cue -> value."""
    reviewer = world.services.review.sign_in(name)
    found: dict[str, str] = {}
    for row in world.services.review.queue(world.project_id, reviewer):
        if row.done:
            case = world.services.review.case(world.project_id, row.case_id, reviewer)
            found |= {cue.id: cue.mine.value for cue in case.cues if cue.mine}
    return found


def ruler_row(person: Person) -> int | None:
    """Where the ruler stands among the three strongest cues of this case; None where not."""
    names = person.rows().locator(".name").all_inner_texts()[:3]
    return names.index("ruler") if "ruler" in names else None


def mark_ruler(person: Person, regions: int) -> int:
    """Mark the ruler spurious wherever it shows, case after case; the number marked."""
    marked = 0
    for _ in range(40):
        person.next_case()
        row = ruler_row(person)
        if row is not None:
            person.press(str(row + 1), "x")
            person.settled()
            marked += 1
        if marked == regions:
            break
    return marked


def test_from_first_case_to_report(world: World, person: Person, tmp_path: Path) -> None:
    person.sign_in()
    page = person.page
    reads_a_case(page)
    marks_by_key_and_finds_them_again(world, person)
    assert mark_ruler(person, REGIONS) == REGIONS
    renames_a_concept(person)
    runs_and_compares(person)
    downloads_the_report(person, tmp_path)


def reads_a_case(page: Page) -> None:
    expect(page.get_by_text("Case 1 of")).to_be_visible()
    expect(page.get_by_text("synthetic phantom, not for clinical use").first).to_be_visible()
    label = page.get_by_role("img", name="Image").get_attribute("aria-label") or ""
    assert "Prediction" in label
    assert "logit" in label
    expect(page.get_by_role("region", name="In words")).not_to_be_empty()
    expect(page.get_by_role("tree")).to_be_visible()


def marks_by_key_and_finds_them_again(world: World, person: Person) -> None:
    while (ruler := ruler_row(person)) is None:
        person.next_case()
    right, unclear = (row for row in range(3) if row != ruler)
    for row, key in ((ruler, "x"), (right, "y"), (unclear, "u")):
        person.press(str(row + 1), key)
    person.settled()
    assert sorted(standing(world).values()) == ["correct", "spurious", "unsure"]
    address = person.page.url
    person.reload()
    assert person.page.url == address
    for row, word in ((ruler, "spurious"), (right, "correct"), (unclear, "unsure")):
        expect(person.rows().nth(row).locator(".status")).to_contain_text(f"{word} \u00b7 saved")
        pressed = person.rows().nth(row).locator('.verdict[aria-pressed="true"]')
        expect(pressed).to_have_count(1)
    person.press("z")
    expect(person.rows().nth(unclear).locator('.verdict[aria-pressed="true"]')).to_have_count(0)
    person.settled()
    assert sorted(standing(world).values()) == ["correct", "spurious", "withdrawn"]


def renames_a_concept(person: Person) -> None:
    page = person.page
    person.go("Concepts")
    field = page.get_by_role("combobox", name="Better name")
    field.click()
    field.fill("scale bar")
    field.press("Enter")
    page.get_by_role("textbox", name="Why (optional)").fill("it has ticks")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_role("heading", name="scale bar")).to_be_visible()
    expect(page.get_by_text("Renamed to")).to_be_visible()


def runs_and_compares(person: Person) -> None:
    page = person.page
    person.go("Runs")
    expect(
        page.get_by_text(re.compile(rf"It will use {REGIONS}|spurious verdicts"))
    ).to_be_visible()
    page.get_by_role("button", name="Start the run").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_count(0, timeout=600_000)
    expect(page.get_by_text("waits for your decision")).to_be_visible()
    expect(page.get_by_text("Worst-group accuracy").first).to_be_visible()
    chart = page.get_by_label(re.compile("Before and after on")).first
    expect(chart).to_be_visible()
    page.get_by_role("button", name="Use this version").click()
    expect(page.get_by_text("is the active one")).to_be_visible()


def downloads_the_report(person: Person, folder: Path) -> None:
    page = person.page
    person.go("Report")
    expect(page.get_by_text("What was not reviewed")).to_be_visible()
    forms = page.get_by_role("combobox", name="Forms")
    for label in ("CSV tables", "JSON"):
        forms.click()
        page.get_by_role("option", name=label).click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Make the report").click()
    downloads = page.get_by_role("button", name="Download")
    expect(downloads).to_have_count(3, timeout=120_000)
    content = {}
    for button in downloads.all():
        with page.expect_download() as waiting:
            button.click()
        fmt = Path(waiting.value.suggested_filename).suffix
        waiting.value.save_as(folder / fmt)
        content[fmt] = (folder / fmt).read_bytes()
    assert b"not for clinical use" in content[".html"]
    assert b"scale bar" in content[".html"]
    with ZipFile(folder / ".zip") as tables:
        verdicts = next(name for name in tables.namelist() if "verdicts" in name)
        assert tables.read(verdicts).count(b"spurious") >= REGIONS
    assert json.loads(content[".json"])


def test_nothing_acknowledged_is_lost_when_the_app_is_killed(
    world: World, app: App, person: Person
) -> None:
    """kill -9 in the middle of a verdict: what was shown as saved is there, the rest arrives."""
    person.sign_in()
    person.press("x")
    person.settled()
    acknowledged = standing(world)
    assert list(acknowledged.values()) == ["spurious"]
    person.press("y")  # on its way, on the second cue: the desk moved on ...
    app.kill("app")  # ... when the app dies
    person.press("u")  # given while there is no app at all
    expect(person.rows().nth(2).locator(".status")).to_contain_text("saving")
    app.start_app()
    person.wait_for_case()
    person.settled()  # the open page comes back by itself and sends what was not answered
    stands = standing(world)
    assert acknowledged.items() <= stands.items()
    assert sorted(stands.values()) == ["correct", "spurious", "unsure"]


def test_a_verdict_given_without_an_app_survives_the_reload(
    world: World, app: App, person: Person
) -> None:
    person.sign_in()
    app.kill("app")
    person.press("x")
    expect(person.rows().first.locator(".status")).to_contain_text("saving")
    app.start_app()
    person.reload()
    expect(person.rows().first.locator(".status")).to_contain_text("spurious \u00b7 saved")
    assert list(standing(world).values()) == ["spurious"]


def test_two_tabs_on_one_cue(chrome: Browser, app: App, world: World) -> None:
    """The later tab is told what stands and may give its verdict again."""
    context = chrome.new_context(viewport={"width": 1280, "height": 800})
    first = Person(context.new_page(), app.url)
    first.sign_in()
    second = Person(context.new_page(), app.url)
    second.page.goto(first.page.url)  # the name is remembered
    second.wait_for_case()
    first.press("x")
    first.settled()
    second.press("y")
    expect(second.page.get_by_role("alert").filter(has_text="another tab")).to_be_visible()
    expect(second.rows().first.locator(".status")).to_contain_text("spurious \u00b7 saved")
    second.press("1", "y")
    second.settled()
    assert list(standing(world).values()) == ["correct"]
    context.close()


def test_keys_do_not_fire_while_typing(person: Person, world: World) -> None:
    person.sign_in()
    comment = person.page.get_by_label("Comment on this cue")
    comment.fill("")
    comment.press_sequentially("xyun")
    assert comment.input_value() == "xyun"
    expect(person.page.get_by_text("Case 1 of")).to_be_visible()
    assert standing(world) == {}


def test_looking_asks_the_server_for_nothing(person: Person) -> None:
    frames: list[object] = []
    person.page.on("websocket", lambda s: s.on("framesent", lambda f: frames.append(f)))
    person.sign_in()
    person.settled()
    assert frames  # the listener works
    frames.clear()
    person.press("ArrowDown", "s", "b", "o", "a", "v", "+", "0", "t", "w", "h", "Escape")
    person.page.get_by_role("slider", name="activation").first.fill("0")
    canvas = person.page.locator(".canvas")
    canvas.hover()
    person.page.mouse.wheel(0, -300)
    person.page.get_by_label("Opacity, per cent", exact=True).fill("70")
    assert frames == []


def test_undo_goes_back_through_every_kind_of_word(world: World, person: Person) -> None:
    """A verdict, a word on the case and a drawing, taken back one after another and given anew."""
    person.sign_in()
    page = person.page
    person.press("x", "d")
    person.settled()
    person.press("i")
    box = page.locator(".canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 80, box["y"] + box["height"] / 2 + 60, steps=4)
    page.mouse.up()
    expect(page.get_by_role("dialog", name="What did you mark?")).to_be_visible()
    person.press("1")
    person.settled()
    expect(page.get_by_role("tab", name="Notes (1)")).to_be_visible()
    for words in ("your drawing", "your word on the case", "Undone."):
        person.press("z")
        expect(page.locator(".unseen")).to_contain_text(words)
        person.settled()
    assert standing(world) == {}
    person.press("g")
    person.settled()
    expect(page.get_by_role("button", name="Agree G", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    assert page.locator(".alert").is_hidden()


def test_a_skipped_case_is_left_and_a_kept_one_is_found_again(person: Person) -> None:
    person.sign_in()
    page = person.page
    expect(page.get_by_text("Case 1 of")).to_be_visible()
    person.press("j")
    expect(page.get_by_text("Case 2 of")).to_be_visible()
    person.press("k")
    page.get_by_label("New name").fill("Shortcuts")
    person.press("Enter")
    person.settled()
    expect(page.locator(".unseen")).to_contain_text("Kept")
    person.press("k")
    expect(page.get_by_label("Case study", exact=True)).to_contain_text("Shortcuts")


@pytest.mark.parametrize("mode", ["Diagnose", "Validate", "Discover"])
def test_the_modes_are_on_the_same_desk(person: Person, mode: str) -> None:
    person.sign_in()
    page = person.page
    page.get_by_role("button", name=mode, exact=True).click()
    expect(page).to_have_url(re.compile(f"mode={mode.lower()}"))
    # The mode's own screen, not the desk that is about to go: that one hears nothing any more.
    chosen = page.get_by_role("radio", name=mode, exact=True, checked=True)
    if mode == "Diagnose":
        chosen = chosen.or_(page.get_by_role("button", name=mode, exact=True, pressed=True))
    expect(chosen.first).to_be_visible()
    back = page.get_by_role("button", name="Review", exact=True).or_(
        page.get_by_role("radio", name="Review", exact=True)
    )
    back.first.click()
    person.wait_for_case()
    expect(page).to_have_url(re.compile("mode=review"))
