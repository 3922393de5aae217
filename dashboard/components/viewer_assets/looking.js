// What is being looked at: which cue is selected, which are on the picture and how they are drawn.
// No round trip. What the reviewer likes is kept from case to case.

import { plainView } from "./stage.js"
import { MODES } from "./controls.js"
import { TOOLS } from "./draw.js"

const VIEW = "insight.view"
const WAYS_OF_DRAWING = MODES.map(([mode]) => mode)
const STRONGEST = 3

export class Looking {
  constructor() {
    this.view = plainView()
    this.guest = null // a cue that is on the picture only because it is selected
    this.recall()
  }

  // A new case: its strongest cues, and the one to judge first.
  begin(cues, first) {
    const { view } = this
    Object.assign(view, { selected: null, solo: false, bare: false, tool: "pan" })
    view.on = new Set(cues.slice(0, STRONGEST).map((cue) => cue.id))
    view.perCue.clear()
    this.guest = null
    if (first) this.select(first.id)
  }

  // A selected cue shows; one that shows for that alone goes again with the selection.
  select(id) {
    const { view } = this
    if (this.guest && this.guest !== id) view.on.delete(this.guest)
    if (this.guest !== id) this.guest = view.on.has(id) || view.solo ? null : id
    if (this.guest) view.on.add(id)
    view.selected = id
  }

  // A branch of the hierarchy: all its cues, and only they.
  gather(ids) {
    this.guest = null
    if (ids.length > 1) this.view.on = new Set(ids)
    this.view.solo = this.view.bare = false
    this.select(ids[0])
  }

  toggle(id) {
    if (!this.view.on.delete(id)) this.view.on.add(id)
    if (this.guest === id) this.guest = null
    this.view.solo = false
  }

  solo(id) {
    this.view.selected = id
    this.view.solo = !this.view.solo
    this.view.bare = false
  }

  all(cues) {
    const every = cues.map((cue) => cue.id)
    const full = every.every((id) => this.view.on.has(id))
    this.view.on = new Set(full ? every.slice(0, STRONGEST) : every)
    this.guest = null
    this.view.solo = this.view.bare = false
  }

  nextOverlay() {
    this.view.mode = after(WAYS_OF_DRAWING, this.view.mode)
  }

  nextTool() {
    this.view.tool = after(TOOLS, this.view.tool)
  }

  recall() {
    try {
      const { mode, opacity, threshold } = JSON.parse(localStorage.getItem(VIEW) ?? "{}")
      if (WAYS_OF_DRAWING.includes(mode)) this.view.mode = mode
      if (opacity >= 0.05 && opacity <= 0.95) this.view.opacity = opacity
      if (threshold >= 0.05 && threshold <= 0.95) this.view.threshold = threshold
    } catch {
      // Storage is blocked or damaged: the defaults hold.
    }
  }

  remember() {
    const { mode, opacity, threshold } = this.view
    try {
      localStorage.setItem(VIEW, JSON.stringify({ mode, opacity, threshold }))
    } catch {
      // Storage is blocked: the choice lasts for this page only.
    }
  }
}

const after = (among, now) => among[(among.indexOf(now) + 1) % among.length]
