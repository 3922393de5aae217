// The line above the picture: which case, what the model says, how sure it is.

import { el, percent, signed } from "./dom.js"

export class Head {
  constructor(actions) {
    const step = (text, label, key, act) => el("button", { type: "button", class: "tool",
      title: `${label} (key ${key})`, on: { click: act } },
    text, el("span", { class: "sr", text: ` ${label}` }), " ", el("kbd", { text: key }))
    this.previous = step("\u2190", "Previous case", "P", () => actions.open("previous"))
    this.next = step("\u2192", "Next case", "N", () => actions.open("next"))
    this.undo = step("\u21b6 Undo", "Undo your last verdict", "Z", () => actions.undo())
    this.help = step("Keys", "List of keys and figures", "H", () => actions.help())
    this.where = el("span", { class: "where" })
    this.verdict = el("div", { class: "prediction" })
    this.root = el("header", { class: "head" },
      el("div", { class: "nav" }, this.previous, this.next, this.where),
      this.verdict,
      el("div", { class: "nav end" }, this.undo, this.help))
  }

  load(model) {
    this.previous.disabled = !model.previous_id
    this.next.disabled = !model.next_id
    this.where.replaceChildren(
      el("b", { text: `Case ${model.position} of ${model.total}` }),
      el("span", { class: "file", text: model.image.name, title: `${model.image.name}, ${model.image.size}` }))
    this.verdict.replaceChildren(...said(model))
  }

  sync(undoing) {
    this.undo.classList.toggle("waiting", undoing)
    this.undo.disabled = undoing
  }
}

function said(model) {
  const others = model.probabilities.filter(([name]) => name !== model.prediction)
    .map(([name, p]) => `${name} ${percent(p)}`)
  const sure = el("span", { class: "sure", text: percent(model.confidence),
    title: `Calibrated confidence: of cases given this figure, about that share are right. Score ${signed(model.logit)} logit, of which ${signed(model.bias)} is there before any cue.` })
  const meter = el("span", { class: "meter", "aria-hidden": "true" }, el("span", {}))
  meter.firstChild.style.width = `${100 * model.confidence}%`
  return [
    el("span", { class: "says", text: "Model says" }), el("b", { class: "class", text: model.prediction }), sure, meter,
    model.label ? truth(model) : "",
    el("span", { class: "others", text: others.length ? `then ${others.slice(0, 2).join(", ")}` : "",
      title: `Calibrated confidence of the other classes: ${others.join(", ")}` }),
    model.set_text ? el("span", { class: "others", text: model.set_text, title: model.set_note }) : "",
  ]
}

function truth(model) {
  const right = model.label === model.prediction
  return el("span", { class: right ? "truth" : "truth wrong", title: "The label that came with the image",
    text: right ? "\u2713 label agrees" : `\u2715 label: ${model.label}` })
}
