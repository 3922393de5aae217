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
  ["Your verdict", "Is this cue a right reason for the decision? Keys Y, X, U"],
]

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
    this.rows.clear()
    const rows = model.cues.map((cue, index) => {
      const row = this.build(cue, index, scale)
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

  build(cue, index, scale) {
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
    const root = el("div", { role: "row", class: "cue", tabindex: "-1", on: {
      click: (event) => { if (event.target !== eye) actions.select(cue.id) },
      dblclick: () => actions.solo(cue.id),
    } },
      cell(0, eye, badge(cue.letter, index)),
      cell(1, name, status),
      cell(2, el("span", { class: "figure", text: signed(cue.contribution) }), bar(cue.contribution, scale, look(index).hex, false)),
      cell(3, el("span", { class: "figure", text: signed(cue.effect) }), bar(cue.effect, scale, look(index).hex, true)),
      cell(4, ...buttons))
    return { root, eye, status, buttons, cue }
  }

  // `stands(cue)` says what stands or waits: {value, scope, state: "saved"|"saving"|"none", note}.
  sync(view, stands) {
    for (const [id, row] of this.rows) {
      const chosen = id === view.selected
      setAll(row.root, { "aria-selected": String(chosen), tabindex: chosen ? "0" : "-1" })
      row.eye.checked = view.on.has(id)
      const stand = stands(row.cue)
      row.buttons.forEach((button, i) => {
        const pressed = VERDICTS[i].value === stand.value
        button.setAttribute("aria-pressed", String(pressed))
        button.classList.toggle("waiting", pressed && stand.state === "saving")
      })
      row.status.textContent = describe(row.cue, stand)
      row.status.classList.toggle("waiting", stand.state === "saving")
    }
    const [...all] = this.rows.values()
    if (all.length && !this.rows.has(view.selected)) all[0].root.setAttribute("tabindex", "0")
  }

  reveal(id) {
    this.rows.get(id)?.root.scrollIntoView({ block: "nearest" })
  }
}

function describe(cue, stand) {
  const level = `level ${cue.level}${cue.named ? `, no. ${cue.concept}` : ""}${cue.agree_note ? " \u00b7 \u26a0 see note" : ""}`
  if (stand.state === "saving") return `${stand.value}: saving\u2026`
  if (stand.value === null) return cue.named ? level : `${level}, not named`
  const scope = { here: "", class: ", this class", everywhere: ", everywhere" }[stand.scope]
  return `${stand.value}${scope} \u00b7 saved${stand.at ? ` ${stand.at}` : ""}`
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
