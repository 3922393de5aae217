// Names the further layer that lies over the picture, and says what its colours mean.

import { el } from "./dom.js"
import { gradient } from "./layers.js"

export class Legend {
  constructor(again) {
    this.again = again
    this.root = el("div", { class: "stage-legend", hidden: true })
  }

  // `found` is what Layers.get gives, or null. Redrawn only when something is new.
  sync(found) {
    this.root.hidden = !found
    const state = found && `${found.info.key} ${found.state}`
    if (state === this.told) return
    this.told = state
    if (!found) return
    const { name, about, kind } = found.info
    const mask = kind === "mask"
    const scale = mask ? el("span", { class: "key-mask" }) : el("span", { class: "key-heat", style: { backgroundImage: gradient() } })
    const words = { loading: "being computed \u2026", failed: found.message, ready: mask ? "outline" : "none to strongest" }[found.state]
    const retry = el("button", { type: "button", class: "tool", text: "Try again", on: { click: () => this.again(found.info.key) } })
    this.root.title = about
    this.root.replaceChildren(el("b", { text: name }), found.state === "ready" ? scale : "",
      el("span", { role: "status", text: words }), found.state === "failed" ? retry : "")
  }
}
