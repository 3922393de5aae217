// The picture: one canvas with the image, one blended overlay, outlines, layers and drawings.
// Looking (zoom, pan, hover, opacity, threshold, modes) happens here and never asks the server.

import { el } from "./dom.js"
import { look } from "./palette.js"
import { FINE, blend, contours, peak, sample, spotlight, upsample } from "./maps.js"
import { Lens, paneAt, panesOf } from "./compare.js"
import { Layers, pathOf } from "./layers.js"
import { Legend } from "./legend.js"
import { Pictures } from "./pictures.js"
import { Pointing } from "./pointing.js"
import { Tip, inWords } from "./tip.js"
import { holds } from "./draw.js"
import { chip, drawCross, drawLayer, drawLetters, drawOutline, drawOverview, drawPicture, drawRaster, drawShape } from "./paint.js"

const STILL_MS = 140 // after this long without movement everything is drawn at its best
const SLOW_MS = 200 // a picture that takes longer is announced

// What is being looked at; the desk owns it, stage and controls read and change it.
export function plainView() {
  return {
    selected: null, on: new Set(), solo: false, bare: false, mode: "fill", opacity: 0.45, threshold: 0.5,
    perCue: new Map(), layer: null, layerOpacity: 0.6, tool: "pan",
  }
}

export class Stage {
  // act: pick(cueId), drawn({shape, points, cueId}), changed(); optional say(words), erase(id)
  constructor(view, act) {
    this.view = view
    this.act = typeof act === "function" ? { pick: act } : act
    for (const [name, value] of Object.entries(plainView())) view[name] ??= value
    this.canvas = el("canvas", { role: "img", tabindex: "0", class: "canvas", "aria-describedby": "stage-shows" })
    this.tip = new Tip()
    this.notice = el("div", { class: "notice", role: "status", hidden: true })
    this.legend = new Legend((key) => { this.layers.again(key); this.draw() })
    this.shows = el("p", { class: "sr", id: "stage-shows" })
    this.probed = el("p", { class: "sr", "aria-live": "polite" })
    this.root = el("div", { class: "stage" }, this.canvas, this.tip.root, this.notice, this.legend.root, this.shows, this.probed)
    this.overlay = document.createElement("canvas")
    this.overlay.width = this.overlay.height = FINE
    this.context = this.canvas.getContext("2d", { alpha: false })
    this.base = document.createElement("canvas") // the bare picture as it lies now, at its best
    this.lens = new Lens()
    this.cues = []
    this.drawings = []
    this.pending = null
    this.chips = []
    this.pictures = new Pictures((entry) => this.arrived(entry))
    this.layers = new Layers(() => this.draw())
    this.pointing = new Pointing(this)
    this.resizer = new ResizeObserver(() => this.fit())
    this.resizer.observe(this.root)
  }

  // Take a case, or the same one with newer words on it. Cheap where nothing changed.
  load(model, blobs) {
    const moved = this.model?.id !== model.id
    this.model = model
    this.canvas.setAttribute("aria-label", model.alt)
    this.layers.load(model)
    if (moved) this.begin()
    this.seat(model.image, blobs.image)
    if (!moved) model.cues.forEach((cue, index) => { if (this.cues[index]) this.cues[index].cue = cue })
    if (moved || model.cues.length !== this.cues.length) this.cues = model.cues.map((cue, index) => prepared(cue, index, blobs))
    this.take(model.drawings ?? [])
    this.refresh()
  }

  begin() {
    this.pointing.cancel()
    this.pending = null
    this.tip.hide()
    this.notice.hidden = true
    clearTimeout(this.slow)
    this.slow = setTimeout(() => this.tell(), SLOW_MS)
  }

  // Also with every newer word on the same case: its addresses may have newer passes, and what
  // could not be fetched before is tried again.
  seat(image, bytes) {
    if (this.entry?.id !== image.id) this.lens.home()
    const blob = bytes && new Blob([bytes], { type: image.mime })
    this.entry = this.pictures.want(image, blob)
    if (this.entry.small) this.pictures.ahead(image.ahead)
  }

