// Drawing on the canvas: picture, rasters, outlines, letters, drawings, overview. Nothing here
// keeps state; `at` is where the picture lies: {x, y, width, height} in CSS pixels.

const CASING = "rgba(0, 0, 0, 0.6)"
const CHIP = "rgba(12, 16, 20, 0.86)"
const OVERVIEW = 110 // CSS pixels of the overview's longer side
export const FONT = "system-ui, sans-serif"
export const DRAWN = { missed: "missed sign", "wrong-part": "wrong part", here: "here", spurious: "must not count" }
const DRAWN_DASH = { missed: [], "wrong-part": [8, 4], here: [2, 4], spurious: [10, 3, 2, 3] }
const HATCHED = { "wrong-part": false, spurious: true } // kind -> whether its lines are crossed

// The part of the picture that shows, from the smallest bitmap that is fine enough.
export function drawPicture(context, entry, at, pane, ratio, moving) {
  const wanted = at.width * ratio
  const bitmap = entry.full && (!entry.small || wanted > entry.small.width) ? entry.full : entry.small ?? entry.full
  const left = Math.max(0, (pane.x - at.x) / at.width)
  const top = Math.max(0, (pane.y - at.y) / at.height)
  const right = Math.min(1, (pane.x + pane.w - at.x) / at.width)
  const low = Math.min(1, (pane.y + pane.h - at.y) / at.height)
  if (right <= left || low <= top) return
  context.imageSmoothingEnabled = at.scale * ratio < 4 // closer than that one wants to see pixels
  context.imageSmoothingQuality = moving ? "low" : "high"
  context.drawImage(bitmap, left * bitmap.width, top * bitmap.height, (right - left) * bitmap.width, (low - top) * bitmap.height,
    at.x + left * at.width, at.y + top * at.height, (right - left) * at.width, (low - top) * at.height)
  context.imageSmoothingEnabled = true
  context.imageSmoothingQuality = "low"
}

// A raster that covers the whole picture.
export function drawRaster(context, raster, at, opacity = 1) {
  context.globalAlpha = opacity
  context.imageSmoothingEnabled = true
  context.drawImage(raster, at.x, at.y, at.width, at.height)
  context.globalAlpha = 1
}

// A path of the unit square, laid where the picture is; lines keep their width.
export function laid(path, at) {
  const placed = new Path2D()
  placed.addPath(path, new DOMMatrix([at.width, 0, 0, at.height, at.x, at.y]))
  return placed
}

export function drawOutline(context, layer, at, chosen, moving) {
  const trace = laid(layer.path, at)
  context.lineJoin = "round"
  if (!moving || chosen) {
    context.setLineDash([])
    context.strokeStyle = CASING
    context.lineWidth = chosen ? 5.5 : 4
    context.stroke(trace)
  }
  context.setLineDash(layer.dash)
  context.strokeStyle = layer.hex
  context.lineWidth = chosen ? 3 : 2.4
  context.stroke(trace)
  context.setLineDash([])
}

// Each cue's letter at its strongest place, or on its outline where that place is out of sight;
// moved aside where another letter lies already.
export function drawLetters(context, layers, at, pane, selected) {
  const taken = []
  for (const layer of layers) {
    if (!layer.any) continue
    const chosen = layer.cue.id === selected
    const radius = chosen ? 11 : 9
    const spot = freeSpot(layer, at, pane, radius, taken)
    if (!spot) continue
    taken.push(spot)
    drawLetter(context, layer, spot, radius, chosen)
  }
}

function inSight([fx, fy], at, pane) {
  const x = at.x + fx * at.width
  const y = at.y + fy * at.height
  return x >= pane.x && y >= pane.y && x <= pane.x + pane.w && y <= pane.y + pane.h
}

function freeSpot(layer, at, pane, radius, taken) {
  const within = (value, low, high) => Math.min(Math.max(value, low + radius + 2), high - radius - 2)
  const home = inSight(layer.top, at, pane) ? layer.top : layer.rings.flat().find((point) => inSight(point, at, pane))
  if (!home) return null
  const px = at.x + home[0] * at.width
  const py = at.y + home[1] * at.height
  for (let ring = 0; ring < 4; ring++) {
    for (let turn = 0; turn < (ring ? 6 * ring : 1); turn++) {
      const angle = (2 * Math.PI * turn) / Math.max(1, 6 * ring)
      const x = within(px + ring * 21 * Math.cos(angle), pane.x, pane.x + pane.w)
      const y = within(py + ring * 21 * Math.sin(angle), pane.y, pane.y + pane.h)
      if (taken.every((other) => Math.hypot(other.x - x, other.y - y) > 19)) return { x, y }
    }
  }
  return { x: px, y: py }
}

function drawLetter(context, layer, { x, y }, radius, chosen) {
  context.beginPath()
  context.arc(x, y, radius, 0, 2 * Math.PI)
  context.fillStyle = layer.hex
  context.fill()
  context.lineWidth = chosen ? 2.5 : 1.5
  context.strokeStyle = chosen ? "#ffffff" : "rgba(0, 0, 0, 0.7)"
  context.stroke()
  context.fillStyle = layer.ink
  context.font = `700 ${chosen ? 13 : 11}px ${FONT}`
  context.textAlign = "center"
  context.textBaseline = "middle"
  context.fillText(layer.cue.letter, x, y + 0.5)
}

