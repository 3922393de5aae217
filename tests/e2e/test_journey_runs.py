"""Feedback changes the model, in the real app: start, watch, cancel, resume, compare, use, go back.

And what goes with it: a worker that dies in the middle, a word on a whole column of the data, a
drift check, a fine-tuning. Each step of the first run waits a little, so that there is time to
press a button.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard.services.run_body import STEP_DELAY
from tests.e2e.driver import App, free_port
from tests.e2e.journey import Scene
from tests.e2e.screen import drawn, serious
from tests.integration.services.tuned_world import judge_stickers, make_tuned_world
from tests.integration.services.world import World, judge, make_world, reviewer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SPLITS = {"train": 120, "test": 40, "reversed": 40}
REGIONS = 10
DELAY = "2"  # seconds before each step
PATIENCE = 600_000  # ms


@pytest.fixture
def scene(chrome: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A judged project with its app and its worker, which takes its time."""
    monkeypatch.setenv(STEP_DELAY, DELAY)
    world = make_world(tmp_path / "workspace", splits=SPLITS)
    assert judge(world, reviewer(world, "Ada"), REGIONS) >= REGIONS
    yield from running(world, chrome, tmp_path)


def running(world: World, chrome: Browser, folder: Path) -> Iterator[Scene]:
    """The app and the worker over a world."""
    app = App(replace(world.settings, port=free_port()), folder / "app.log")
    opened = Scene(world, app, chrome)
    try:
        app.start_worker()
        app.start_app()
        yield opened
    finally:
        for window in opened.windows:
            window.close()
        app.stop()


def test_a_run_from_its_start_to_the_way_back(scene: Scene) -> None:
    page = scene.arrives("Ada", "runs").page
    starts(page)
    cancels_and_resumes(scene, page)
    reads_before_and_after(page)
    uses_it_then_goes_back(scene, page)
    compares_and_sees_where_it_came_from(page)
    assert active(scene) == scene.world.version_hash


def starts(page: Page) -> None:
    """The form says what goes in; the run starts."""
    expect(page.get_by_text("No runs yet")).to_be_visible()
    expect(page.get_by_text(re.compile("It will use [0-9]+ spurious verdicts"))).to_be_visible()
    expect(page.get_by_text("ruler", exact=True).first).to_be_visible()
    expect(page.get_by_role("combobox", name="Strategy")).to_be_visible()
    page.get_by_role("spinbutton", name="Seed").fill("3")
    page.get_by_role("spinbutton", name="Seed").press("Tab")
    drawn(page)
    page.get_by_role("button", name="Start the run").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_role("heading", name="Reweighting, seed 3")).to_be_visible()


def cancels_and_resumes(scene: Scene, page: Page) -> None:
    """Cancelled in the middle, resumed; then its worker dies, and another takes it up."""
    expect(page.get_by_text(re.compile("[1-9][0-9]? %")).first).to_be_visible()
    expect(page.get_by_text("Running. Asked for by Ada")).to_be_visible()
    expect(page.get_by_text("Waiting for the worker")).to_have_count(0)
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.get_by_text("The run was cancelled.")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_text(re.compile("[1-9][0-9]? %")).first).to_be_visible()
    expect(page.get_by_text("Running. Asked for by Ada")).to_be_visible()
    scene.app.kill("worker")
    scene.app.start_worker()
    expect(page.get_by_text("waits for your decision")).to_be_visible(timeout=PATIENCE)


def reads_before_and_after(page: Page) -> None:
    """Figures with intervals, groups, flips one click away, weights."""
    expect(page.get_by_test_id("stMetric").filter(has_text="Worst-group accuracy")).to_be_visible()
    expect(page.get_by_text(re.compile("by chance|may be chance")).first).to_be_visible()
    expect(page.get_by_label(re.compile("Before and after on")).first).to_be_visible()
    expect(page.get_by_role("table", name=re.compile("^Figures of both versions"))).to_be_visible()
    assert serious(page) == []
    section(page, "Groups and classes")
    expect(page.get_by_role("heading", name="Accuracy by group")).to_be_visible()
    expect(page.get_by_text("with ruler").first).to_be_visible()
    section(page, "Weights")
    expect(page.get_by_text(re.compile(r"ruler.*\(rejected\)")).first).to_be_visible()
    section(page, "Flipped cases")
    mended = page.get_by_role("radio", name=re.compile(r"^Mended \([1-9]"))
    mended.click()
    expect(mended).to_have_attribute("aria-checked", "true")
    drawn(page)
    address = page.url
    page.get_by_role("link", name="Open").first.click()
    expect(page.get_by_role("img", name="Image")).to_be_visible()
    expect(page.get_by_role("grid", name="Cues")).to_be_visible()
    page.goto(address)
    expect(page.get_by_text("waits for your decision")).to_be_visible()


def section(page: Page, name: str) -> None:
    """Choose what to look at."""
    page.get_by_role("radio", name=name, exact=True).click()
    drawn(page)


def uses_it_then_goes_back(scene: Scene, page: Page) -> None:
    """The version becomes the active one, with a reason; then the one before is again."""
    page.get_by_label(re.compile("^(Why|Written reason)")).fill("the ruler misled it")
    page.get_by_role("button", name="Use this version").click()
    expect(page.get_by_text("is the active one: the Review screen shows it.")).to_be_visible()
    versions = scene.world.services.versions
    first, made = scene.world.version_hash, active(scene)
    assert made != first
    (event,) = versions.events(scene.world.project_id)
    assert (event.kind, event.by, event.reason) == ("activate", "Ada", "the ruler misled it")
    page.goto(f"{scene.app.url}/versions")
    expect(page.get_by_role("heading", name=f"Version {made[:10]}")).to_be_visible()
    assert serious(page) == []
    drawn(page)
    page.get_by_text("Go back to the version before").click()
    page.get_by_label(re.compile("^(Why|Written reason)")).fill("only tried out")
    page.get_by_role("button", name="Go back to it").click()
    expect(page.get_by_text(f"Went back to version {first[:10]}.")).to_be_visible()
    assert active(scene) == first
    assert [each.kind for each in versions.events(scene.world.project_id)] == [
        "rollback", "activate",
    ]  # fmt: skip