  take(drawings) {
    const ids = drawings.map((drawing) => drawing.id).join()
    if (ids !== this.drawn) this.pending = null
    this.drawn = ids
    this.drawings = drawings
  }

  settleDrawing() {
    this.pending = null
    this.pointing.cancel()
    this.draw()
  }

  arrived(entry) {
    if (entry !== this.entry) return
    if (entry.small) this.pictures.ahead(this.model.image.ahead)
    this.tell()
    this.draw()
  }

  // Say what is missing, where the picture would be.
  tell() {
    const { entry } = this
    const words = entry.failed ? `The picture cannot be shown: ${entry.failed}.`
      : !entry.small ? "Loading the picture \u2026"
      : entry.coarse ? `Only a preview can be shown: ${entry.coarse}.` : ""
    this.notice.textContent = words
    this.notice.hidden = !words
  }

  get ready() {
    return Boolean(this.entry?.small && this.entry.width)
  }

  shown() {
    const { view } = this
    if (view.bare) return []
    return this.cues.filter(({ cue }) => view.solo ? cue.id === view.selected : view.on.has(cue.id))
  }

  // A cue's own opacity and threshold, or those of all.
  settings(id) {
    const own = this.view.perCue.get(id)
    return { opacity: own?.opacity ?? this.view.opacity, threshold: own?.threshold ?? this.view.threshold }
  }

  // Rebuild the overlay raster and the outlines, then draw. Called when the view changes.
  refresh() {
    const shown = this.shown()
    for (const layer of shown) {
      Object.assign(layer, this.settings(layer.cue.id))
      if (layer.level === layer.threshold) continue
      const rings = contours(layer.field, layer.threshold)
      Object.assign(layer, { rings, path: pathOf(rings), any: rings.length > 0, level: layer.threshold })
    }
    const context = this.overlay.getContext("2d")
    const image = context.createImageData(FINE, FINE)
    const { mode, opacity } = this.view
    if (shown.length && (mode === "fill" || mode === "side")) blend(shown, image.data)
    if (shown.length && mode === "spotlight") spotlight(shown, image.data, opacity)
    context.putImageData(image, 0, 0)
    this.describe(shown)
    this.draw()
  }

  describe(shown) {
    const { view } = this
    const layer = this.layers.info(view.layer)
    const cues = shown.map(({ cue }) => `${cue.letter} ${cue.name}`).join(", ")
    const words = view.bare ? "Bare image." : `Shown: ${cues || "no cue"}; ${view.mode === "side" ? "side by side" : view.mode}.`
    const drawn = this.drawings.length ? ` ${this.drawings.length} of your drawings.` : ""
    this.shows.textContent = words + (layer && !view.bare ? ` Layer: ${layer.name}.` : "") + drawn
    this.canvas.dataset.tool = view.tool
  }

  draw() {
    cancelAnimationFrame(this.frame)
    this.frame = requestAnimationFrame(() => this.paint())
  }

  // The picture is being moved: draw fast now, and at its best when it stands still.
  moving() {
    this.inMotion = true
    clearTimeout(this.still)
    this.still = setTimeout(() => { this.inMotion = false; this.draw() }, STILL_MS)
    this.draw()
  }

  panes() {
    return panesOf(this.view.mode, this.canvas.clientWidth, this.canvas.clientHeight)
  }

