"""Pictures of every screen in both themes and two sizes.

    python -m tests.e2e.screenshots --out out/screenshots [--workspace DIR] [--readme] [--fakes]

Builds the quick demo in a temporary workspace (or takes the given one), gives a few verdicts,
starts a run, and photographs what a reviewer sees on the way.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from core.phantoms import PLANTED
from dashboard.settings import Settings
from tests.e2e.driver import ROOT, App, Person, browser, chromium, free_port
from tests.e2e.screen import drawn

if TYPE_CHECKING:
    from dashboard.bootstrap import Services

SIZES = ((1280, 800), (1920, 1080))
THEMES = ("light", "dark")
REVIEWERS = dict(  # one each, so that each finds the cases unjudged
    zip(product(THEMES, SIZES), ("Dr Ada", "Dr Ben", "Dr Cleo", "Dr Dana"), strict=True)
)
README = ROOT / "docs" / "images" / "review.png"
README_BYTES = 400_000
PLANTED_CUES = frozenset(shortcut.cue for shortcut in PLANTED)
MARKS = 20
RUN_PATIENCE = 900_000  # ms
FAKES = ROOT / "tests" / "ui" / "fake_app.py"
OTHERS = {
    "queue": "queue",
    "diagnose": "?mode=diagnose",
    "validate": "?mode=validate",
    "discover": "?mode=discover",
    "hierarchy": "concepts?show=hierarchy",
    "proposals": "concepts?show=proposals",
    "agreement": "agreement",
    "studies": "studies",
    "settings": "settings",
    "run-groups": "runs?show=Groups+and+classes",
    "run-flips": "runs?show=Flipped+cases",
    "run-weights": "runs?show=Weights",
    "versions": "versions",
    "compare": "versions?part=Compare",
    "lineage": "versions?part=Lineage",
    "groups": "groups",
    "drift": "drift",
    "trace": "trace",
    "home": "home",
    "decisions": "decisions",
    "audit": "audit",
}


def main(arguments: list[str] | None = None) -> int:
    """Take the pictures; returns the exit code."""
    options = _options(arguments)
    if chromium() is None:
        sys.stderr.write("no Chromium: run .ci/system-packages, or set INSIGHT_CHROMIUM\n")
        return 4
    options.out.mkdir(parents=True, exist_ok=True)
    with _app(options.workspace, fakes=options.fakes) as app, browser() as launched:
        for theme in THEMES:
            for number, size in enumerate(SIZES):
                first = theme == THEMES[0] and number == 0
                _tour(launched, app, options.out, theme, size, run=first)
        if options.readme:
            _readme(options.out / "2-review-light-1280.png")
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Pictures of every screen.")
    parser.add_argument("--out", type=Path, default=Path("out/screenshots"))
    parser.add_argument("--workspace", type=Path, help="a workspace that exists already")
    parser.add_argument("--readme", action="store_true", help="renew docs/images/review.png")
    parser.add_argument("--fakes", action="store_true", help="the screens over tests/fakes/")
    return parser.parse_args(arguments)


@contextmanager
def _app(workspace: Path | None, *, fakes: bool) -> Iterator[App]:
    with tempfile.TemporaryDirectory() as folder:
        home = workspace or Path(folder) / "workspace"
        settings = replace(Settings.load(home, environ={}), port=free_port())
        home.mkdir(parents=True, exist_ok=True)
        if not fakes:
            _demo(settings)
        app = App(settings, Path(folder) / "app.log", script=FAKES if fakes else None)
        try:
            if not fakes:
                app.start_worker()
            app.start_app()
            yield app
        finally:
            app.stop()


def _demo(settings: Settings) -> None:
    """The demo with a few cases reviewed, so that a run has something to learn from."""
    from dashboard.bootstrap import build
    from db.migrate import upgrade

    upgrade(settings.database_url)
    services = build(settings)
    if not services.projects.list():
        services.demo.build(quick=True)
    project = services.projects.get("demo")
    if not services.studies.collections(project.id):  # a given workspace may have been toured
        _reviews(services, project.id)
        _a_study(services, project.id)


def _reviews(services: Services, project_id: str) -> None:
    """Three people judge the same cases; two mostly agree, the third doubts the rulers too."""
    reviewers = [services.review.sign_in(name) for name in ("Dr Example", "Dr Peer", "Dr Third")]
    marked = 0
    for number, row in enumerate(services.review.queue(project_id, reviewers[0])):
        for who, reviewer in enumerate(reviewers):
            case = services.review.case(project_id, row.case_id, reviewer)
            for cue in case.cues[:3]:
                planted = cue.name in PLANTED_CUES
                wrong = (number + who) % (4 if who == 2 else 9) == 0
                if cue.mine is None:
                    services.review.give_verdict(
                        id=str(uuid4()), cue_id=cue.id, reviewer_id=reviewer, based_on=0,
                        value="unsure" if wrong else "spurious" if planted else "correct",
                        scope="everywhere" if planted else "here",
                        reason="artefact" if planted and not wrong else None,
                    )  # fmt: skip
                    marked += planted
        if marked >= MARKS:
            break


def _a_study(services: Services, project_id: str) -> None:
    """A collection to train newcomers with."""
    reviewer = services.review.sign_in("Dr Example")
    rows = services.review.queue(project_id, reviewer)
    for row in [row for row in rows if row.done][:4]:
        services.studies.pin(
            id=str(uuid4()), collection_id=None, title="Rulers and stickers", case_id=row.case_id,
            reviewer_id=reviewer, note="The artefact carries the decision here.",
        )  # fmt: skip


def _tour(
    launched: Browser, app: App, out: Path, theme: str, size: tuple[int, int], *, run: bool
) -> None:
    page = launched.new_page(
        color_scheme="dark" if theme == "dark" else "light",
        viewport={"width": size[0], "height": size[1]},
    )

    def shoot(name: str) -> None:
        page.screenshot(path=out / f"{name}-{theme}-{size[0]}.png")

    person = Person(page, app.url)
    page.goto(app.url)
    expect(page.get_by_label("Your name")).to_be_visible()
    shoot("1-sign-in")
    person.sign_in(REVIEWERS[theme, size])
    person.next_case()
    for number in range(3):
        text = person.rows().nth(number).inner_text()
        planted = any(cue in text for cue in PLANTED_CUES)
        person.press(str(number + 1), "x" if planted else "y")
        person.settled()
    person.press("2")
    page.wait_for_timeout(3000)  # the spoken answer fades
    shoot("2-review")
    person.press("1", "s", "o", "o")
    page.locator(".canvas").hover()
    shoot("3-review-spotlight")
    person.press("o", "s", "h")
    shoot("4-keys")
    person.press("Escape")
    person.go("Concepts")
    expect(page.get_by_text("Under each image")).to_be_visible()
    expect(page.get_by_test_id("stImage").first).to_be_visible()
    page.wait_for_timeout(1500)
    shoot("5-concepts")
    person.go("Runs")
    if run:
        page.get_by_role("button", name="New run").click()
        expect(page.get_by_role("heading", name="New run")).to_be_visible()
        shoot("6-new-run")
        page.get_by_role("button", name="Start the run").click()
        expect(page.get_by_role("progressbar")).to_be_visible()
        shoot("6-run-under-way")
        expect(page.get_by_role("progressbar")).to_have_count(0, timeout=RUN_PATIENCE)
    expect(page.get_by_role("heading", name="Reweighting, seed")).to_be_visible()
    page.wait_for_timeout(3000)  # charts are drawn late
    shoot("7-runs")
    person.go("Report")
    expect(page.get_by_text("What was not reviewed")).to_be_visible()
    page.wait_for_timeout(1500)
    shoot("8-report")
    _other_screens(page, app.url, shoot)
    page.close()


def _other_screens(page: Page, url: str, shoot: Callable[[str], None]) -> None:
    """The screens and modes that are opened by their address."""
    for number, (name, path) in enumerate(OTHERS.items(), start=9):
        page.goto(f"{url}/{path}")
        drawn(page)
        page.wait_for_timeout(3000)  # charts and pictures are drawn late
        shoot(f"{number:02d}-{name}")


def _readme(source: Path) -> None:
    """The README's picture, in fewer colours where it would be too heavy otherwise."""
    README.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as picture:
        small = picture.convert("RGB")
    for colours in (None, 256, 128):
        reduced = small if colours is None else small.quantize(colours, kmeans=3)
        reduced.save(README, optimize=True)
        if README.stat().st_size < README_BYTES:
            return


if __name__ == "__main__":
    sys.exit(main())
