// Keyboard and its help. One listener on the document, so that no click is needed first;
// typing in any text field, here or elsewhere on the page, is never taken for a command.

import { button, el, focused, key } from "./dom.js"

export const KEYS = [
  ["Judge a cue", [
    ["Y", "correct, and on to the next"],
    ["X", "spurious in this case"],
    ["C", "spurious for this class"],
    ["E", "spurious everywhere"],
    ["U", "unsure"],
    ["R", "why: the reason, by digit"],
    ["Z", "undo, to any depth"],
    ["\u2191 \u2193", "previous or next cue"],
    ["1 \u2013 9", "go to that cue"],
  ]],
  ["The case", [
    ["G", "agree with the prediction"],
    ["D", "disagree"],
    ["L", "right label, by digit"],
    ["M", "rate, 1 to 5"],
    ["N P", "next, previous case"],
    ["J", "skip: leave it to others"],
    ["F", "flag, or take that back"],
    ["Q", "escalate, or settle"],
    ["K", "keep in a case study"],
  ]],
  ["Look", [
    ["B", "bare image"],
    ["S", "solo: only this cue"],
    ["V", "show or hide this cue"],
    ["A", "all cues, or three"],
    ["O", "fill, outline, spotlight, side"],
    [".", "next layer"],
    ["I", "pointer, box, lasso"],
    ["+ \u2212 0", "zoom in, out, whole"],
    ["T W", "next tab, what if"],
  ]],
]

const FIGURES = [
  ["Confidence", "calibrated: of cases given 80\u202f%, about 80\u202f% are right"],
  ["Contribution", "the cue's share of the score (logit) of the predicted class; all shares plus the bias make the score"],
  ["If removed", "how far the score falls when the cue is taken out; where it disagrees with the contribution, trust this one"],
  ["Trust", "how far these figures can be relied on: low, fair or good, from how well contribution, removal and region agree"],
  ["Level", "0 is the most general concept, higher is more specific"],
]

const TYPING = new Set(["text", "search", "email", "url", "number", "password", "tel"])

function typing(node) {
  if (!(node instanceof Element)) return false
  if (node.isContentEditable || node.tagName === "TEXTAREA" || node.tagName === "SELECT") return true
  return node.tagName === "INPUT" && (TYPING.has(node.type) || node.type === "range")
}

export function onKeys(act) {
  const listener = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat && event.key.length === 1) return
    if (typing(event.composedPath()[0])) return
    if (act(event.key.length === 1 ? event.key.toLowerCase() : event.key)) {
      event.preventDefault()
      event.stopPropagation()
    }
  }
  document.addEventListener("keydown", listener)
  return () => document.removeEventListener("keydown", listener)
}

export class Help {
  constructor(tour) {
    const list = (rows, mark) => el("dl", {}, ...rows.flatMap(([term, text]) => [
      el("dt", {}, el(mark, { text: term })), el("dd", { text })]))
    this.close = button("tool", () => this.toggle(), "", "Close ", key("Esc"))
    const cards = button("tool", () => { this.toggle(false); tour() }, "The three cards of the first visit", "Show the introduction")
    this.root = el("div", { class: "help", role: "dialog", "aria-modal": "false", "aria-label": "Keys and figures", hidden: true },
      el("div", { class: "help-box" },
        el("div", { class: "help-columns" }, ...KEYS.map(([title, rows]) => el("section", {}, el("h3", { text: title }), list(rows, "kbd")))),
        el("section", { class: "help-figures" }, el("h3", { text: "What the figures mean" }), list(FIGURES, "b")),
        el("div", { class: "line end" }, cards, this.close)))
    this.root.addEventListener("click", (event) => { if (event.target === this.root) this.toggle(false) })
  }

  toggle(open = this.root.hidden) {
    if (open) this.before = focused(this.root)
    this.root.hidden = !open
    if (open) this.close.focus()
    else this.before?.focus?.()
  }
}
