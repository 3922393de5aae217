// What is under the pointer: cues with activation and contribution, layers, drawings.

import { el, inFull, signed } from "./dom.js"
import { DRAWN } from "./paint.js"

const MOST = 6 // cues that are listed
const BESIDE = 16 // CSS pixels from the pointer

export class Tip {
  constructor() {
    this.root = el("div", { class: "tip", hidden: true, "aria-hidden": "true" })
  }

  hide() {
    this.root.hidden = true
  }

  // `found` is what Stage.at gives; the tip stands beside (px, py) of a stage of that size.
  show(found, px, py, width, height) {
    const { cues, layer, drawings, pixel, blind } = found
    const rows = [el("div", { class: "tip-head", text: `x ${pixel[0]}, y ${pixel[1]} pixels` })]
    if (cues.length) {
      rows.push(el("div", { class: blind ? "tip-line tip-units tip-blind" : "tip-line tip-units" }, el("span", { text: "activation" }),
        el("span", { text: "of its peak" }), blind ? "" : el("span", { text: "contribution here" })))
    }
    rows.push(...cues.slice(0, MOST).map((each) => cueLine(each, blind)))
    if (cues.length > MOST) rows.push(el("div", { class: "tip-head", text: `and ${cues.length - MOST} more` }))
    if (!cues.length) rows.push(el("div", { class: "tip-head", text: "No cue fires here" }))
    if (layer) rows.push(el("div", { class: "tip-line" }, el("b", { text: layer.name }), el("span", { text: layer.text })))
    for (const drawing of drawings) {
      const about = [DRAWN[drawing.kind], drawing.letter && `cue ${drawing.letter}`, drawing.note && `\u201c${drawing.note}\u201d`]
      rows.push(el("div", { class: "tip-line tip-drawn" }, el("b", { text: drawing.reviewer || "You" }),
        el("span", { text: about.filter(Boolean).join(", ") })))
    }
    this.root.replaceChildren(...rows)
    this.root.hidden = false
    this.place(px, py, width, height)
  }

  // Beside the pointer, towards the middle, and never beyond the picture.
  place(px, py, width, height) {
    const { offsetWidth: wide, offsetHeight: high, style } = this.root
    const left = px > width / 2 ? px - wide - BESIDE : px + BESIDE
    const top = py > height / 2 ? py - high - BESIDE : py + BESIDE
    style.left = `${Math.max(4, Math.min(left, width - wide - 4))}px`
    style.top = `${Math.max(4, Math.min(top, height - high - 4))}px`
  }
}

// While the prediction is hidden, figures that would give it away are not there to show.
function cueLine({ layer, value }, blind) {
  const { cue } = layer
  const mark = el("span", { class: "letter", text: cue.letter, style: { background: layer.hex, color: layer.ink } })
  return el("div", { class: blind ? "tip-line tip-cue tip-blind" : "tip-line tip-cue" }, mark, el("b", { text: inFull(cue) }),
    el("span", { text: (value * cue.activation).toFixed(2) }),
    el("span", { text: `${Math.round(100 * value)}\u202f%` }),
    blind ? "" : el("span", { text: `${signed(value * cue.contribution)} logit` }))
}

// The same in one sentence, for people who do not see the picture.
export function inWords({ cues, layer, drawings, pixel, blind }) {
  const parts = cues.slice(0, 3).map(({ layer: { cue }, value }) =>
    `${cue.letter}, ${inFull(cue)}: activation ${(value * cue.activation).toFixed(2)}`
      + (blind ? "" : `, contribution here ${signed(value * cue.contribution)} logit`))
  if (layer) parts.push(`${layer.name}: ${layer.text}`)
  parts.push(...drawings.map((each) => `drawn: ${DRAWN[each.kind]}`))
  return `x ${pixel[0]}, y ${pixel[1]} pixels. ${parts.length ? parts.join(". ") : "No cue fires here"}.`
}