  paint() {
    const { context, canvas, entry } = this
    const ratio = window.devicePixelRatio || 1
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.fillStyle = "#14181d"
    context.fillRect(0, 0, canvas.width, canvas.height)
    this.chips = []
    this.legend.sync(this.view.bare ? null : this.view.layer && this.layers.get(this.view.layer))
    if (!this.ready) {
      delete canvas.dataset.picture
      return
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0)
    const panes = this.panes()
    this.paintPicture(panes, ratio)
    for (const pane of panes) this.paintPane(pane, panes.length > 1)
    if (this.lens.zoom > 1.05) drawOverview(context, entry, this.lens.box(panes[0], entry), panes[0])
    this.sharpen(panes[0], ratio)
    this.onZoom?.(this.lens.box(panes[0], entry).scale * ratio)
    canvas.dataset.picture = this.model.image.id
  }

  // While it stands still the picture is drawn once, whatever changes on top of it.
  paintPicture(panes, ratio) {
    const { context, canvas, base, entry, lens } = this
    if (this.inMotion) {
      for (const pane of panes) drawPicture(context, entry, lens.box(pane, entry), pane, ratio, true)
      return
    }
    const key = [entry.id, Boolean(entry.full), panes.length, lens.zoom, lens.dx, lens.dy, canvas.width, canvas.height].join()
    if (key !== this.baseKey) {
      this.baseKey = key
      base.width = canvas.width
      base.height = canvas.height
      const below = base.getContext("2d")
      below.setTransform(ratio, 0, 0, ratio, 0, 0)
      for (const pane of panes) drawPicture(below, entry, lens.box(pane, entry), pane, ratio, false)
    }
    context.save()
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.drawImage(base, 0, 0)
    context.restore()
  }

  paintPane(pane, several) {
    const { context, entry, view } = this
    const at = this.lens.box(pane, entry)
    context.save()
    context.beginPath()
    context.rect(pane.x, pane.y, pane.w, pane.h)
    context.clip()
    if (!view.bare) {
      if (pane.other) this.paintLayer(at)
      if (pane.cues) this.paintCues(at, pane)
      this.paintDrawings(at, pane)
      if (several) this.paintName(pane)
    }
    for (const point of this.pointing.crosses()) drawCross(context, at.x + point[0] * at.width, at.y + point[1] * at.height)
    context.restore()
  }

  paintLayer(at) {
    const found = this.view.layer && this.layers.get(this.view.layer)
    if (found?.state === "ready") drawLayer(this.context, found, at, this.view.layerOpacity)
  }

  paintCues(at, pane) {
    const shown = this.shown()
    if (!shown.length) return
    const { selected, mode } = this.view
    if (mode !== "outline") drawRaster(this.context, this.overlay, at)
    const order = [...shown].sort((a, b) => (a.cue.id === selected) - (b.cue.id === selected))
    for (const layer of order) drawOutline(this.context, layer, at, layer.cue.id === selected, this.inMotion)
    drawLetters(this.context, order.reverse(), at, pane, selected)
  }

  paintDrawings(at, pane) {
    const erasable = this.view.tool !== "pan" && Boolean(this.act.erase)
    for (const drawing of this.drawings) {
      const word = drawShape(this.context, drawing, at, pane, { erasable })
      if (word && erasable) this.chips.push({ ...word, id: drawing.id })
    }
    if (this.pending) drawShape(this.context, this.pending, at, pane, { pending: true })
    const growing = this.pointing.preview()
    if (growing) drawShape(this.context, growing, at, pane, { pending: true })
  }

  paintName(pane) {
    const layer = this.layers.info(this.view.layer)
    chip(this.context, pane.cues ? "Image with cues" : layer ? `Image with ${layer.name}` : "Image", pane.x + 8, pane.y + (layer ? 34 : 8), pane)
  }

  // Fetch every pixel once the preview would be stretched.
  sharpen(pane, ratio) {
    const { entry } = this
    const wanted = this.lens.box(pane, entry).width * ratio
    if (!entry.full && wanted > entry.small.width * 1.05) this.pictures.large(entry)
  }

