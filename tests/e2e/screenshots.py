"""Pictures of every screen in both themes and two sizes.

    python -m tests.e2e.screenshots --out out/screenshots [--workspace DIR] [--readme] [--fakes]

Builds the quick demo in a temporary workspace (or takes the given one), gives a few verdicts,
starts a run, and photographs what a reviewer sees on the way.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from uuid import uuid4

from PIL import Image
from playwright.sync_api import Browser, expect

from core.phantoms import PLANTED
from dashboard.settings import Settings
from tests.e2e.driver import ROOT, App, Person, browser, chromium, free_port

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
    parser.add_argument("--fakes", action="store_true", help="the screens over tests/fakes.py")
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
    reviewer = services.review.sign_in("Dr Example")
    marked = 0
    for row in services.review.queue(project.id, reviewer):
        case = services.review.case(project.id, row.case_id, reviewer)
        for cue in case.cues[:3]:
            if cue.mine is None and cue.name in PLANTED_CUES:
                services.review.give_verdict(
                    id=str(uuid4()), cue_id=cue.id, reviewer_id=reviewer, value="spurious",
                    scope="everywhere", reason="artefact", based_on=0,
                )  # fmt: skip
                marked += 1
        if marked >= MARKS:
            break


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
    expect(page.get_by_text("Names it had")).to_be_visible()
    expect(page.locator(".stPlotlyChart .main-svg").first).to_be_visible()
    expect(page.get_by_test_id("stImage").first).to_be_visible()
    shoot("5-concepts")
    person.go("Runs")
    if run:
        page.get_by_role("button", name="Start the run").click()
        expect(page.get_by_role("progressbar")).to_be_visible()
        shoot("6-run-under-way")
        expect(page.get_by_role("progressbar")).to_have_count(0, timeout=RUN_PATIENCE)
    expect(page.get_by_role("heading", name="Reweighting, seed")).to_be_visible()
    page.wait_for_timeout(3000)  # charts are drawn late
    shoot("7-runs")
    person.go("Report")
    expect(page.get_by_text("Cases reviewed").first).to_be_visible()
    page.wait_for_timeout(1500)
    shoot("8-report")
    page.close()


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
