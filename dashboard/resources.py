"""What all sessions of the app share: one frozen set of services per process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from threading import Lock

import streamlit as st

from dashboard.bootstrap import Services, build
from dashboard.services import garbage
from dashboard.services.passes import Passes
from dashboard.settings import Settings

_LOCK = Lock()


@st.cache_resource(show_spinner="Opening the workspace ...")
def services() -> Services:
    """The services of the workspace that the environment names; made once, never mutated."""
    return shared_services()


def shared_services() -> Services:
    """The same ones, for what runs outside a session: the routes."""
    with _LOCK:
        return _built()


@cache
def _built() -> Services:
    garbage.watch()
    return build(Settings.load())


@cache
def passes() -> Passes:
    """What signs and checks the addresses of this process's own routes."""
    return Passes()


class _Gate:
    """Whether this process serves its own routes."""

    open = False


@asynccontextmanager
async def gate_open(_: object) -> AsyncIterator[None]:
    """While the routes are served; the lifespan of st.App."""
    _Gate.open = True
    try:
        yield
    finally:
        _Gate.open = False


def gate() -> Passes | None:
    """The passes to sign addresses with; None where no routes are served (tests, app.py alone)."""
    return passes() if _Gate.open else None
