"""The audit log: what a check of the chain found, and the lines, from plain data."""

from collections.abc import Sequence

import streamlit as st

from dashboard.viewmodels.audit import AuditPage, ChainState, ChainView, ExtractView
from dashboard.views.chrome import plain
from dashboard.views.tables import table
from dashboard.views.text import plural

LISTED = 50  # findings in the table
WHAT = (
    "Every verdict, name, decision, run, export and setting is kept as a row that is never "
    "changed, and each row has an entry in a chain of hashes. The check works every hash out "
    "anew and names each row that was edited, removed, put in, moved or cut off since."
)


def state(found: ChainState) -> None:
    """Where the chain ends."""
    st.markdown(plain(found.sentence))
    if found.hash:
        st.caption(f"The chain ends at place {found.place} with {found.hash}.", help=WHAT)


def checked(chains: Sequence[ChainView]) -> None:
    """What the check found; said in words, not by colour alone."""
    for chain in chains:
        if chain.is_whole:
            st.success(plain(chain.sentence), icon=":material/verified:")
            continue
        st.error(plain(chain.sentence), icon=":material/gpp_bad:")
        shown = chain.findings[:LISTED]
        table(
            {
                "What": [row.kind for row in shown],
                "Place": [row.place for row in shown],
                "Row": [f"{row.table or ''} {row.row_id or ''}".strip() for row in shown],
                "In words": [row.sentence for row in shown],
            },
            alt=f"What does not fit in the audit chain of {chain.name}",
        )
        if chain.found > len(shown):
            st.caption(f"... and {chain.found - len(shown)} more: insight audit verify lists them")


def lines(page: AuditPage) -> None:
    """Lines of the log, newest first."""
    if page.note:
        st.info(plain(page.note), icon=":material/visibility_off:")
        return
    if not page.lines:
        st.caption("No line fits these filters.")
        return
    table(
        {
            "When (UTC)": [f"{line.at:%Y-%m-%d %H:%M:%S}" for line in page.lines],
            "Who": [line.who for line in page.lines],
            "Did": [line.action for line in page.lines],
            "To": [line.what for line in page.lines],
            "Detail": [line.detail for line in page.lines],
        },
        alt="The newest lines of the audit log that fit the filters",
    )
    if page.more:
        st.caption(f"The newest {plural(len(page.lines), 'line')}; older ones are left out.")


def extracted(made: ExtractView) -> None:
    """What is in an extract, and how it is checked."""
    st.markdown(plain(f"{made.sentence}."))
    st.caption(
        f"Anybody can verify it without this workspace: insight audit check {made.path.name}. "
        f"SHA-256 of the file {made.sha256}."
    )