def active(scene: Scene) -> str:
    """Hash of the version that decides."""
    rows = scene.world.services.versions.list(scene.world.project_id)
    return next(row.hash for row in rows if row.state == "active")


def compares_and_sees_where_it_came_from(page: Page) -> None:
    """Any two beside each other; the graph from data to version; who decided what."""
    section(page, "Compare")
    expect(page.get_by_role("combobox", name=re.compile("Before"))).to_be_visible()
    expect(page.get_by_test_id("stMetric").filter(has_text="Accuracy").first).to_be_visible()
    expect(page.get_by_label(re.compile("Before and after on")).first).to_be_visible()
    section(page, "Lineage")
    expect(page.get_by_label(re.compile("^Where each version came from"))).to_be_visible()
    assert serious(page) == []
    section(page, "Decisions")
    table = page.get_by_role("table", name=re.compile("^Decisions on versions"))
    expect(table).to_contain_text("went back to")
    expect(table).to_contain_text("only tried out")
    expect(table).to_contain_text("the ruler misled it")


@pytest.fixture
def stickers(chrome: Browser, tmp_path: Path) -> Iterator[Scene]:
    """A judged project with pictures, an encoder and a column that names the shortcut."""
    splits = {"train": 40, "val": 8, "reversed": 24}
    world = make_tuned_world(tmp_path / "workspace", splits=splits)
    judge_stickers(world, most=8)
    yield from running(world, chrome, tmp_path)


def test_a_column_a_drift_check_and_a_fine_tuning(stickers: Scene) -> None:
    page = stickers.arrives("Ada", "groups?column=sticker").page
    calls_a_column_spurious(page)
    finds_drift(page, stickers.app.url)
    fine_tunes(stickers, page)
    assert len(stickers.world.services.versions.list(stickers.world.project_id)) == 2


def calls_a_column_spurious(page: Page) -> None:
    """The word is kept with its reason, and is part of what a run would use."""
    expect(page.get_by_role("heading", name="Groups by sticker")).to_be_visible()
    expect(page.get_by_label(re.compile("^Accuracy of each group by sticker"))).to_be_visible()
    assert serious(page) == []
    spurious = page.get_by_role("radio", name=re.compile("Spurious$"))
    spurious.click()
    expect(page.get_by_text(re.compile("All words together: spurious"))).to_be_visible()
    page.get_by_text("Say why").click()
    page.get_by_label("Comment").fill("a sticker is no sign of a disease")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_text("Say why")).to_be_visible()
    page.reload()
    drawn(page)
    expect(spurious).to_have_attribute("aria-checked", "true")
    page.get_by_role("link", name="Runs", exact=True).first.click()
    expect(page.get_by_role("heading", name="Columns of the data")).to_be_visible()
    expect(page.get_by_role("cell", name="sticker", exact=True)).to_be_visible()


def finds_drift(page: Page, url: str) -> None:
    """The reversed images are checked against those that the model learnt from."""
    page.goto(f"{url}/drift")
    expect(page.get_by_role("heading", name="New check")).to_be_visible()
    expect(page.get_by_text("reversed (24 images)")).to_be_visible()
    assert serious(page) == []
    page.get_by_role("button", name="Start the check").click()
    told = page.get_by_test_id("stMetric").filter(has_text="Told apart")
    expect(told).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("heading", name="Concept by concept")).to_be_visible()
    assert serious(page) == []


def fine_tunes(scene: Scene, page: Page) -> None:
    """A short fine-tuning, with curves while it works and figures when it is done."""
    page.goto(f"{scene.app.url}/runs?run=new")
    page.get_by_role("radio", name="Fine-tune").click()
    passes = page.get_by_role("spinbutton", name=re.compile("^Passes"))
    passes.fill("3")
    passes.press("Tab")
    drawn(page)
    page.get_by_role("button", name="Start the run").click()
    expect(page.get_by_role("heading", name="Fine-tuning, seed 0")).to_be_visible()
    watches_its_curves(scene, page)
    expect(page.get_by_text("waits for your decision")).to_be_visible(timeout=PATIENCE)
    section(page, "Curves")
    expect(page.get_by_label(re.compile("^Curve of ")).first).to_be_visible()


def watches_its_curves(scene: Scene, page: Page) -> None:
    """The page shows a curve of a run that is at work, without being asked to.

    The worker is frozen once it has written points, so the page has all the time it wants. It has
    four steps to go then, each of which waits before it works.
    """
    runs, project = scene.world.services.runs, scene.world.project_id
    run = next(run for run in runs.list(project) if run.kind == "finetune")
    while not runs.curves(run.id):
        assert runs.get(run.id).state in ("queued", "running")
        page.wait_for_timeout(50)
    with scene.app.frozen("worker"):
        assert runs.get(run.id).state == "running"
        series = {curve.series: curve for curve in runs.curves(run.id)}
        step, _ = series["train.loss"].points[-1]
        loss = rf"^Curve of loss over the steps: Loss, training from [^;]* at step {step}\b"
        expect(page.get_by_label(re.compile(loss))).to_be_visible()
        expect(page.get_by_role("progressbar")).to_be_visible()
        expect(page.get_by_role("button", name="Cancel the run")).to_be_visible()
        expect(page.get_by_text("waits for your decision")).to_have_count(0)
