"""What frames every screen: page style, notice, empty states, errors."""

import streamlit as st
from PIL import Image, ImageDraw

# Only Streamlit's documented test ids are used: they are the stable handles of its frame.
_STYLE = """
<style>
[data-testid="stMainBlockContainer"] { padding: 3.3rem 1.1rem 0.4rem; max-width: none; }
[data-testid="stHeader"] { height: 2.9rem; min-height: 2.9rem; }
[data-testid="stVerticalBlock"] { gap: 0.6rem; }
[data-testid="stHeading"] :is(h1, h2, h3) { padding: 0 0 0.6rem; letter-spacing: -0.005em; }
[data-testid="stHeading"] h1 { font-size: 1.45rem; }
[data-testid="stHeading"] h2 { font-size: 1.12rem; }
[data-testid="stHeading"] h3 { font-size: 1rem; }
[data-testid="stMetricValue"] { font-size: 1.5rem; font-variant-numeric: tabular-nums; }
[data-testid="stImageCaption"] p { font-size: 11.5px; line-height: 1.25; }
/* Keys go on working while the server thinks: a faded desk would say that they do not. */
[data-stale="true"] { opacity: 1 !important; }
/* Contrast of 4.5 to 1, which Streamlit's own choices miss. */
[data-testid="stBaseButton-primary"] kbd { color: inherit; opacity: 1; }
[role="radio"][data-selected="true"] p { color: light-dark(#0b5c8a, #9ccdf0); }
/* Targets of 24 pixels, which Streamlit's own small buttons miss. */
[data-testid="stMultiSelect"] button { min-width: 24px; min-height: 24px; }
/* A note that something is under way takes no room: rows that move are missed by a click. */
[data-testid="stElementContainer"]:has(> [data-testid="stSpinner"]) {
  position: fixed; left: 1.1rem; bottom: 0.8rem; z-index: 999990; width: auto;
  padding: 0.35rem 0.9rem; border: 1px solid light-dark(#c9d3dc, #3b4754); border-radius: 0.5rem;
  background: light-dark(#ffffff, #1a222b);
}
.st-key-strip { position: fixed; top: 0.35rem; right: 1.1rem; z-index: 999991; width: auto; }
.st-key-strip :is(p, [data-testid="stMarkdownContainer"]) { margin: 0; }
@media (max-width: 900px) { .st-key-strip { position: static; } }
</style>
"""


def icon() -> Image.Image:
    """The mark in the browser's tab: drawn here, because named icons come from a remote host."""
    mark = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    draw = ImageDraw.Draw(mark)
    draw.ellipse((4, 4, 60, 60), fill="#0b5c8a")
    draw.ellipse((18, 18, 46, 46), outline="white", width=5)
    draw.ellipse((27, 27, 37, 37), fill="#e69f00")
    return mark


def style() -> None:
    """Tighten Streamlit's frame so that a case fits on a small screen."""
    st.html(_STYLE)


def strip(notice: str | None, project: str) -> None:
    """The project's standing notice (if any) and its name, at the top of every screen."""
    # Both texts are a project's own and may hold anything: they are escaped.
    parts = [f":orange-badge[:material/warning: {plain(notice)}]"] if notice else []
    parts += [f":gray[Project] {plain(project)}"] if project else []
    if parts:
        st.markdown(" ".join(parts), width="content")


def plain(text: str) -> str:
    """Text with every character that markdown, HTML or Streamlit's directives would read escaped.

    >>> plain("a*b :red[c] <i>")
    'a\\\\*b \\\\:red\\\\[c\\\\] \\\\<i\\\\>'
    """
    return "".join(f"\\{ch}" if ch in "\\`*_{}[]()#+-.!|~$:<>&" else ch for ch in text)


def problem(error: Exception, advice: str = "") -> None:
    """One refused request as a sentence, never a traceback."""
    said = sentence(str(error).strip() or type(error).__name__)
    st.error(plain(f"{said} {advice}".strip()), icon=":material/error:")


def sentence(text: str) -> str:
    """A message that begins and ends as a sentence does.

    >>> sentence("too few verdicts"), sentence("Done."), sentence("")
    ('Too few verdicts.', 'Done.', '')
    """
    return f"{text[0].upper()}{ended(text[1:])}" if text else ""


def ended(text: str) -> str:
    """A message that ends as a sentence does, with one full stop.

    >>> ended("Not stored: too few verdicts"), ended("Not stored: from 0 to +9.6.")
    ('Not stored: too few verdicts.', 'Not stored: from 0 to +9.6.')
    """
    return text if text.endswith((".", "!", "?")) else f"{text}."


def empty(title: str, what_to_do: str, command: str | None = None) -> None:
    """An empty state: what is missing and what to do about it."""
    with st.container(border=True):
        st.subheader(title, anchor=False)
        st.markdown(what_to_do)
        if command:
            st.code(command, language="bash")
