"""The desk by itself in a browser: mounted as Streamlit does it, with nobody behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Browser, expect

from core.phantoms import CLASSES
from dashboard.components.bundle import asset, bundle
from dashboard.components.picture import Picture
from dashboard.components.viewer import Ack, Sitting, Study, packet
from dashboard.viewmodels import CaseView
from tests import fakes

SCRIPT = bundle().replace("export default function mount", "function mount") + "\nwindow.go = mount"
ORIGIN = "http://desk.test/"
# The frame that Streamlit puts round the desk: its header above, its margins beside.
PAGE = (
    "<!doctype html><html lang=en><title>desk</title>"
    f"<style>body {{ margin: 56px 18px 0 }} {asset('viewer.css')}{asset('stage.css')}</style>"
    "<main id=m></main>"
)
ME = "Ada"


class DeskPage:
    """A page with the desk over the fakes; what it sends is looked at, or handed to the fakes."""

    def __init__(
        self, chrome: Browser, services: fakes.FakeServices, *, tour: bool = False
    ) -> None:
        self.services = services
        self.me = services.review.sign_in(ME)
        self.page = chrome.new_page(viewport={"width": 1280, "height": 800})
        self.page.route(ORIGIN, lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        self.tour = tour
        self.open()

    def open(self) -> None:
        """Load the page anew, as a reload does."""
        self.page.goto(ORIGIN)
        if not self.tour:
            self.page.evaluate("localStorage.setItem('insight.tour', 'seen')")
        self.page.add_script_tag(content=SCRIPT)

    def case(self, at: int = 0) -> CaseView:
        """The case as the service has it now."""
        return self.services.review.case("", fakes.uid("case", at), self.me)

    def show(
        self, view: CaseView, acks: dict[str, Ack] | None = None, studies: Sequence[Study] = ()
    ) -> None:
        """Call the component with this case."""
        picture = Picture(*self.services.review.image_bytes(view.image_id))
        sitting = Sitting("session", "me", "project", CLASSES, "review", tuple(studies))
        self.page.evaluate(
            """(bytes) => {
              window.sent ??= []
              window.go({
                data: new Uint8Array(bytes), parentElement: document.getElementById("m"),
                setTriggerValue: (name, value) => window.sent.push(structuredClone(value)),
              })
            }""",
            list(packet(view, picture, sitting, acks or {})),
        )
        expect(self.page.locator(".head")).to_be_visible()

    def press(self, *keys: str) -> None:
        """Press keys one after another."""
        for key in keys:
            self.page.keyboard.press(key)

    def sent(self) -> list[dict[str, Any]]:
        """The newest list of events, which holds all that is unanswered."""
        return list(self.page.evaluate("window.sent.at(-1) ?? []"))

    def row(self, at: int) -> str:
        """What a cue's row says of its verdict."""
        return self.page.locator(".cue .status").nth(at).inner_text()

    def selected(self) -> str:
        """The letter of the selected cue."""
        return self.page.locator(".cue[aria-selected=true] .letter").inner_text()


def softmax(logits: Sequence[float], temperature: float) -> list[float]:
    """Calibrated probabilities, the slow and plain way."""
    powers = [math.exp(logit / temperature) for logit in logits]
    return [power / sum(powers) for power in powers]
