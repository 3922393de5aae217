// The tool bar under the picture: mode, opacity, threshold, layers, drawing, bare image, zoom.

import { el } from "./dom.js"
import { TOOLS } from "./draw.js"

export const MODES = [
  ["fill", "Fill", "Colour each cue's area by how strongly it fires"],
  ["outline", "Outline", "Only the borders of each cue's area"],
  ["spotlight", "Spotlight", "Darken all that no chosen cue covers"],
  ["side", "Side by side", "The image beside the image with cues; they move together"],
]
const TOOL_WORDS = {
  pan: ["Look", "Drag to move the picture, click a place to select the cue there"],
  box: ["Box", "Mark a place with a box: drag, or click two corners"],
  lasso: ["Lasso", "Mark a place by hand: drag round it, or click from point to point and back to the first"],
}

export class Controls {
  constructor(view, changed, stage) {
    this.view = view
    this.changed = changed
    this.stage = stage
    this.model = null
    this.own = false // the sliders speak of the selected cue only
    this.modes = MODES.map(([value, text, title]) => this.segment(text, title, () => { view.mode = value; view.bare = false }))
    this.tools = TOOLS.map((value) => this.segment(...TOOL_WORDS[value], () => { view.tool = value; stage.settleDrawing() }))
    this.scope = this.segment("All cues", "The two sliders hold for every cue, or, pressed, for the selected one only", () => this.narrow(!this.own))
    this.opacity = slider("Opacity", "How opaque the overlay is, in per cent", 5, 95, (value) => this.set("opacity", value / 100))
    this.threshold = slider("Threshold", "Show only where a cue fires above this share of its own peak, in per cent", 5, 95,
      (value) => this.set("threshold", value / 100))
    this.bare = el("button", { type: "button", class: "tool", on: {
      click: () => { view.bare = !view.bare; changed() },
    }, title: "Hide every overlay (key B)" }, "Bare ", el("kbd", { text: "B" }))
    this.layer = el("select", { "aria-label": "Further layer", title: "Lay the ground truth or another method's map over the image",
      on: { change: () => { this.chooseLayer(this.layer.value || null); this.layer.blur() } } })
    this.layerOpacity = slider("Layer opacity", "How opaque the further layer is, in per cent", 5, 100, (value) => { view.layerOpacity = value / 100; changed() })
    this.layerField = el("label", { class: "field" }, el("span", { text: "Layer" }), this.layer)
    this.root = el("div", { class: "toolbar", role: "toolbar", "aria-label": "How the overlay is drawn" },
      el("span", { class: "segments", role: "group", "aria-label": "Overlay" }, ...this.modes), this.bare,
      el("span", { class: "segments", role: "group", "aria-label": "Pointer" }, ...this.tools),
      el("span", { class: "sliders" }, this.scope, this.opacity.root, this.threshold.root),
      el("span", { class: "layer-part" }, this.layerField, this.layerOpacity.root))
    stage.root.append(this.zoom())
    this.sync()
  }

  segment(text, title, act) {
    return el("button", { type: "button", class: "seg", text, title, on: { click: () => { act(); this.changed() } } })
  }

  zoom() {
    const { stage } = this
    const button = (text, label, act) =>
      el("button", { type: "button", class: "tool square", text, "aria-label": label, title: label, on: { click: act } })
    this.scale = el("button", { type: "button", class: "tool scale", title: "Screen pixels per picture pixel; click for one to one",
      on: { click: () => stage.actual() } })
    stage.onZoom = (scale) => {
      const text = `${scale < 0.1 ? (100 * scale).toFixed(1) : Math.round(100 * scale)}\u202f%`
      if (this.scale.textContent === text) return
      this.scale.textContent = text
      this.scale.setAttribute("aria-label", `Magnification ${text}; show one to one`)
    }
    stage.onZoom(1)
    return el("span", { class: "segments zoom", role: "group", "aria-label": "Zoom" },
      button("\u2212", "Zoom out (key \u2212)", () => stage.zoomBy(1 / 1.4)), this.scale,
      button("+", "Zoom in (key +)", () => stage.zoomBy(1.4)),
      button("\u2922", "Whole image (key 0)", () => stage.reset()))
  }

  // The layers that this case offers; one that is gone is no longer shown.
  load(model) {
    this.model = model
    const layers = model.layers ?? []
    if (this.view.layer && !layers.some(({ key }) => key === this.view.layer)) this.view.layer = null
    this.layerField.hidden = layers.length === 0
    const offered = JSON.stringify(layers.map(({ key, name }) => [key, name]))
    if (offered !== this.offered) {
      this.offered = offered
      this.layer.replaceChildren(el("option", { value: "", text: "none" }),
        ...layers.map(({ key, name, about }) => el("option", { value: key, text: name, title: about })))
    }
    this.sync()
  }

  chooseLayer(key) {
    this.view.layer = key
    this.view.bare = false
    this.changed()
  }

  nextLayer() {
    const keys = [null, ...(this.model?.layers ?? []).map(({ key }) => key)]
    this.chooseLayer(keys[(keys.indexOf(this.view.layer) + 1) % keys.length])
  }

  // Turned off, the selected cue goes back to what holds for all.
  narrow(own) {
    const { perCue, selected } = this.view
    this.own = own && Boolean(selected)
    if (!this.own) perCue.delete(selected)
    else if (!perCue.has(selected)) perCue.set(selected, { ...this.stage.settings(selected) })
  }

  set(name, value) {
    const { view } = this
    if (this.own && view.selected) view.perCue.set(view.selected, { ...this.stage.settings(view.selected), [name]: value })
    else view[name] = value
    this.changed()
  }

  sync() {
    const { view } = this
    const press = (button, on) => button.setAttribute("aria-pressed", String(on))
    this.modes.forEach((button, i) => press(button, view.mode === MODES[i][0]))
    this.tools.forEach((button, i) => press(button, view.tool === TOOLS[i]))
    press(this.bare, view.bare)
    this.own = view.perCue.has(view.selected)
    const letter = this.model?.cues.find(({ id }) => id === view.selected)?.letter
    press(this.scope, this.own)
    this.scope.disabled = !letter
    this.scope.textContent = this.own ? `Only ${letter}` : "All cues"
    const { opacity, threshold } = this.stage.settings(view.selected)
    this.opacity.set(opacity * 100)
    this.threshold.set(threshold * 100)
    this.layer.value = view.layer ?? ""
    this.layerOpacity.root.hidden = !view.layer
    this.layerOpacity.set(view.layerOpacity * 100)
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
