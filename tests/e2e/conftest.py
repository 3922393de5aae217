"""A real workspace, the real processes, a real browser."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from dashboard.services.project_settings import parse
from dashboard.settings import Settings
from tests import fakes
from tests.e2e.desk_page import DeskPage
from tests.e2e.driver import ROOT, App, browser, chromium, free_port
from tests.e2e.stage_page import PICTURES, opened
from tests.integration.services.world import World, make_world


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    """The browser; skipped with a reason where there is none, a failure under CI."""
    if chromium() is None:
        reason = "no Chromium: install it (.ci/system-packages) or set INSIGHT_CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with browser() as launched:
        yield launched


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A project with a planted shortcut, its first model version, nothing reviewed."""
    return make_world(tmp_path / "workspace")


@pytest.fixture
def app(world: World, tmp_path: Path) -> Iterator[App]:
    """The app and its worker, running."""
    started = App(replace(world.settings, port=free_port()), tmp_path / "app.log")
    started.start_worker()
    started.start_app()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def fakes_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app over fakes of a module's own: every screen has something to show at once."""
    folder = tmp_path_factory.mktemp("fakes")
    settings = replace(Settings.load(folder, environ={}), port=free_port())
    started = App(settings, folder / "app.log", script=ROOT / "tests" / "ui" / "fake_app.py")
    started.start_app()
    yield started
    started.stop()


@pytest.fixture
def desk(chrome: Browser) -> Iterator[DeskPage]:
    """The desk by itself, over fakes."""
    made = DeskPage(chrome, fakes.services())
    yield made
    made.page.close()


@pytest.fixture
def blind(chrome: Browser) -> Iterator[DeskPage]:
    """The same in a project that hides all it can."""
    services = fakes.services()
    services.settings_of.now = parse({"blind": ["prediction", "labels", "model", "peers"]})
    made = DeskPage(chrome, services)
    yield made
    made.page.close()


@pytest.fixture
def page(chrome: Browser) -> Iterator[Page]:
    """The picture by itself, with nothing shown yet."""
    opened_page = opened(chrome, PICTURES)
    yield opened_page
    opened_page.close()
