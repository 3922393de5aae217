// The cue list: an ARIA grid, because every row holds buttons (a listbox option may not).

import { called, el, inFull, signed, setAll } from "./dom.js"
import { badge, look } from "./palette.js"

export const VERDICTS = [
  { value: "correct", key: "Y", mark: "\u2713", label: "Correct" },
  { value: "spurious", key: "X", mark: "\u2715", label: "Spurious" },
  { value: "unsure", key: "U", mark: "?", label: "Unsure" },
]

const HEADS = [
  ["Show", "Draw this cue on the picture"],
  ["Cue", "A concept that the model used in this image, named by the model or by a person"],
  ["Contribution", "Share of this cue in the score (logit) of the predicted class: activation times weight. Logit units"],
  ["If removed", "Causal effect: how far the score falls when the cue is taken out of the image and the rest is read again. Logit units"],
  ["Trust", "How far these figures can be relied on: low, fair or good. Low where contribution and effect disagree"],
  ["Your verdict", "Is this cue a right reason for the decision? Keys Y, X, U"],
]
const DOTS = { low: "\u25cf\u25cb\u25cb", fair: "\u25cf\u25cf\u25cb", good: "\u25cf\u25cf\u25cf" }

export class CueList {
  constructor(actions) {
    this.actions = actions
    this.body = el("div", { role: "rowgroup", class: "cue-rows" })
    const heads = HEADS.map(([text, title], i) =>
      el("span", { role: "columnheader", class: `c${i}`, text, title }))
    this.root = el("div", { role: "grid", class: "cues", "aria-label": "Cues, strongest causal effect first" },
      el("div", { role: "rowgroup" }, el("div", { role: "row", class: "cue-head" }, ...heads)), this.body)
    this.rows = new Map()
  }

  load(model) {
    const scale = Math.max(...model.cues.map((c) => Math.max(Math.abs(c.contribution), Math.abs(c.effect))), 1e-6)
    const blind = model.hidden.includes("prediction")
    this.rows.clear()
    const rows = model.cues.map((cue, index) => {
      const row = this.build(cue, index, scale, blind)
      this.rows.set(cue.id, row)
      return row.root
    })
    const none = el("p", { class: "empty", text: "No concept fired strongly enough to be a cue in this image. You can still judge the whole case below." })
    this.body.replaceChildren(...(rows.length ? rows : [none]))
  }

  // Same cues, newer verdicts: keep the rows and what has the focus in them.
  refresh(model) {
    for (const cue of model.cues) this.rows.get(cue.id).cue = cue
  }

  build(cue, index, scale, blind) {
    const { actions } = this
    const eye = el("input", { type: "checkbox", tabindex: "-1", "aria-label": `Show cue ${cue.letter} on the picture (key V)`,
      on: { change: () => { actions.toggle(cue.id); eye.blur() } } })
    const status = el("span", { class: "status" })
    const name = called("name", cue)
    const buttons = VERDICTS.map((verdict) => el("button", {
      type: "button", tabindex: "-1", class: `verdict ${verdict.value}`, text: verdict.mark,
      title: `${verdict.label} (key ${verdict.key})`, "aria-label": `${verdict.label}: cue ${cue.letter}, ${inFull(cue)}`,
      on: { click: () => actions.verdict(cue.id, verdict.value) },
    }))
    const cell = (at, ...content) => el("span", { role: "gridcell", class: `c${at}` }, ...content)
    const colour = look(index).hex
    const figures = blind ? [hiddenFigure(), hiddenFigure()]
      : [cueFigure(cue.contribution, scale, colour, false), cueFigure(cue.effect, scale, colour, true)]
    const root = el("div", { role: "row", class: "cue", tabindex: "-1", on: {
      click: (event) => { if (event.target !== eye) actions.select(cue.id) },
      dblclick: () => actions.solo(cue.id),
    } },
      cell(0, eye, badge(cue.letter, index)), cell(1, name, status),
      cell(2, ...figures[0]), cell(3, ...figures[1]), cell(4, trustDots(cue.trust)), cell(5, ...buttons))
    return { root, eye, status, buttons, cue }
  }

  // `stands(cue)` says what stands or waits: {value, scope, state: "saved"|"saving"|"none", note}.
  sync(view, stands) {
    for (const [id, row] of this.rows) {
      const chosen = id === view.selected
      setAll(row.root, { "aria-selected": String(chosen), tabindex: chosen ? "0" : "-1" })
      row.eye.checked = view.on.has(id)
      const stand = stands(row.cue)
      row.buttons.forEach((each, i) => {
        const pressed = VERDICTS[i].value === stand.value
        each.setAttribute("aria-pressed", String(pressed))
        each.classList.toggle("waiting", pressed && stand.state === "saving")
      })
      const text = describe(row.cue, stand)
      setAll(row.status, { text, title: text })
      row.status.classList.toggle("waiting", stand.state === "saving")
    }
    const [...all] = this.rows.values()
    if (all.length && !this.rows.has(view.selected)) all[0].root.setAttribute("tabindex", "0")
  }

  reveal(id) {
    this.rows.get(id)?.root.scrollIntoView({ block: "nearest" })
  }
}

export function standInWords(stand) {
  const scope = { here: "", class: ", this class", everywhere: ", everywhere" }[stand.scope] ?? ""
  return `${stand.value}${scope}${stand.reason ? `, ${stand.reason}` : ""}`
}

function describe(cue, stand) {
  const level = `level ${cue.level}${cue.named ? `, no. ${cue.concept}` : ""}${cue.agree_note ? " \u00b7 \u26a0 see note" : ""}`
  if (stand.state === "saving") return `${stand.value}: saving\u2026`
  if (stand.value === null) return cue.named ? level : `${level}, not named`
  return `${standInWords(stand)} \u00b7 saved${stand.at ? ` ${stand.at}` : ""}`
}

export function trustDots(trust) {
  if (!trust) return el("span", { class: "trust", text: "\u2013", title: "Not known" })
  const words = `Trust in these figures: ${trust.word}, ${trust.value.toFixed(2)} of 1`
  return el("span", { class: `trust ${trust.word}`, role: "img", "aria-label": words, title: words, text: DOTS[trust.word] })
}

function hiddenFigure() {
  return [el("span", { class: "soft", text: "hidden", title: "Signed figures would tell the model's answer: they show once your own label is in" })]
}

function cueFigure(value, scale, colour, hollow) {
  return [el("span", { class: "figure", text: signed(value) }), bar(value, scale, colour, hollow)]
}

// A bar from the middle: left is against the prediction, right is for it.
function bar(value, scale, colour, hollow) {
  const share = Math.min(Math.abs(value) / scale, 1) * 50
  const fill = el("span", { class: hollow ? "fill hollow" : "fill" })
  fill.style.width = `${share}%`
  fill.style[value < 0 ? "right" : "left"] = "50%"
  fill.style.setProperty("--cue", colour)
  return el("span", { class: "bar", "aria-hidden": "true" }, fill)
}
