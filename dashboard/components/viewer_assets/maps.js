// From small activation grids to one raster and to outlines. Pure functions, no DOM.

export const FINE = 144 // side of the upsampled field: fine enough for outlines, cheap to blend

// Bilinear interpolation between cell centres, clamped at the border; values in [0, 1].
export function upsample(map, rows, cols, size = FINE) {
  const out = new Float32Array(size * size)
  const left = new Int32Array(size)
  const right = new Int32Array(size)
  const share = new Float32Array(size)
  for (let x = 0; x < size; x++) {
    const u = Math.min(Math.max(((x + 0.5) * cols) / size - 0.5, 0), cols - 1)
    left[x] = Math.floor(u)
    right[x] = Math.min(left[x] + 1, cols - 1)
    share[x] = u - left[x]
  }
  for (let y = 0; y < size; y++) {
    const v = Math.min(Math.max(((y + 0.5) * rows) / size - 0.5, 0), rows - 1)
    const r0 = Math.floor(v)
    const upper = r0 * cols
    const lower = Math.min(r0 + 1, rows - 1) * cols
    const down = v - r0
    for (let x = 0; x < size; x++) {
      const s = share[x]
      const top = map[upper + left[x]] * (1 - s) + map[upper + right[x]] * s
      const low = map[lower + left[x]] * (1 - s) + map[lower + right[x]] * s
      out[y * size + x] = (top * (1 - down) + low * down) / 255
    }
  }
  return out
}

// All chosen maps in one RGBA raster: colours mix by strength, coverage is 1 - prod(1 - a).
// Each layer brings its own threshold and opacity.
export function blend(layers, pixels) {
  const count = pixels.length / 4
  const clear = new Float32Array(count).fill(1)
  const sums = new Float32Array(4 * count) // red, green, blue, weight
  for (const { field, rgb, threshold, opacity } of layers) {
    const [r, g, b] = rgb
    for (let i = 0; i < count; i++) {
      const value = field[i]
      if (value < threshold) continue
      const a = opacity * (0.35 + 0.65 * value)
      const at = 4 * i
      sums[at] += a * r
      sums[at + 1] += a * g
      sums[at + 2] += a * b
      sums[at + 3] += a
      clear[i] *= 1 - a
    }
  }
  for (let i = 0; i < count; i++) {
    const at = 4 * i
    const weight = sums[at + 3]
    if (!weight) continue
    pixels[at] = sums[at] / weight
    pixels[at + 1] = sums[at + 1] / weight
    pixels[at + 2] = sums[at + 2] / weight
    pixels[at + 3] = 255 * (1 - clear[i])
  }
}

// The reverse: everything outside the union of the chosen maps goes dark.
export function spotlight(layers, pixels, opacity) {
  const count = pixels.length / 4
  const lit = new Float32Array(count)
  for (const { field, threshold } of layers) {
    for (let i = 0; i < count; i++) {
      // A soft edge of a tenth of the range, so that the border does not look like a feature.
      const here = (field[i] - threshold) * 10 + 0.5
      if (here > lit[i]) lit[i] = here
    }
  }
  const dark = 255 * Math.min(0.95, opacity + 0.25)
  for (let i = 0; i < count; i++) pixels[4 * i + 3] = dark * (1 - Math.min(lit[i], 1))
}

// Segments per marching-squares case (tl=8, tr=4, br=2, bl=1), inside on the right hand.
const T = 0, R = 1, B = 2, L = 3
const CASES = [
  [], [L, B], [B, R], [L, R], [R, T], [L, B, R, T], [B, T], [L, T],
  [T, L], [T, B], [T, L, B, R], [T, R], [R, L], [R, B], [B, L], [],
]

// Closed rings around the places where field >= level, in fractions of the side, as [x, y].
export function contours(field, level, size = FINE) {
  const wide = size + 2 // a border of nothing closes the rings at the edge
  const inside = new Uint8Array(wide * wide)
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      if (field[y * size + x] >= level) inside[(y + 1) * wide + x + 1] = 1
    }
  }
  const next = new Map()
  for (let y = 0; y < wide - 1; y++) {
    for (let x = 0; x < wide - 1; x++) {
      const at = y * wide + x
      const code = inside[at] * 8 + inside[at + 1] * 4 + inside[at + wide + 1] * 2 + inside[at + wide]
      if (code === 0 || code === 15) continue
      const sides = CASES[code]
      for (let s = 0; s < sides.length; s += 2) {
        const from = crossing(field, level, size, x, y, sides[s])
        next.set(from.id, { from, to: crossing(field, level, size, x, y, sides[s + 1]).id })
      }
    }
  }
  return rings(next, size)
}

// Where the outline crosses one side of a cell, and a name for that side.
function crossing(field, level, size, x, y, side) {
  const wide = size + 2
  const at = (cx, cy) =>
    cx < 1 || cy < 1 || cx > size || cy > size ? -1 : field[(cy - 1) * size + (cx - 1)]
  const cut = (a, b) => (a === b ? 0.5 : Math.min(Math.max((level - a) / (b - a), 0), 1))
  if (side === T || side === B) {
    const row = side === T ? y : y + 1
    return { id: (row * wide + x) * 2, x: x + cut(at(x, row), at(x + 1, row)), y: row }
  }
  const column = side === L ? x : x + 1
  return { id: (y * wide + column) * 2 + 1, x: column, y: y + cut(at(column, y), at(column, y + 1)) }
}

function rings(next, size) {
  const out = []
  const scaled = (value) => Math.min(Math.max((value - 0.5) / size, 0), 1)
  while (next.size) {
    let [id] = next.keys()
    const ring = []
    while (next.has(id)) {
      const step = next.get(id)
      next.delete(id)
      ring.push([scaled(step.from.x), scaled(step.from.y)])
      id = step.to
    }
    if (ring.length > 5) out.push(ring)
  }
  return out
}

// Value of an upsampled field at a point in fractions of width and height.
export function sample(field, fx, fy, size = FINE) {
  const x = Math.min(Math.max(Math.floor(fx * size), 0), size - 1)
  const y = Math.min(Math.max(Math.floor(fy * size), 0), size - 1)
  return field[y * size + x]
}

export function peak(field, size = FINE) {
  let best = 0
  for (let i = 1; i < field.length; i++) if (field[i] > field[best]) best = i
  return [((best % size) + 0.5) / size, (Math.floor(best / size) + 0.5) / size]
}
