"""Small tables as real HTML tables: text that can be read aloud, searched and copied."""

from collections.abc import Mapping, Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.views.chrome import plain


def table(
    columns: Mapping[str, Sequence[object]], *, alt: str, at: DeltaGenerator | None = None
) -> None:
    """Columns side by side. Cells are plain text: Streamlit would read markdown in them."""
    cells = {
        name: [plain(str(value)) if value is not None else "\u2013" for value in values]
        for name, values in columns.items()
    }
    (at or st).table(cells, border="horizontal", hide_index=True, alt=alt)
