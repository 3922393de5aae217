"""Keep the worker and the app running together, and end both together."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from core.errors import ConfigError
from dashboard.settings import Settings

HOST = "127.0.0.1"
POLL = 0.2  # seconds
GRACE = 10.0  # seconds a child has to end before it is killed
STEADY = 60.0  # seconds of life after which a restart starts over with the shortest wait
LONGEST_WAIT = 30.0  # seconds
_PR_SET_PDEATHSIG = 1  # Linux prctl: tell the child when its parent is gone


@dataclass(frozen=True)
class Child:
    """A process to keep: its name, its command, and whether it is restarted when it ends."""

    name: str
    argv: tuple[str, ...]
    restart: bool


def children(settings: Settings) -> tuple[Child, ...]:
    """The worker, which is restarted, and the app, whose end ends everything."""
    script = Path(__file__).resolve().parent.parent / "serve.py"
    python = sys.executable
    flags = {
        "server.address": HOST,
        "server.port": str(settings.port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
    }
    options = [part for name, value in flags.items() for part in (f"--{name}", value)]
    return (
        Child("worker", (python, "-m", "dashboard.worker"), restart=True),
        Child("app", (python, "-m", "streamlit", "run", str(script), *options), restart=False),
    )


def require_free_port(port: int) -> None:
    """Raise ConfigError where another process listens on the port of the loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            reason = f"port {port} on {HOST} cannot be used ({error.strerror})"
            remedy = "end what uses it, or choose another with --port"
            raise ConfigError(f"{reason}: {remedy}") from None


def answers(port: int) -> bool:
    """True where something accepts connections on the port of the loopback address."""
    try:
        with socket.create_connection((HOST, port), timeout=1.0):
            return True
    except OSError:
        return False


def keep_up(settings: Settings, say: Callable[[str], None]) -> int:
    """Run worker and app until Ctrl-C or SIGTERM; says the address when the app answers."""
    said: list[str] = []

    def announce() -> None:
        if not said and answers(settings.port):
            said.append(f"Insight Review is at http://{HOST}:{settings.port} (Ctrl-C ends it)")
            say(said[0])

    environment = {**os.environ, **settings.environment()}
    return Supervisor(children(settings), environment, say).run(announce)


def next_wait(previous: float, lived: float) -> float:
    """Seconds before the next restart: 1, 2, 4 ... 30, and 1 again after a steady life."""
    return 1.0 if previous == 0.0 or lived >= STEADY else min(2 * previous, LONGEST_WAIT)


class Supervisor:
    """Runs children until one that is not restarted ends, or until it is told to stop."""

    def __init__(
        self,
        kept: Sequence[Child],
        environment: dict[str, str],
        say: Callable[[str], None],
        grace: float = GRACE,
    ) -> None:
        self._kept = [_Kept(child, environment) for child in kept]
        self._say = say
        self._grace = grace
        self._stop = threading.Event()

    def stop(self, number: int = 0, frame: FrameType | None = None) -> None:
        """Ask `run` to end; fit to be a signal handler."""
        self._stop.set()

    def run(self, on_tick: Callable[[], None] = lambda: None) -> int:
        """Start every child and wait. Exit code: 0 when told to stop, else the ended child's.

        on_tick is called a few times a second. SIGINT and SIGTERM stop it where this is the main
        thread; every child is terminated before the method returns.
        """
        before = self._listen()
        try:
            for kept in self._kept:
                kept.start()
            while not self._stop.wait(POLL):
                on_tick()
                code = self._look_after()
                if code is not None:
                    return code
            return 0
        finally:
            self._end_all()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _listen(self) -> dict[signal.Signals, Callable[..., object] | int | None]:
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {n: signal.signal(n, self.stop) for n in (signal.SIGINT, signal.SIGTERM)}

    def _look_after(self) -> int | None:
        """Restart what is to be restarted; the exit code of a child that ends everything."""
        for kept in self._kept:
            code = kept.ended()
            if code is None:
                continue
            if not kept.child.restart:
                self._say(f"the {kept.child.name} ended with code {code}")
                return code or 1
            if kept.due is None:
                wait = kept.plan_restart()
                self._say(f"the {kept.child.name} ended with code {code}; restart in {wait:.0f} s")
            elif time.monotonic() >= kept.due:
                kept.start()
        return None

    def _end_all(self) -> None:
        for kept in self._kept:
            kept.terminate()
        deadline = time.monotonic() + self._grace
        for kept in self._kept:
            kept.finish(deadline)


class _Kept:
    """One child with its process and its restart clock (monotonic seconds)."""

    def __init__(self, child: Child, environment: dict[str, str]) -> None:
        self.child = child
        self.due: float | None = None
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._wait = 0.0

    def start(self) -> None:
        # A session of its own: Ctrl-C reaches the supervisor only, which then ends both in order.
        self._process = subprocess.Popen(
            self.child.argv,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        self._started, self.due = time.monotonic(), None

    def ended(self) -> int | None:
        return self._process.poll() if self._process is not None else None

    def plan_restart(self) -> float:
        now = time.monotonic()
        self._wait = next_wait(self._wait, now - self._started)
        self.due = now + self._wait
        return self._wait

    def terminate(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def finish(self, deadline: float) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _die_with_parent() -> None:
    """Ask Linux to send SIGTERM when the supervisor itself is killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
