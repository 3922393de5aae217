// Further pictures to lay over the image: the ground-truth mask, other attribution methods.
// Each is a grey PNG that is fetched when it is first wanted and kept while its case stands.

import { FINE, contours, upsample } from "./maps.js"
import { fetched, troubleOf } from "./pictures.js"

const MASK_SIDE = 288 // finer than a map: a mask has sharp corners
// Cividis: even in lightness and the same to the colour-blind.
const SCALE = [[0, 32, 77], [65, 77, 107], [124, 123, 120], [188, 175, 111], [255, 234, 70]]

export class Layers {
  constructor(changed) {
    this.changed = changed
    this.caseId = null
    this.known = new Map() // key -> {state, about, field, raster, path, message}
  }

  load(model) {
    if (this.caseId !== model.id) this.forget()
    this.caseId = model.id
    this.offered = model.layers ?? []
  }

  // What was asked for and is no longer wanted is not waited for.
  forget() {
    this.stop?.abort()
    this.stop = new AbortController()
    this.known.clear()
  }

  info(key) {
    return this.offered?.find((layer) => layer.key === key) ?? null
  }

  // What is known of a layer; starts fetching it when it is asked for the first time.
  get(key) {
    const info = this.info(key)
    if (!info) return null
    if (!this.known.has(key)) this.fetch(info)
    return this.known.get(key)
  }

  again(key) {
    this.known.delete(key)
    return this.get(key)
  }

  async fetch(info) {
    const found = { info, state: "loading", message: "" }
    this.known.set(info.key, found)
    try {
      const bitmap = await createImageBitmap(await fetched(info.url, this.stop.signal))
      Object.assign(found, info.kind === "mask" ? maskOf(bitmap) : heatOf(bitmap), { state: "ready" })
      bitmap.close()
    } catch (error) {
      Object.assign(found, { state: "failed", message: troubleOf(error) })
    }
    if (this.known.get(info.key) === found) this.changed()
  }
}

function heatOf(bitmap) {
  const field = upsample(greys(bitmap, bitmap.width, bitmap.height), bitmap.height, bitmap.width)
  const raster = tinted(field, FINE, (value, pixels, at) => {
    const [r, g, b] = heat(value)
    pixels[at] = r
    pixels[at + 1] = g
    pixels[at + 2] = b
    pixels[at + 3] = 255 * value // what is weak hides nothing of the image
  })
  return { field, size: FINE, raster, path: null }
}

function maskOf(bitmap) {
  const grey = greys(bitmap, MASK_SIDE, MASK_SIDE)
  const field = Float32Array.from(grey, (value) => value / 255)
  const raster = tinted(field, MASK_SIDE, (value, pixels, at) => {
    pixels[at] = pixels[at + 1] = pixels[at + 2] = 255
    pixels[at + 3] = value >= 0.5 ? 90 : 0
  })
  return { field, size: MASK_SIDE, raster, path: pathOf(contours(field, 0.5, MASK_SIDE)) }
}

// One number in [0, 1] as a colour of the scale.
export function heat(value) {
  const at = Math.min(Math.max(value, 0), 1) * (SCALE.length - 1)
  const low = Math.min(Math.floor(at), SCALE.length - 2)
  return SCALE[low].map((v, i) => Math.round(v + (SCALE[low + 1][i] - v) * (at - low)))
}

export function gradient() {
  return `linear-gradient(to right, ${SCALE.map((rgb) => `rgb(${rgb.join(",")})`).join(", ")})`
}

// Rings in fractions as one path of the unit square.
export function pathOf(rings) {
  const path = new Path2D()
  for (const ring of rings) {
    ring.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)))
    path.closePath()
  }
  return path
}

function greys(bitmap, width, height) {
  const canvas = document.createElement("canvas")
  canvas.width = width
  canvas.height = height
  const context = canvas.getContext("2d", { willReadFrequently: true })
  context.drawImage(bitmap, 0, 0, width, height)
  const { data } = context.getImageData(0, 0, width, height)
  return Uint8Array.from({ length: width * height }, (_, i) => data[4 * i])
}

function tinted(field, size, colour) {
  const canvas = document.createElement("canvas")
  canvas.width = canvas.height = size
  const context = canvas.getContext("2d")
  const image = context.createImageData(size, size)
  for (let i = 0; i < field.length; i++) colour(field[i], image.data, 4 * i)
  context.putImageData(image, 0, 0)
  return canvas
}
