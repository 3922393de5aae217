"""The viewer's script with an address: named by its content, and passed every call in order."""

import hashlib
import json
import shutil
import subprocess

import pytest

from dashboard.components.served import loader, script, styles

NODE = shutil.which("node")
_TRY = """
globalThis.location = { origin: "http://127.0.0.1:1" }
globalThis.document = { createElement: () => ({}) }
const source = LOADER.replace(/import\\(location.origin \\+ "[^"]*"\\)/, "globalThis.arriving")
const said = []
const root = { append: (style) => said.push(`style ${style.textContent}`) }
let land
globalThis.arriving = new Promise((resolve) => { land = resolve })
const { default: mount } = await import("data:text/javascript," + encodeURIComponent(source))
const gone = mount({ parentElement: root, data: "first" })
gone()
mount({ parentElement: root, data: "second" })
const leave = mount({ parentElement: root, data: "third" })
land({ styles: "css", default: (call) => { said.push(call.data); return () => said.push("left") } })
await globalThis.arriving
await null
leave()
console.log(said.join())
"""


def test_the_address_holds_the_hash_of_the_content() -> None:
    path, content = script()
    assert hashlib.sha256(content).hexdigest()[:20] in path
    assert script() == (path, content)
    assert b"export default function mount" in content
    assert f"export const styles = {json.dumps(styles())}" in content.decode()


def test_the_loader_is_small_and_names_the_script() -> None:
    assert script()[0] in loader()
    assert len(loader()) < 1500


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_calls_wait_for_the_script_in_order_and_those_taken_back_are_left_out() -> None:
    program = f"const LOADER = {json.dumps(loader())}\n{_TRY}"
    done = subprocess.run(
        [str(NODE), "--input-type=module", "-e", program], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "style css,second,third,left"
