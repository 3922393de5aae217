"""What `streamlit run` starts: the app, and beside it the app's own routes (see `routes`).

Streamlit finds `app` by reading this file. The script of each session is app.py; run by itself, it
works too, and then sends pictures along with the case instead of serving them.
"""

import streamlit as st

from dashboard.resources import gate_open, passes, shared_services
from dashboard.routes import routes, security

app = st.App(
    "app.py",
    routes=routes(shared_services, passes()),
    middleware=security(),
    lifespan=gate_open,
)
