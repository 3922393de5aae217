// The picture: one canvas with the image, one blended overlay and the outlines. Looking (zoom,
// pan, hover, opacity, threshold, modes) happens here and never asks the server.

import { el, inFull } from "./dom.js"
import { look } from "./palette.js"
import { FINE, blend, contours, peak, sample, spotlight, upsample } from "./maps.js"

const MAX_ZOOM = 16

export class Stage {
  constructor(view, onPick) {
    this.view = view
    this.onPick = onPick
    this.canvas = el("canvas", { role: "img", tabindex: "0", class: "canvas" })
    this.tip = el("div", { class: "tip", hidden: true, "aria-hidden": "true" })
    this.root = el("div", { class: "stage" }, this.canvas, this.tip)
    this.overlay = document.createElement("canvas")
    this.overlay.width = this.overlay.height = FINE
    this.layers = []
    this.picture = null
    this.reset()
    this.listen()
    this.resizer = new ResizeObserver(() => this.fit())
    this.resizer.observe(this.root)
  }

  // Take a case: decode its picture (once per picture) and upsample its maps.
  async load(model, blobs) {
    this.layers = model.cues.map((cue, index) => {
      const field = upsample(blobs[`map${index}`], cue.grid[0], cue.grid[1])
      return { cue, index, field, ...look(index), top: peak(field), rings: null, level: -1 }
    })
    this.canvas.setAttribute("aria-label", model.alt)
    const wanted = model.image.id
    if (this.pictureId !== wanted) {
      this.pictureId = wanted
      this.picture = null
      this.reset()
      const blob = new Blob([blobs.image], { type: model.image.mime })
      const decoded = await createImageBitmap(blob)
      if (this.pictureId === wanted) this.picture = decoded // else a newer case came first
    }
    this.refresh()
  }

  shown() {
    const { view } = this
    if (view.bare) return []
    return this.layers.filter(({ cue }) =>
      view.solo ? cue.id === view.selected : view.on.has(cue.id)
    )
  }

  // Rebuild the overlay raster and the outlines, then draw. Called when the view changes.
  refresh() {
    const shown = this.shown()
    const context = this.overlay.getContext("2d")
    const image = context.createImageData(FINE, FINE)
    const { mode, opacity, threshold } = this.view
    if (shown.length && mode === "fill") blend(shown, image.data, threshold, opacity)
    if (shown.length && mode === "spotlight") spotlight(shown, image.data, threshold, opacity)
    context.putImageData(image, 0, 0)
    for (const layer of shown) {
      if (layer.level === threshold) continue
      layer.rings = contours(layer.field, threshold)
      layer.level = threshold
    }
    this.draw()
  }

  draw() {
    cancelAnimationFrame(this.frame)
    this.frame = requestAnimationFrame(() => this.paint())
  }

  paint() {
    const context = this.canvas.getContext("2d")
    const ratio = window.devicePixelRatio || 1
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.clearRect(0, 0, this.canvas.width, this.canvas.height)
    if (!this.picture) return
    const { x, y, width, height } = this.box()
    context.setTransform(ratio, 0, 0, ratio, 0, 0)
    context.imageSmoothingEnabled = true
    context.imageSmoothingQuality = "high"
    context.drawImage(this.picture, x, y, width, height)
    const shown = this.shown()
    if (!shown.length) return
    context.drawImage(this.overlay, x, y, width, height)
    for (const layer of shown) this.outline(context, layer, x, y, width, height)
    for (const layer of shown) this.letter(context, layer, x, y, width, height)
  }

  outline(context, layer, x, y, width, height) {
    const chosen = layer.cue.id === this.view.selected
    const trace = new Path2D()
    for (const ring of layer.rings) {
      ring.forEach(([fx, fy], i) => {
        if (i) trace.lineTo(x + fx * width, y + fy * height)
        else trace.moveTo(x + fx * width, y + fy * height)
      })
      trace.closePath()
    }
    context.lineJoin = "round"
    context.setLineDash([])
    context.strokeStyle = "rgba(0, 0, 0, 0.55)"
    context.lineWidth = chosen ? 5 : 3.5
    context.stroke(trace)
    context.setLineDash(layer.dash)
    context.strokeStyle = layer.hex
    context.lineWidth = chosen ? 3 : 1.8
    context.stroke(trace)
    context.setLineDash([])
  }

  letter(context, layer, x, y, width, height) {
    if (!layer.rings.length) return
    const chosen = layer.cue.id === this.view.selected
    const radius = chosen ? 11 : 9
    const within = (at, side) => Math.min(Math.max(at, radius + 2), side - radius - 2)
    const px = within(layer.top[0] * width, width) + x
    const py = within(layer.top[1] * height, height) + y
    context.beginPath()
    context.arc(px, py, radius, 0, 2 * Math.PI)
    context.fillStyle = layer.hex
    context.fill()
    context.lineWidth = chosen ? 2.5 : 1.5
    context.strokeStyle = chosen ? "#ffffff" : "rgba(0, 0, 0, 0.7)"
    context.stroke()
    context.fillStyle = layer.ink
    context.font = `700 ${chosen ? 13 : 11}px system-ui, sans-serif`
    context.textAlign = "center"
    context.textBaseline = "middle"
    context.fillText(layer.cue.letter, px, py + 0.5)
  }

