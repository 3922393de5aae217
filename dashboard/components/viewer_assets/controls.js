// The tool bar under the picture: mode, opacity, threshold, bare image, zoom.

import { el } from "./dom.js"

const MODES = [
  ["fill", "Fill", "Colour each cue's area by how strongly it fires"],
  ["outline", "Outline", "Only the borders of each cue's area"],
  ["spotlight", "Spotlight", "Darken all that no chosen cue covers"],
]

export class Controls {
  constructor(view, changed, stage) {
    this.view = view
    this.modes = MODES.map(([value, text, title]) =>
      el("button", { type: "button", class: "seg", text, title, on: {
        click: () => { view.mode = value; view.bare = false; changed() },
      } }))
    this.opacity = slider("Opacity", "How opaque the overlay is, in per cent", 10, 95, (value) => {
      view.opacity = value / 100
      changed()
    })
    this.threshold = slider(
      "Threshold", "Show only where a cue fires above this share of its own peak, in per cent",
      10, 95, (value) => { view.threshold = value / 100; changed() })
    this.bare = el("button", { type: "button", class: "tool", on: {
      click: () => { view.bare = !view.bare; changed() },
    }, title: "Hide every overlay (key B)" }, "Bare ", el("kbd", { text: "B" }))
    const zoom = (text, label, act) =>
      el("button", { type: "button", class: "tool square", text, "aria-label": label, title: label, on: { click: act } })
    this.root = el("div", { class: "toolbar", role: "toolbar", "aria-label": "How the overlay is drawn" },
      el("span", { class: "segments", role: "group", "aria-label": "Overlay" }, ...this.modes),
      this.opacity.root, this.threshold.root, this.bare)
    stage.root.append(el("span", { class: "segments zoom", role: "group", "aria-label": "Zoom" },
      zoom("\u2212", "Zoom out (key \u2212)", () => stage.zoomBy(1 / 1.4)),
      zoom("+", "Zoom in (key +)", () => stage.zoomBy(1.4)),
      zoom("\u2922", "Whole image (key 0)", () => stage.reset())))
    this.sync()
  }

  sync() {
    this.modes.forEach((button, i) => {
      button.setAttribute("aria-pressed", String(this.view.mode === MODES[i][0]))
    })
    this.bare.setAttribute("aria-pressed", String(this.view.bare))
    this.opacity.set(this.view.opacity * 100)
    this.threshold.set(this.view.threshold * 100)
  }
}

function slider(name, title, min, max, changed) {
  const input = el("input", { type: "range", min, max, step: 1, "aria-label": `${name}, per cent` })
  const shown = el("output", {})
  input.addEventListener("input", () => {
    shown.textContent = `${input.value}\u202f%`
    changed(Number(input.value))
  })
  // A range that keeps the focus would swallow the arrow keys.
  input.addEventListener("pointerup", () => input.blur())
  const set = (value) => {
    input.value = Math.round(value)
    shown.textContent = `${Math.round(value)}\u202f%`
  }
  return { root: el("label", { class: "slider", title }, el("span", { text: name }), input, shown), set }
}