  fit() {
    const ratio = window.devicePixelRatio || 1
    const { clientWidth, clientHeight } = this.canvas
    this.canvas.width = Math.max(1, Math.round(clientWidth * ratio))
    this.canvas.height = Math.max(1, Math.round(clientHeight * ratio))
    if (this.ready) this.lens.hold(this.panes()[0], this.entry)
    this.paint()
  }

  reset() {
    this.lens.home()
    this.draw()
  }

  zoomBy(factor, px, py) {
    if (!this.ready) return
    const panes = this.panes()
    const pane = (px !== undefined && paneAt(panes, px, py)) || panes[0]
    this.lens.by(factor, pane, this.entry, px, py)
    this.moving()
  }

  // One picture pixel on one screen pixel.
  actual() {
    if (!this.ready) return
    const pane = this.panes()[0]
    const now = this.lens.box(pane, this.entry).scale * (window.devicePixelRatio || 1)
    this.zoomBy(1 / now)
  }

  panBy(dx, dy) {
    if (!this.ready) return
    this.lens.move(dx, dy, this.panes()[0], this.entry)
    this.moving()
  }

  // Screen place -> fractions of the picture, also outside it; null before there is a picture.
  fractions(px, py) {
    if (!this.ready) return null
    const panes = this.panes()
    const pane = paneAt(panes, px, py) ?? panes[0]
    const at = this.lens.box(pane, this.entry)
    return [(px - at.x) / at.width, (py - at.y) / at.height]
  }

  place([fx, fy]) {
    const panes = this.panes()
    const at = this.lens.box(panes.at(-1), this.entry)
    return [at.x + fx * at.width, at.y + fy * at.height]
  }

  // All that is at a place of the picture, the strongest cue first; null outside.
  at([fx, fy]) {
    if (!this.ready || fx < 0 || fy < 0 || fx > 1 || fy > 1) return null
    const { width, height } = this.entry
    const cues = this.cues.map((layer) => ({ layer, value: sample(layer.field, fx, fy) }))
      .filter(({ value }) => value > 0.05).sort((a, b) => b.value - a.value)
    return {
      cues, layer: this.layerAt(fx, fy), blind: this.model.prediction === "",
      drawings: this.drawings.filter((drawing) => holds(drawing, fx, fy)),
      pixel: [Math.min(Math.floor(fx * width), width - 1), Math.min(Math.floor(fy * height), height - 1)],
    }
  }

  layerAt(fx, fy) {
    const found = this.view.layer && !this.view.bare && this.layers.get(this.view.layer)
    if (!found || found.state !== "ready") return null
    const value = sample(found.field, fx, fy, found.size)
    const text = found.info.kind === "mask" ? (value >= 0.5 ? "inside" : "outside") : `${Math.round(100 * value)}\u202f% of its peak`
    return { name: found.info.name, text }
  }

  pick(point) {
    const found = this.at(point)
    if (found?.cues.length) this.act.pick?.(found.cues[0].layer.cue.id)
  }

  hover(px, py) {
    const point = this.fractions(px, py)
    const found = point && this.at(point)
    if (!found) return this.tip.hide()
    this.tip.show(found, px, py, this.root.clientWidth, this.root.clientHeight)
    return found
  }

  probe(point) {
    const found = this.hover(...this.place(point))
    if (found) this.probed.textContent = inWords(found)
    this.draw()
  }

  drew(shape) {
    if (shape.small) return this.act.say?.("Too small to mark a place: draw it larger.")
    this.pending = shape
    this.draw()
    this.act.drawn?.({ ...shape, cueId: this.view.selected })
  }

  destroy() {
    cancelAnimationFrame(this.frame)
    clearTimeout(this.slow)
    clearTimeout(this.still)
    this.resizer.disconnect()
    this.pictures.destroy()
    this.layers.forget()
  }
}

function prepared(cue, index, blobs) {
  const field = upsample(blobs[`map${index}`], cue.grid[0], cue.grid[1])
  return { cue, index, field, ...look(index), top: peak(field), rings: [], path: null, any: false, level: -1 }
}
