// From small activation grids to one raster and to outlines. Pure functions, no DOM.

export const FINE = 144 // side of the upsampled field: fine enough for outlines, cheap to blend

// Bilinear interpolation between cell centres, clamped at the border; values in [0, 1].
export function upsample(map, rows, cols, size = FINE) {
  const out = new Float32Array(size * size)
  for (let y = 0; y < size; y++) {
    const v = Math.min(Math.max(((y + 0.5) * rows) / size - 0.5, 0), rows - 1)
    const r0 = Math.floor(v)
    const r1 = Math.min(r0 + 1, rows - 1)
    for (let x = 0; x < size; x++) {
      const u = Math.min(Math.max(((x + 0.5) * cols) / size - 0.5, 0), cols - 1)
      const c0 = Math.floor(u)
      const c1 = Math.min(c0 + 1, cols - 1)
      const top = map[r0 * cols + c0] * (1 - u + c0) + map[r0 * cols + c1] * (u - c0)
      const low = map[r1 * cols + c0] * (1 - u + c0) + map[r1 * cols + c1] * (u - c0)
      out[y * size + x] = (top * (1 - v + r0) + low * (v - r0)) / 255
    }
  }
  return out
}

// All chosen maps in one RGBA raster: colours mix by strength, coverage is 1 - prod(1 - a).
export function blend(layers, pixels, threshold, opacity) {
  const count = pixels.length / 4
  for (let i = 0; i < count; i++) {
    let r = 0, g = 0, b = 0, sum = 0, clear = 1
    for (const { field, rgb } of layers) {
      const value = field[i]
      if (value < threshold) continue
      const a = opacity * (0.35 + 0.65 * value)
      r += a * rgb[0]
      g += a * rgb[1]
      b += a * rgb[2]
      sum += a
      clear *= 1 - a
    }
    const at = 4 * i
    pixels[at] = sum ? r / sum : 0
    pixels[at + 1] = sum ? g / sum : 0
    pixels[at + 2] = sum ? b / sum : 0
    pixels[at + 3] = 255 * (1 - clear)
  }
}

// The reverse: everything outside the union of the chosen maps goes dark.
export function spotlight(layers, pixels, threshold, opacity) {
  const count = pixels.length / 4
  for (let i = 0; i < count; i++) {
    let most = 0
    for (const { field } of layers) most = Math.max(most, field[i])
    // A soft edge of a tenth of the range, so that the border does not look like a feature.
    const lit = Math.min(Math.max((most - threshold) / 0.1 + 0.5, 0), 1)
    pixels[4 * i] = pixels[4 * i + 1] = pixels[4 * i + 2] = 0
    pixels[4 * i + 3] = 255 * Math.min(0.95, opacity + 0.25) * (1 - lit)
  }
}

// Segments per marching-squares case (tl=8, tr=4, br=2, bl=1), inside on the right hand.
const T = 0, R = 1, B = 2, L = 3
const CASES = [
  [], [L, B], [B, R], [L, R], [R, T], [L, B, R, T], [B, T], [L, T],
  [T, L], [T, B], [T, L, B, R], [T, R], [R, L], [R, B], [B, L], [],
]

// Closed rings around the places where field >= level, in fractions of the side, as [x, y].
export function contours(field, level, size = FINE) {
  const wide = size + 2
  const at = (x, y) =>
    x < 1 || y < 1 || x > size || y > size ? -1 : field[(y - 1) * size + (x - 1)]
  const cut = (a, b) => (a === b ? 0.5 : Math.min(Math.max((level - a) / (b - a), 0), 1))
  const next = new Map()
  const edge = (x, y, side) => {
    if (side === T) return { id: (y * wide + x) * 2, x: x + cut(at(x, y), at(x + 1, y)), y }
    if (side === B) {
      return { id: ((y + 1) * wide + x) * 2, x: x + cut(at(x, y + 1), at(x + 1, y + 1)), y: y + 1 }
    }
    if (side === L) return { id: (y * wide + x) * 2 + 1, x, y: y + cut(at(x, y), at(x, y + 1)) }
    return { id: (y * wide + x + 1) * 2 + 1, x: x + 1, y: y + cut(at(x + 1, y), at(x + 1, y + 1)) }
  }
  for (let y = 0; y < wide - 1; y++) {
    for (let x = 0; x < wide - 1; x++) {
      const sides = CASES[
        (at(x, y) >= level ? 8 : 0) + (at(x + 1, y) >= level ? 4 : 0) +
        (at(x + 1, y + 1) >= level ? 2 : 0) + (at(x, y + 1) >= level ? 1 : 0)
      ]
      for (let s = 0; s < sides.length; s += 2) {
        const from = edge(x, y, sides[s])
        next.set(from.id, { from, to: edge(x, y, sides[s + 1]).id })
      }
    }
  }
  return rings(next, size)
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
