"""One screen over the fakes in Streamlit's AppTest: what the tests of the screens share."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from tests import fakes

TIMEOUT = 120


def app(
    book: fakes.Book | None = None,
    screen: str = "review",
    projects: tuple[str, ...] = ("demo",),
    **address: str,
) -> tuple[AppTest, fakes.FakeServices]:
    """One screen at an address with a seated reviewer, not run yet."""

    def script() -> None:
        import streamlit as st

        from dashboard import screens  # noqa: F401
        from dashboard.app import SCREENS
        from dashboard.screens.context import Sitting
        from dashboard.state import DeskState, Reviewer

        services = st.session_state["fakes"]
        reviewer = Reviewer(services.review.sign_in("Ada"), "Ada")
        project = services.projects.list()[0]
        pages = {path: page for _, path, _, page in SCREENS}
        pages[st.session_state["screen"]](
            Sitting(services, DeskState(st.session_state), reviewer, project)
        )

    services = fakes.services(book, projects)
    at = AppTest.from_function(script, default_timeout=TIMEOUT)
    at.session_state["fakes"] = services
    at.session_state["screen"] = screen
    for name, value in address.items():
        at.query_params[name] = value
    return at, services


def opened(
    screen: str, book: fakes.Book | None = None, **address: str
) -> tuple[AppTest, fakes.FakeServices]:
    """The screen at an address, run once."""
    at, services = app(book, screen, **address)
    return run(at), services


def run(at: AppTest) -> AppTest:
    """Run the script; nothing may break."""
    at.run()
    assert not at.exception
    return at


def press(at: AppTest, key: str) -> None:
    """Press a button and run."""
    at.button(key=key).click()
    run(at)


def texts(at: AppTest) -> str:
    """All that a screen says, in one string."""
    found = (*at.markdown, *at.caption, *at.header, *at.subheader, *at.title)
    said = (*at.error, *at.warning, *at.success, *at.info)
    return "\n".join(element.value for element in (*found, *said))


def plain_texts(at: AppTest) -> str:
    """The same without the escapes of markdown."""
    return texts(at).replace("\\", "")