  // Where the picture lies on the canvas, in CSS pixels.
  box() {
    const { clientWidth: w, clientHeight: h } = this.canvas
    const fit = Math.min(w / this.picture.width, h / this.picture.height)
    const width = this.picture.width * fit * this.zoom
    const height = this.picture.height * fit * this.zoom
    return { x: (w - width) / 2 + this.dx, y: (h - height) / 2 + this.dy, width, height }
  }

  fit() {
    const ratio = window.devicePixelRatio || 1
    const { clientWidth, clientHeight } = this.canvas
    this.canvas.width = Math.max(1, Math.round(clientWidth * ratio))
    this.canvas.height = Math.max(1, Math.round(clientHeight * ratio))
    this.paint()
  }

  reset() {
    this.zoom = 1
    this.dx = this.dy = 0
    if (this.picture) this.draw()
  }

  zoomBy(factor, px = this.canvas.clientWidth / 2, py = this.canvas.clientHeight / 2) {
    const next = Math.min(Math.max(this.zoom * factor, 1), MAX_ZOOM)
    const real = next / this.zoom
    const cx = px - this.canvas.clientWidth / 2
    const cy = py - this.canvas.clientHeight / 2
    this.zoom = next
    this.dx = next === 1 ? 0 : cx - (cx - this.dx) * real
    this.dy = next === 1 ? 0 : cy - (cy - this.dy) * real
    this.draw()
  }

  listen() {
    const canvas = this.canvas
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault()
      this.zoomBy(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY)
    }, { passive: false })
    canvas.addEventListener("dblclick", () => this.reset())
    canvas.addEventListener("pointerdown", (event) => {
      this.drag = { x: event.clientX, y: event.clientY, moved: false }
      canvas.setPointerCapture(event.pointerId)
    })
    canvas.addEventListener("pointermove", (event) => this.move(event))
    canvas.addEventListener("pointerup", (event) => {
      if (this.drag && !this.drag.moved) this.pick(event.offsetX, event.offsetY)
      this.drag = null
    })
    canvas.addEventListener("pointerleave", () => { this.tip.hidden = true })
  }

  move(event) {
    if (!this.drag) return this.hover(event.offsetX, event.offsetY)
    const dx = event.clientX - this.drag.x
    const dy = event.clientY - this.drag.y
    if (!this.drag.moved && Math.hypot(dx, dy) < 4) return
    this.drag = { x: event.clientX, y: event.clientY, moved: true }
    this.tip.hidden = true
    if (this.zoom === 1) return
    this.dx += dx
    this.dy += dy
    this.draw()
  }

  at(px, py) {
    if (!this.picture) return []
    const { x, y, width, height } = this.box()
    const fx = (px - x) / width
    const fy = (py - y) / height
    if (fx < 0 || fy < 0 || fx > 1 || fy > 1) return []
    return this.layers
      .map((layer) => ({ layer, value: sample(layer.field, fx, fy) }))
      .filter(({ value }) => value > 0.05)
      .sort((a, b) => b.value - a.value)
  }

  pick(px, py) {
    const [first] = this.at(px, py)
    if (first) this.onPick(first.layer.cue.id)
  }

  hover(px, py) {
    const found = this.at(px, py)
    this.tip.hidden = !found.length
    if (!found.length) return
    const lines = found.slice(0, 5).map(({ layer, value }) => {
      const mark = el("span", { class: "letter", text: layer.cue.letter })
      mark.style.background = layer.hex
      mark.style.color = layer.ink
      const words = `${(value * layer.cue.activation).toFixed(2)}, ${Math.round(100 * value)}\u202f% of its peak`
      return el("div", { class: "tip-line" }, mark, el("b", { text: inFull(layer.cue) }), el("span", { text: words }))
    })
    this.tip.replaceChildren(el("div", { class: "tip-head", text: "Activation here (encoder units)" }), ...lines)
    const right = px > this.root.clientWidth / 2
    const low = py > this.root.clientHeight / 2
    this.tip.style.left = right ? "" : `${px + 14}px`
    this.tip.style.right = right ? `${this.root.clientWidth - px + 14}px` : ""
    this.tip.style.top = low ? "" : `${py + 14}px`
    this.tip.style.bottom = low ? `${this.root.clientHeight - py + 14}px` : ""
  }

  destroy() {
    cancelAnimationFrame(this.frame)
    this.resizer.disconnect()
  }
}
