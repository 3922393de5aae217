// Saying "here": a box or a lasso, by dragging, by clicking from point to point, or by keys.
// Points are fractions of the image. No DOM.

const TOO_SMALL = 0.004 // of a side
const CLOSE_BY = 0.02 // a click this near to the first point closes a lasso
const APART = 0.003 // between two points of a freehand line
const MOST_POINTS = 200

export const TOOLS = ["pan", "box", "lasso"]

export class Pen {
  constructor() {
    this.cancel()
  }

  get busy() {
    return this.points.length > 0
  }

  cancel() {
    this.points = []
    this.tip = null // where the pointer is, for the piece not yet fixed
    this.dragging = false
  }

  // Each of these gives the finished shape, or null while it goes on.
  down(tool, point) {
    if (!this.busy) {
      this.points = [clampedPoint(point)]
      this.first = true
    }
    this.tip = clampedPoint(point)
    this.dragging = true
    return null
  }

  move(tool, point) {
    this.tip = clampedPoint(point)
    if (this.dragging && tool === "lasso" && far(this.points.at(-1), this.tip, APART)) this.points.push(this.tip)
    return null
  }

  up(tool, point, dragged) {
    this.dragging = false
    this.tip = clampedPoint(point)
    if (dragged && (tool === "box" || this.points.length > 2)) return this.finish(tool)
    if (this.first) {
      this.first = false
      return null // a click sets the first point and waits for the next
    }
    return this.place(tool, point)
  }

  // A point set by a click or by a key.
  place(tool, point) {
    const at = clampedPoint(point)
    this.tip = at
    if (!this.busy) {
      this.points = [at]
      this.first = false
      return null
    }
    if (tool === "box") return this.finish(tool)
    if (this.points.length > 2 && !far(this.points[0], at, CLOSE_BY)) return this.finish(tool)
    if (far(this.points.at(-1), at, APART)) this.points.push(at)
    return null
  }

  finish(tool) {
    const shape = tool === "box" ? boxOf(this.points[0], this.tip) : lassoOf(this.points)
    this.cancel()
    return shape
  }

  // What is to be shown meanwhile.
  preview(tool) {
    if (!this.busy) return null
    const points = this.tip ? [...this.points, this.tip] : this.points
    return tool === "box" ? { shape: "box", points: [points[0], points.at(-1)] } : { shape: "lasso", points, open: true }
  }
}

function clampedPoint([x, y]) {
  return [Math.min(Math.max(x, 0), 1), Math.min(Math.max(y, 0), 1)]
}

function far(a, b, least) {
  return Math.hypot(a[0] - b[0], a[1] - b[1]) > least
}

function boxOf(a, b) {
  const low = [Math.min(a[0], b[0]), Math.min(a[1], b[1])]
  const high = [Math.max(a[0], b[0]), Math.max(a[1], b[1])]
  if (high[0] - low[0] < TOO_SMALL || high[1] - low[1] < TOO_SMALL) return { small: true }
  return { shape: "box", points: [low.map(toFraction), high.map(toFraction)] }
}

function lassoOf(points) {
  let slack = 0.0015
  let kept = simplified(points, slack)
  while (kept.length > MOST_POINTS) kept = simplified(points, (slack *= 1.5))
  if (kept.length < 3 || Math.abs(area(kept)) < TOO_SMALL * TOO_SMALL) return { small: true }
  return { shape: "lasso", points: kept.map((point) => point.map(toFraction)) }
}

function toFraction(value) {
  return Math.round(value * 1e5) / 1e5
}

export function area(points) {
  return points.reduce((sum, [x, y], i) => {
    const [nx, ny] = points[(i + 1) % points.length]
    return sum + x * ny - nx * y
  }, 0) / 2
}

// Douglas and Peucker: leave out points that lie within `slack` of the line without them.
export function simplified(points, slack) {
  const keep = new Uint8Array(points.length)
  keep[0] = keep[points.length - 1] = 1
  const spans = [[0, points.length - 1]]
  while (spans.length) {
    const [from, to] = spans.pop()
    let worst = slack, at = -1
    for (let i = from + 1; i < to; i++) {
      const off = offLine(points[i], points[from], points[to])
      if (off > worst) [worst, at] = [off, i]
    }
    if (at < 0) continue
    keep[at] = 1
    spans.push([from, at], [at, to])
  }
  return points.filter((_, i) => keep[i])
}

function offLine([x, y], [ax, ay], [bx, by]) {
  const length = Math.hypot(bx - ax, by - ay)
  if (length === 0) return Math.hypot(x - ax, y - ay)
  return Math.abs((bx - ax) * (ay - y) - (ax - x) * (by - ay)) / length
}

// Whether a place lies in a drawing.
export function holds({ shape, points }, fx, fy) {
  if (shape === "box") {
    const [[x0, y0], [x1, y1]] = points
    return fx >= Math.min(x0, x1) && fx <= Math.max(x0, x1) && fy >= Math.min(y0, y1) && fy <= Math.max(y0, y1)
  }
  let within = false
  for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
    const [xi, yi] = points[i]
    const [xj, yj] = points[j]
    if (yi > fy !== yj > fy && fx < ((xj - xi) * (fy - yi)) / (yj - yi) + xi) within = !within
  }
  return within
}
