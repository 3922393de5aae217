"""A blind review: nothing of the model's answer reaches the browser before one's own word."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, WebSocket, expect

from dashboard.viewmodels import CaseView
from tests.e2e.driver import Person
from tests.e2e.journey import Scene, case_id, question, scene_in, visit
from tests.e2e.screen import drawn
from tests.integration.services.world import CLASSES, reviewer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

# What a page says, shadow trees and attributes included.
ALL_TEXT = """() => {
  const parts = []
  const walk = (node) => {
    if (node.nodeType === Node.TEXT_NODE) parts.push(node.data)
    for (const { value } of node.attributes ?? []) parts.push(value)
    for (const child of node.shadowRoot?.childNodes ?? []) walk(child)
    for (const child of node.childNodes) walk(child)
  }
  walk(document.documentElement)
  return parts.join("\\n")
}"""
KEPT_BACK: dict[str, Any] = {
    "prediction": "", "label": None, "version": "", "narrative": "", "probabilities": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def scene(chrome: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A project that a lead made blind on the Settings screen."""
    with scene_in(tmp_path_factory.mktemp("blind"), chrome) as opened:
        page = opened.arrives("Lena", "settings").page
        for what in ("the model's identity", "the prediction", "prior labels"):
            page.get_by_text(f"Hide {what}").click()
        page.get_by_text("At random, each reviewer an order of their own").click()
        page.get_by_role("button", name="Save the rules").click()
        expect(page.get_by_text("Saved as revision 1.")).to_be_visible()
        page.get_by_role("tab", name="History").click()
        expect(page.get_by_role("cell", name="what is hidden, order")).to_be_visible()
        yield opened


def case_of(scene: Scene, person: Person, name: str) -> CaseView:
    """The case on the desk as the store has it for this person."""
    me = reviewer(scene.world, name)
    return scene.world.services.review.case(scene.world.project_id, case_id(person), me)


def hears(page: Page) -> list[bytes]:
    """Everything that comes over the page's web socket from now on."""
    heard: list[bytes] = []

    def keep(frame: str | bytes) -> None:
        heard.append(frame.encode() if isinstance(frame, str) else frame)

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", keep)

    page.on("websocket", listen)
    return heard


def models(heard: list[bytes]) -> list[dict[str, Any]]:
    """The desk's models among what was heard: JSON that begins with the case's id."""
    found = []
    for frame in heard:
        for start in re.finditer(rb'\{"id": "[0-9a-f-]{36}", "position"', frame):
            text = frame[start.start() :].decode("utf-8", errors="replace")
            found.append(json.JSONDecoder().raw_decode(text)[0])
    return found


def test_nothing_is_told_before_ones_own_label_and_all_after(scene: Scene) -> None:
    ada = scene.unseated()
    heard = hears(ada.page)
    ada.sign_in("Ada")
    page, secret = ada.page, secrets(scene, case_id(ada))
    ada.press("t", "t")  # a look at every tab
    ada.settled()
    told = models(heard)
    assert told
    for model in told:
        assert {key: model[key] for key in KEPT_BACK} == KEPT_BACK
        assert all(cue["contribution"] == cue["effect"] == 0 for cue in model["cues"])
        assert model["what_if"] is None is model["flip"]
    everything = page.evaluate(ALL_TEXT) + page.content()
    for word in secret:
        assert word not in everything
        assert word.encode() not in b"".join(heard)
    expect(page.get_by_text("Model says", exact=True)).to_have_count(0)
    ada.press("g")  # agree with what?
    expect(page.locator(".unseen")).to_contain_text("give your own label")
    ada.press("l")
    question(ada, "What is it? Your own label").get_by_role("button", name=CLASSES[1]).click()
    expect(page.get_by_text("Model says", exact=True)).to_be_visible()
    expect(page.locator(".unseen")).to_contain_text(f"You said {CLASSES[1]}")
    assert models(heard)[-1]["prediction"] == case_of(scene, ada, "Ada").prediction
    ada.reload()  # it stays told
    expect(page.get_by_text("Model says", exact=True)).to_be_visible()


def secrets(scene: Scene, case: str) -> list[str]:
    """What would give the answer away: the model, the file's name, figures, the narrative."""
    with scene.world.services.uow(read_only=True) as uow:
        record = uow.cases.get(case)
        image = uow.images.get(record.image_id)
        version = uow.versions.get(record.version_id)
    return [version.hash[:10], image.relpath, f"predicts {record.prediction}"]


def test_ratings_from_one_to_five_are_stored(scene: Scene) -> None:
    bea = scene.arrives("Bea")
    bea.press("m")
    for criterion, value in (("Clarity", "4"), ("Relevance", "5"), ("Actionability", "1")):
        question(bea, re.compile(f"^{criterion}, 1 to 5"))
        bea.press(value)
    bea.settled()
    bea.reload()
    for name in ("Clarity: 4 of 5", "Relevance: 5 of 5", "Actionability: 1 of 5"):
        expect(bea.page.get_by_role("radio", name=name)).to_have_attribute("aria-checked", "true")
    assessment = case_of(scene, bea, "Bea").assessment
    assert assessment is not None
    assert dict(assessment.ratings) == {"clarity": 4, "relevance": 5, "actionability": 1}


def test_what_others_said_shows_after_ones_own_verdict(scene: Scene) -> None:
    cleo, dana = scene.arrives("Cleo"), scene.arrives("Dana")
    cleo.press("x")
    cleo.settled()
    heard = hears(dana.page)
    dana.page.goto(cleo.page.url)
    dana.wait_for_case()
    others = dana.page.locator(".peers")
    expect(others).to_be_hidden()
    assert all(not cue["peers"] for model in models(heard) for cue in model["cues"])
    dana.press("y")
    dana.settled()
    dana.press("1")
    expect(others).to_have_text("Others: Cleo spurious")
    dana.press("2")
    expect(others).to_be_hidden()


def test_each_reviewer_has_an_order_of_their_own_that_stays(scene: Scene) -> None:
    orders = []
    for name in ("Eli", "Fay"):
        person = scene.arrives(name, "queue")
        shown = listed(person)
        visit(person, "queue")
        assert listed(person) == shown
        orders.append(shown)
    assert orders[0] != orders[1]


def listed(person: Person) -> list[str]:
    """The images on the first page of the queue, in this person's order."""
    rows = person.page.locator(".st-key-queue-rows").get_by_text(re.compile("^image [0-9a-f]{8}"))
    expect(rows).to_have_count(25)
    drawn(person.page)
    return rows.all_inner_texts()


def test_the_queue_tells_no_decision_and_no_label(scene: Scene) -> None:
    page = scene.arrives("Gil", "queue").page
    expect(page.get_by_text("hidden until your word is in").first).to_be_visible()
    expect(page.get_by_role("combobox", name="Decision")).to_be_disabled()
    expect(page.get_by_role("textbox", name="Image name")).to_be_disabled()
    rows = page.locator(".st-key-queue-rows").inner_text()
    assert not any(name in rows for name in CLASSES)


def test_examples_of_a_concept_tell_no_label(scene: Scene) -> None:
    page = scene.arrives("Hal", "concepts").page
    expect(page.get_by_text("Under each image")).to_be_visible()
    names = page.get_by_test_id("stImage").get_by_role("img")
    expect(names.first).to_have_attribute("alt", re.compile("^image [0-9a-f]{8}: "))
    expect(page.get_by_alt_text(re.compile("train-|test-|reversed-"))).to_have_count(0)
