"""The viewer's script as one file with an address, where the app has routes of its own.

Streamlit sends a component's script with every message that touches the component: 180 kB for
each verdict. Where the routes run (`dashboard.serve`), Streamlit gets a few lines that import the
script once; its address holds its hash, so that the browser keeps it for ever.
"""

import hashlib
import json
from functools import cache

from dashboard.components.bundle import asset, bundle

STYLES = ("viewer.css", "stage.css")
PREFIX = "/insight/assets"
SUFFIX = "viewer.js"


def styles() -> str:
    """The viewer's style sheets, one after the other."""
    return "\n".join(asset(name) for name in STYLES)


@cache
def script() -> tuple[str, bytes]:
    """The script's path and its content: the bundle, and the style sheet as `styles`."""
    content = f"{bundle()}\nexport const styles = {json.dumps(styles())}\n".encode()
    return f"{PREFIX}/{hashlib.sha256(content).hexdigest()[:20]}/{SUFFIX}", content


def loader() -> str:
    """What Streamlit gets instead: imports the script, then passes every call on, in order."""
    path, _ = script()
    return f"""
const arrived = import(location.origin + {json.dumps(path)})
const styled = new WeakSet()

export default function mount(call) {{
  const root = call.parentElement
  let gone = false
  let clean = null
  arrived.then((desk) => {{
    if (gone) return
    if (!styled.has(root)) {{
      styled.add(root)
      const style = document.createElement("style")
      style.textContent = desk.styles
      root.append(style)
    }}
    clean = desk.default(call)
  }}, () => {{ root.textContent = "The desk could not be loaded. Reload the page." }})
  return () => {{
    gone = true
    if (clean) clean()
  }}
}}
"""
