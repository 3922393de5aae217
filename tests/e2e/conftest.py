"""A real workspace, the real processes, a real browser."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from dashboard.settings import Settings
from tests.e2e.driver import ROOT, App, browser, chromium, free_port
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
