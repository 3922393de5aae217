// Pointer, wheel and keys on the picture: zoom, pan, pinch, pick, draw, probe.

import { Pen } from "./draw.js"

const STILL = 4 // CSS pixels: less is a click, not a drag
const STEP = 0.02 // of the picture, per arrow key
const FINE_STEP = 0.004
const NUDGE = 60 // CSS pixels, per Shift and arrow key
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }

export class Pointing {
  constructor(stage) {
    this.stage = stage
    this.pen = new Pen()
    this.touching = new Map() // pointer id -> [x, y]
    this.cursor = null // fractions: where the keyboard points
    const { canvas } = stage
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false })
    canvas.addEventListener("dblclick", () => this.twice())
    canvas.addEventListener("pointerdown", (event) => this.down(event))
    canvas.addEventListener("pointermove", (event) => this.move(event))
    canvas.addEventListener("pointerup", (event) => this.up(event))
    canvas.addEventListener("pointercancel", (event) => this.lost(event))
    canvas.addEventListener("pointerleave", () => { if (!this.cursor) stage.tip.hide() })
    canvas.addEventListener("keydown", (event) => this.key(event))
    canvas.addEventListener("blur", () => this.endProbe())
  }

  get tool() {
    return this.stage.view.tool
  }

  get drawing() {
    return this.tool !== "pan"
  }

  preview() {
    return this.drawing ? this.pen.preview(this.tool) : null
  }

  crosses() {
    if (this.cursor) return [this.cursor]
    // Side by side, the pointer is shown in the other pane too.
    return this.stage.view.mode === "side" && this.over ? [this.over] : []
  }

  cancel() {
    this.pen.cancel()
    this.drag = null
    this.endProbe()
  }

  wheel(event) {
    event.preventDefault()
    const lines = event.deltaMode === 1 ? 16 : 1 // some browsers count in lines
    const by = Math.max(-240, Math.min(240, event.deltaY * lines))
    this.stage.zoomBy(Math.exp(-by / (event.ctrlKey ? 120 : 400)), event.offsetX, event.offsetY)
  }

  twice() {
    if (this.drawing && this.pen.busy) return this.finish()
    if (!this.drawing) this.stage.reset()
  }

  down(event) {
    const { stage } = this
    this.touching.set(event.pointerId, [event.offsetX, event.offsetY])
    stage.canvas.setPointerCapture(event.pointerId)
    this.endProbe()
    if (this.touching.size === 2) {
      this.pen.cancel()
      this.drag = null
      this.pinch = span([...this.touching.values()])
      return
    }
    const pans = !this.drawing || event.button === 1
    this.drag = { x: event.clientX, y: event.clientY, moved: false, pans, chip: pans ? null : this.chipAt(event) }
    const point = stage.fractions(event.offsetX, event.offsetY)
    if (!pans && !this.drag.chip && point) this.pen.down(this.tool, point)
  }

  chipAt({ offsetX, offsetY }) {
    return this.stage.chips.find(({ x, y, w, h }) => offsetX >= x && offsetX <= x + w && offsetY >= y && offsetY <= y + h)
  }

  move(event) {
    const { stage } = this
    if (this.touching.has(event.pointerId)) this.touching.set(event.pointerId, [event.offsetX, event.offsetY])
    if (this.touching.size === 2) return this.pinching()
    const point = stage.fractions(event.offsetX, event.offsetY)
    if (stage.view.mode === "side" && point) {
      this.over = point
      stage.draw()
    }
    if (this.drawing && this.pen.busy && point && !this.drag?.pans) {
      this.pen.move(this.tool, point)
      stage.draw()
    }
    if (!this.drag) return void stage.hover(event.offsetX, event.offsetY)
    const dx = event.clientX - this.drag.x
    const dy = event.clientY - this.drag.y
    if (!this.drag.moved && Math.hypot(dx, dy) < STILL) return
    stage.tip.hide()
    this.drag.moved = true
    if (!this.drag.pans) return
    Object.assign(this.drag, { x: event.clientX, y: event.clientY })
    stage.panBy(dx, dy)
  }

  pinching() {
    const now = span([...this.touching.values()])
    const { stage, pinch } = this
    stage.panBy(now.x - pinch.x, now.y - pinch.y)
    stage.zoomBy(now.wide / Math.max(pinch.wide, 1), now.x, now.y)
    this.pinch = now
  }

  up(event) {
    const { stage, drag } = this
    this.touching.delete(event.pointerId)
    this.drag = null
    if (!drag) return
    const point = stage.fractions(event.offsetX, event.offsetY)
    if (!point) return
    if (drag.pans) {
      if (!drag.moved) stage.pick(point)
    } else if (drag.chip) {
      if (!drag.moved) stage.act.erase?.(drag.chip.id)
    } else {
      this.given(this.pen.up(this.tool, point, drag.moved))
    }
  }

  lost(event) {
    this.touching.delete(event.pointerId)
    this.drag = null
    this.pen.cancel()
    this.stage.draw()
  }

  finish() {
    if (this.tool === "lasso" && this.pen.points.length < 3) return
    this.given(this.pen.finish(this.tool))
  }

  given(shape) {
    if (shape) this.stage.drew(shape)
    else this.stage.draw()
  }

  // ---- keys, while the picture has the focus; what is not ours goes on to the desk

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    if (!this.does(event)) return
    event.preventDefault()
    event.stopPropagation()
  }

  does({ key, shiftKey }) {
    const arrow = ARROWS[key]
    if (arrow && this.cursor) return this.steer(arrow, shiftKey ? FINE_STEP : STEP)
    if (arrow && shiftKey) return this.stage.panBy(-NUDGE * arrow[0], -NUDGE * arrow[1]), true
    if (arrow && this.drawing) return this.startProbe(), true
    if (key === "Escape") return this.escape()
    if (key === "Enter" || key === " ") return this.enter(key)
    return false
  }

  steer([dx, dy], step) {
    const zoomed = step / this.stage.lens.zoom
    const at = (value) => Math.min(Math.max(value, 0), 1)
    this.cursor = [at(this.cursor[0] + dx * zoomed), at(this.cursor[1] + dy * zoomed)]
    if (this.drawing && this.pen.busy) this.pen.move(this.tool, this.cursor)
    this.stage.probe(this.cursor)
    return true
  }

  startProbe() {
    const { stage } = this
    if (!stage.ready) return
    const panes = stage.panes()
    const pane = panes.at(-1)
    const [fx, fy] = stage.fractions(pane.x + pane.w / 2, pane.y + pane.h / 2)
    this.cursor = [Math.min(Math.max(fx, 0), 1), Math.min(Math.max(fy, 0), 1)]
    stage.probe(this.cursor)
  }

  endProbe() {
    if (!this.cursor) return
    this.cursor = null
    this.stage.tip.hide()
    this.stage.draw()
  }

  enter(key) {
    if (!this.cursor) return this.startProbe(), true
    if (!this.drawing) return this.stage.pick(this.cursor), true
    if (this.tool === "lasso" && key === "Enter" && this.pen.points.length > 2) return this.finish(), true
    this.given(this.pen.place(this.tool, this.cursor))
    return true
  }

  escape() {
    if (this.pen.busy) return this.pen.cancel(), this.stage.draw(), true
    if (this.cursor) return this.endProbe(), true
    return false
  }
}

// The middle of two fingers and how far they are apart.
function span([[ax, ay], [bx, by]]) {
  return { x: (ax + bx) / 2, y: (ay + by) / 2, wide: Math.hypot(ax - bx, ay - by) }
}