export function drawLayer(context, found, at, opacity) {
  drawRaster(context, found.raster, at, opacity)
  if (!found.path) return
  const trace = laid(found.path, at)
  for (const [style, width, dash] of [["#000000", 4, []], ["#ffffff", 2, []], ["#000000", 2, [6, 6]]]) {
    context.strokeStyle = style
    context.lineWidth = width
    context.setLineDash(dash)
    context.stroke(trace)
  }
  context.setLineDash([])
}

// What a person drew: white on black, told apart by line and by a word; returns the word's place.
export function drawShape(context, drawing, at, pane, { pending = false, erasable = false } = {}) {
  const trace = laid(shapePath(drawing), at)
  context.lineJoin = "round"
  if (drawing.kind in HATCHED) {
    context.fillStyle = hatching(context, HATCHED[drawing.kind])
    context.fill(trace)
  }
  const dash = pending ? [5, 5] : DRAWN_DASH[drawing.kind] ?? []
  for (const [style, width, pattern] of [["#000000", 5, []], ["#ffffff", 2.5, dash]]) {
    context.strokeStyle = style
    context.lineWidth = width
    context.setLineDash(pattern)
    context.stroke(trace)
  }
  context.setLineDash([])
  const word = DRAWN[drawing.kind]
  if (!word) return null
  const xs = drawing.points.map(([x]) => x)
  const ys = drawing.points.map(([, y]) => y)
  const text = `${drawing.letter ? `${drawing.letter}: ` : ""}${word}${erasable ? "  \u2715" : ""}`
  return chip(context, text, at.x + Math.min(...xs) * at.width, at.y + Math.min(...ys) * at.height - 24, pane)
}

function shapePath({ shape, points, open }) {
  const path = new Path2D()
  if (shape === "box") {
    const [[x0, y0], [x1, y1]] = points
    path.rect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0))
    return path
  }
  points.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)))
  if (!open) path.closePath()
  return path
}

const hatches = new Map()

// White lines on black ones, rising to the right; `crossed` has falling ones too.
function hatching(context, crossed) {
  if (hatches.has(crossed)) return hatches.get(crossed)
  const tile = document.createElement("canvas")
  const side = crossed ? 14 : 10 // crossed lines stand wider apart, so that one sees what lies below
  tile.width = tile.height = side
  const small = tile.getContext("2d")
  for (const [style, width] of [["rgba(0, 0, 0, 0.7)", 3], ["rgba(255, 255, 255, 0.9)", 1.3]]) {
    small.strokeStyle = style
    small.lineWidth = width
    small.beginPath()
    for (const at of [-side, 0, side]) {
      small.moveTo(at - 1, side + 1)
      small.lineTo(at + side + 1, -1)
      if (!crossed) continue
      small.moveTo(at - 1, -1)
      small.lineTo(at + side + 1, side + 1)
    }
    small.stroke()
  }
  hatches.set(crossed, context.createPattern(tile, "repeat"))
  return hatches.get(crossed)
}

// Words on a dark ground, kept within the pane; returns where they lie.
export function chip(context, text, x, y, pane) {
  context.font = `600 12px ${FONT}`
  const width = context.measureText(text).width + 14
  const left = Math.min(Math.max(x, pane.x + 4), Math.max(pane.x + 4, pane.x + pane.w - width - 4))
  const top = Math.min(Math.max(y, pane.y + 4), pane.y + pane.h - 24)
  context.fillStyle = CHIP
  context.beginPath()
  context.roundRect(left, top, width, 20, 4)
  context.fill()
  context.fillStyle = "#ffffff"
  context.textAlign = "left"
  context.textBaseline = "middle"
  context.fillText(text, left + 7, top + 10.5)
  return { x: left, y: top, w: width, h: 20 }
}

export function drawCross(context, x, y) {
  for (const [style, width] of [["#000000", 4], ["#ffffff", 1.6]]) {
    context.strokeStyle = style
    context.lineWidth = width
    context.beginPath()
    for (const [dx, dy] of [[-14, 0], [14, 0], [0, -14], [0, 14]]) {
      context.moveTo(x + dx / 3.5, y + dy / 3.5)
      context.lineTo(x + dx, y + dy)
    }
    context.stroke()
  }
}

// The whole picture in a corner, with what one sees of it.
export function drawOverview(context, entry, at, pane) {
  const bitmap = entry.small ?? entry.full
  const scale = OVERVIEW / Math.max(entry.width, entry.height)
  const w = entry.width * scale
  const h = entry.height * scale
  const x = pane.x + 8
  const y = pane.y + pane.h - h - 8
  context.imageSmoothingQuality = "low"
  context.drawImage(bitmap, x, y, w, h)
  const seen = (low, high, from, side) => [Math.max(0, (low - from) / side), Math.min(1, (high - from) / side)]
  const [left, right] = seen(pane.x, pane.x + pane.w, at.x, at.width)
  const [top, low] = seen(pane.y, pane.y + pane.h, at.y, at.height)
  for (const [style, width] of [["#000000", 3], ["#ffffff", 1.4]]) {
    context.strokeStyle = style
    context.lineWidth = width
    context.strokeRect(x, y, w, h)
    context.strokeRect(x + left * w, y + top * h, (right - left) * w, (low - top) * h)
  }
}

