// Where pictures lie on the canvas: one pane, or two side by side that move together. Pure.

const GAP = 6 // CSS pixels between two panes
export const CLOSEST = 8 // screen pixels per picture pixel, at least reachable

// The panes of a canvas of w x h: `cues` says whether the cues are drawn in it.
export function panesOf(mode, w, h) {
  if (mode !== "side") return [{ x: 0, y: 0, w, h, cues: true, other: true }]
  if (w >= h) {
    const half = (w - GAP) / 2
    return [
      { x: 0, y: 0, w: half, h, cues: false, other: true },
      { x: half + GAP, y: 0, w: half, h, cues: true, other: false },
    ]
  }
  const half = (h - GAP) / 2
  return [
    { x: 0, y: 0, w, h: half, cues: false, other: true },
    { x: 0, y: half + GAP, w, h: half, cues: true, other: false },
  ]
}

export function paneAt(panes, px, py) {
  return panes.find(({ x, y, w, h }) => px >= x && py >= y && px <= x + w && py <= y + h) ?? null
}

// Zoom 1 shows the whole picture; dx and dy move it from the middle of its pane, in CSS pixels.
export class Lens {
  constructor() {
    this.home()
  }

  home() {
    this.zoom = 1
    this.dx = this.dy = 0
  }

  fit(pane, picture) {
    return Math.min(pane.w / picture.width, pane.h / picture.height)
  }

  most(pane, picture) {
    return Math.max(CLOSEST, CLOSEST / this.fit(pane, picture))
  }

  box(pane, picture) {
    const scale = this.fit(pane, picture) * this.zoom
    const width = picture.width * scale
    const height = picture.height * scale
    return { x: pane.x + (pane.w - width) / 2 + this.dx, y: pane.y + (pane.h - height) / 2 + this.dy, width, height, scale }
  }

  // Multiply the zoom; the place under (px, py) of the pane stays where it is.
  by(factor, pane, picture, px = pane.x + pane.w / 2, py = pane.y + pane.h / 2) {
    const next = Math.min(Math.max(this.zoom * factor, 1), this.most(pane, picture))
    const real = next / this.zoom
    const cx = px - pane.x - pane.w / 2
    const cy = py - pane.y - pane.h / 2
    this.zoom = next
    this.dx = cx - (cx - this.dx) * real
    this.dy = cy - (cy - this.dy) * real
    this.hold(pane, picture)
  }

  move(dx, dy, pane, picture) {
    this.dx += dx
    this.dy += dy
    this.hold(pane, picture)
  }

  // A picture that is larger than its pane covers it; a smaller one stays in the middle.
  hold(pane, picture) {
    const scale = this.fit(pane, picture) * this.zoom
    const over = (side, room) => Math.max(0, (side * scale - room) / 2)
    const x = over(picture.width, pane.w)
    const y = over(picture.height, pane.h)
    this.dx = Math.min(Math.max(this.dx, -x), x)
    this.dy = Math.min(Math.max(this.dy, -y), y)
  }
}
