// One look per cue: an Okabe-Ito colour, a line pattern and a letter, so that no cue is known
// by its colour alone. Order chosen for contrast on skin and steel: cool hues first.

import { el, svg } from "./dom.js"

export const COLOURS = [
  { hex: "#56B4E9", ink: "#00131f" },
  { hex: "#E69F00", ink: "#1f1500" },
  { hex: "#009E73", ink: "#001a12" },
  { hex: "#F0E442", ink: "#1f1d00" },
  { hex: "#CC79A7", ink: "#210614" },
  { hex: "#0072B2", ink: "#ffffff" },
  { hex: "#D55E00", ink: "#180a00" },
]

export const DASHES = [[], [9, 4], [3, 3], [12, 4, 3, 4], [18, 5], [6, 2], [12, 3, 3, 3, 3, 3]]

export function look(index) {
  const colour = COLOURS[index % COLOURS.length]
  // The eighth cue has the first colour again, but the next pattern.
  const dash = DASHES[(index + Math.floor(index / COLOURS.length)) % DASHES.length]
  return { ...colour, dash, rgb: rgbOf(colour.hex) }
}

function rgbOf(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16))
}

export function badge(letter, index) {
  const style = look(index)
  const line = svg("line", { x1: 1, y1: 2, x2: 23, y2: 2, stroke: style.hex, "stroke-width": 3 })
  line.setAttribute("stroke-dasharray", style.dash.map((d) => d / 1.6).join(" "))
  const mark = el("span", { class: "letter", text: letter })
  mark.style.background = style.hex
  mark.style.color = style.ink
  const swatch = svg("svg", { width: 24, height: 4, "aria-hidden": "true" }, line)
  return el("span", { class: "badge" }, mark, swatch)
}
