"""Times what a person waits for at the desk, inside the page, for the benchmark `desk`.

The clock starts with the key (or click) and stops at the first frame in which the answer stands,
all within the browser: no polling of the test driver is in the figures.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from playwright.sync_api import Browser, Page

from benchmarks.desk_store import OPENED_CUES, RATERS, FullStore

# The processes and the browser are driven as the browser tests drive them.
from tests.e2e.driver import App, Person, browser, chromium, free_port

EMPTY = """import streamlit as st

st.session_state.setdefault("count", 0)


def more():
    st.session_state["count"] += 1


st.button("Again", on_click=more)
st.markdown(f"count {st.session_state['count']}")
"""
"""A Streamlit page that does nothing but run again."""

_HELPERS = """() => {
  window.deep = (selector, root = document) => {
    const found = root.querySelector(selector)
    if (found) return found
    for (const each of root.querySelectorAll("*")) {
      const inside = each.shadowRoot && window.deep(selector, each.shadowRoot)
      if (inside) return inside
    }
    return null
  }
  window.timed = (begin, done) => new Promise((resolve, reject) => {
    const start = performance.now()
    begin()
    const look = () => {
      const now = performance.now()
      if (done()) return resolve(now - start)
      if (now - start > 60000) return reject(new Error("no answer within a minute"))
      requestAnimationFrame(look)
    }
    requestAnimationFrame(look)
  })
  window.press = (key) => document.body.dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true, composed: true }))
}"""

_RERUN = """() => {
  const texts = () => [...document.querySelectorAll("[data-testid=stMarkdown]")]
    .map((each) => each.textContent).join()
  const stood = texts()
  return timed(() => deep("[data-testid=stButton] button").click(), () => texts() !== stood)
}"""

_VERDICT = """({ key, row }) => {
  const rows = deep(".cue").getRootNode()
  const status = () => rows.querySelectorAll(".cue")[row].querySelector(".status").textContent
  return timed(() => press(key), () => status().includes("saved"))
}"""

_NEXT = """() => {
  const where = () => deep(".where b")?.textContent
  const canvas = () => deep(".canvas")
  const stood = where()
  const picture = canvas().dataset.picture
  return timed(() => press("n"),
    () => where() !== stood && canvas().dataset.picture && canvas().dataset.picture !== picture)
}"""

_SEARCH = """() => {
  const said = () => deep("[data-testid=stMain]").textContent
  window.searching = null
  const stood = said()
  window.searching = timed(() => {}, () => said() !== stood)
}"""

WORDS = ("round dark", "blue fine", "scaly", "linear broad", "spotted", "sign 77", "pale", "sharp")


@dataclass
class Waits:
    """Milliseconds, in the order of being waited for."""

    verdict: list[float] = field(default_factory=list)
    next_case: list[float] = field(default_factory=list)
    search: list[float] = field(default_factory=list)


@dataclass
class Timings:
    """What one sitting gave."""

    empty: list[float] = field(default_factory=list)
    large: Waits = field(default_factory=Waits)
    small: Waits = field(default_factory=Waits)
    key_presses: int = 0


def measure(large: FullStore, small: FullStore, *, rounds: int, sittings: int) -> list[Timings]:
    """One Timings per sitting; the servers run on from sitting to sitting.

    Raises:
        RuntimeError: when there is no Chromium.
    """
    if chromium() is None:
        raise RuntimeError("no Chromium: run .ci/system-packages, or set INSIGHT_CHROMIUM")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        launched = stack.enter_context(browser())
        empty = stack.enter_context(_empty_page(launched, folder, large))
        desks = [
            stack.enter_context(_desk(launched, folder / f"{name}.log", store))
            for name, store in (("large", large), ("small", small))
        ]
        return [_sitting(empty, desks[0], desks[1], rounds) for _ in range(sittings)]


def _sitting(empty: Page, large: Person, small: Person, rounds: int) -> Timings:
    timings = Timings()
    for number in range(rounds):
        timings.empty += [empty.evaluate(_RERUN) for _ in range(4)]
        for person, waits in ((large, timings.large), (small, timings.small)):
            presses = _judge_case(person, waits)
            timings.key_presses = max(timings.key_presses, presses)
        if number % 5 == 4:
            for person, waits in ((large, timings.large), (small, timings.small)):
                waits.search += _search(person)
    return timings


def _judge_case(person: Person, waits: Waits) -> int:
    """Judge every cue by key and go on; returns the keys pressed."""
    count = person.rows().count()
    if count != OPENED_CUES:
        raise RuntimeError(f"the case shows {count} cues instead of {OPENED_CUES}")
    for row in range(count):
        key = "yxu"[row % 3]
        waits.verdict.append(person.page.evaluate(_VERDICT, {"key": key, "row": row}))
    waits.next_case.append(person.page.evaluate(_NEXT))
    return count + 1


def _search(person: Person) -> list[float]:
    """Some searches on the Concepts screen, then back to the case."""
    page = person.page
    case = page.url
    person.go("Concepts")
    page.get_by_label("Find a concept").wait_for()
    page.wait_for_timeout(1500)  # the first page of the screen is not what is timed
    page.evaluate(_HELPERS)
    found = []
    for word in WORDS:
        field_at = page.get_by_label("Find a concept")
        field_at.fill(word)
        page.evaluate(_SEARCH)
        page.keyboard.press("Enter")
        found.append(float(page.evaluate("() => window.searching")))
        page.wait_for_timeout(300)
    page.goto(case)
    person.wait_for_case()
    person.settled()
    page.evaluate(_HELPERS)
    return found


@contextmanager
def _desk(launched: Browser, log: Path, store: FullStore) -> Iterator[Person]:
    """The app over a store, with the first rater at the first case open for her."""
    app = App(replace(store.settings, port=free_port()), log)
    app.start_app()
    try:
        page = launched.new_page(viewport={"width": 1280, "height": 800})
        person = Person(page, app.url)
        person.sign_in(RATERS[0])
        person.settled()
        page.evaluate(_HELPERS)
        yield person
    finally:
        app.stop()


@contextmanager
def _empty_page(launched: Browser, folder: Path, store: FullStore) -> Iterator[Page]:
    script = folder / "empty.py"
    script.write_text(EMPTY, encoding="utf-8")
    app = App(replace(store.settings, port=free_port()), folder / "empty.log", script=script)
    app.start_app()
    try:
        page = launched.new_page(viewport={"width": 1280, "height": 800})
        page.goto(app.url)
        page.get_by_role("button", name="Again").wait_for()
        page.evaluate(_HELPERS)
        yield page
    finally:
        app.stop()
