"""Drives the real app in a real browser: processes, the browser, and what a person does."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from dashboard.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE = 180_000  # ms: how long the browser waits for what must come; the tests never time it


def chromium() -> str | None:
    """The system's browser: INSIGHT_CHROMIUM, else the first known name on the path."""
    return os.environ.get("INSIGHT_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless browser with a fresh profile."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        try:
            yield launched
        finally:
            launched.close()


def free_port() -> int:
    """A TCP port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class App:
    """The app and its worker over one workspace, as `insight up` starts them."""

    def __init__(self, settings: Settings, log: Path, script: Path | None = None) -> None:
        self.settings = settings
        self._script = script or ROOT / "dashboard" / "serve.py"
        self._log = log
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.port}"

    def start_app(self) -> None:
        """Start the web process and wait until it answers."""
        port = str(self.settings.port)
        self._start("app", "-m", "streamlit", "run", str(self._script), "--server.port", port)
        self._wait_until_healthy()

    def start_worker(self) -> None:
        """Start the worker."""
        self._start("worker", "-m", "dashboard.worker")

    def kill(self, name: str) -> None:
        """kill -9, as a crash would be."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """A process stands still meanwhile, wherever it is; nothing that it does can be missed."""
        process = self._processes[name]
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End what was started."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name: str, *arguments: str) -> None:
        environment = {
            **os.environ,
            **self.settings.environment(),
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        }
        with self._log.open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, *arguments],
                env=environment,
                cwd=ROOT / "dashboard",  # for the theme, also where the script lies elsewhere
                stdout=log,
                stderr=log,
            )

    def _wait_until_healthy(self) -> None:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise RuntimeError(f"the app does not answer; see {self._log}")


class Person:
    """Somebody at the desk."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        page.set_default_timeout(PATIENCE)
        # Somebody who has seen the introduction: its cards would lie over the picture.
        page.add_init_script("localStorage.setItem('insight.tour', 'seen')")
        expect.set_options(timeout=PATIENCE)

    def sign_in(self, name: str = "Dr Example") -> None:
        """Open the app and give a name."""
        self.page.goto(self.url)
        self.page.get_by_label("Your name").fill(name)
        self.page.get_by_role("button", name="Start reviewing").click()
        self.wait_for_case()

    def wait_for_case(self) -> None:
        """Wait until a case with its picture stands."""
        expect(self.page.get_by_role("grid", name="Cues")).to_be_visible()
        expect(self.page.get_by_role("img", name="Image")).to_be_visible()

    def rows(self) -> Locator:
        """The cue rows."""
        return self.page.locator(".cue")

    def press(self, *keys: str) -> None:
        """Press keys one after another."""
        for key in keys:
            self.page.keyboard.press(key)

    def settled(self) -> None:
        """Wait until nothing is on its way to the server."""
        expect(self.page.locator(".waiting")).to_have_count(0)

    def next_case(self) -> None:
        """Go to the next case and wait for it."""
        place = self.page.locator(".where b")
        before = place.inner_text()
        self.page.keyboard.press("n")
        expect(place).not_to_have_text(before)

    def go(self, screen: str) -> None:
        """Change the screen."""
        self.page.get_by_role("link", name=screen, exact=True).first.click()

    def reload(self) -> None:
        """Reload the page and wait for the case again."""
        self.page.reload()
        self.wait_for_case()
