"""A throwaway PostgreSQL server for the tests: its own folder, its own unix socket, no port."""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

UNPRIVILEGED = ("postgres", "nobody")  # PostgreSQL refuses to run as root


class NoServerBinaries(Exception):
    """initdb and postgres are not installed."""


def find_binaries() -> Path:
    """The folder of initdb and postgres: the newest under /usr/lib/postgresql, else on PATH."""
    packaged = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda found: int("".join(filter(str.isdigit, found.parts[-3])) or 0),
    )
    on_path = shutil.which("initdb")
    candidates = [*reversed(packaged), *([Path(on_path).resolve()] if on_path else [])]
    for initdb in candidates:
        if (initdb.parent / "postgres").exists():
            return initdb.parent
    raise NoServerBinaries("no initdb and postgres under /usr/lib/postgresql or on PATH")


@contextmanager
def running_server() -> Iterator[str]:
    """Start a server; yields the URL of its maintenance database, stops and removes it after.

    On Linux the server also ends when this process is killed. Raises NoServerBinaries, or
    RuntimeError with the server's log where it does not start.
    """
    binaries = find_binaries()
    folder = Path(tempfile.mkdtemp(prefix="insight-pg-"))
    try:
        if os.geteuid() == 0:
            account = _unprivileged()
            os.chown(folder, account.pw_uid, account.pw_gid)
        url = f"postgresql://insight@/postgres?host={folder}"
        with _started(binaries, folder, url):
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _started(binaries: Path, folder: Path, url: str) -> Iterator[None]:
    data = f"--pgdata={folder / 'data'}"
    options = ("--username=insight", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
    if _spawn(folder, binaries / "initdb", data, "--no-sync", *options).wait(120) != 0:
        raise RuntimeError(f"initdb failed:\n{(folder / 'log').read_text('utf-8', 'replace')}")
    settings = {
        "unix_socket_directories": str(folder),
        "listen_addresses": "",
        "fsync": "off",
        "full_page_writes": "off",
        "shared_buffers": "32MB",
        "max_connections": "60",
    }
    given = [f"--{name}={value}" for name, value in settings.items()]
    server = _spawn(folder, binaries / "postgres", "-D", str(folder / "data"), *given)
    try:
        _wait_until_ready(server, folder, url)
        yield
    finally:
        server.send_signal(signal.SIGQUIT)  # at once: nothing here is to be kept
        server.wait(60)


def _wait_until_ready(server: subprocess.Popen[bytes], folder: Path, url: str) -> None:
    for _attempt in range(1200):
        if server.poll() is not None:
            break
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"no PostgreSQL:\n{(folder / 'log').read_text('utf-8', 'replace')}")


def _unprivileged() -> pwd.struct_passwd:
    for name in UNPRIVILEGED:
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("run as root, and there is no account for PostgreSQL to run under")


def _spawn(folder: Path, program: Path, *arguments: str) -> subprocess.Popen[bytes]:
    account = _unprivileged() if os.geteuid() == 0 else None
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [str(program), *arguments],
            cwd=folder,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            extra_groups=None if account is None else [],
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )


def _end_with_parent() -> None:
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGQUIT)
