"""Remembers the reviewer's name in a cookie of this browser, so that it is asked only once.

No account and no secret: embedded mode is one trusted person on the loopback interface. The
cookie also signs a reviewer in again when the app was restarted under an open page.
"""

from urllib.parse import quote, unquote

import streamlit as st

COOKIE = "insight_reviewer"

_JS = """
export default function ({ data }) {
  const age = data.value ? 31536000 : 0
  document.cookie = `${data.cookie}=${data.value}; path=/; max-age=${age}; samesite=strict`
}
"""

_mount = st.components.v2.component("insight_remember", js=_JS)


def remember(name: str, *, key: str = "remember") -> None:
    """Keep `name` in this browser; an empty name forgets the one that is kept."""
    _mount(key=key, data={"cookie": COOKIE, "value": quote(name, safe="")}, height=1)


def remembered() -> str | None:
    """The name kept in this browser, if any; at most 80 characters."""
    value = st.context.cookies.get(COOKIE)
    return unquote(value)[:80].strip() or None if isinstance(value, str) else None
