// Keyboard and its help. One listener on the document, so that no click is needed first;
// typing in any text field, here or elsewhere on the page, is never taken for a command.

import { el } from "./dom.js"

export const KEYS = [
  ["\u2191 \u2193", "previous or next cue"],
  ["1 \u2013 9", "go to that cue"],
  ["Y", "cue is correct"],
  ["X", "cue is spurious"],
  ["U", "unsure about the cue"],
  ["Z", "undo your last verdict"],
  ["G", "agree with the prediction"],
  ["D", "disagree with the prediction"],
  ["N", "next case"],
  ["P", "previous case"],
  ["B", "bare image on or off"],
  ["S", "solo: only the selected cue"],
  ["V", "show or hide the selected cue"],
  ["A", "show all cues, or the strongest three"],
  ["O", "fill, outline, spotlight"],
  ["+ \u2212 0", "zoom in, out, whole image"],
  ["H", "this list"],
]

const FIGURES = [
  ["Confidence", "calibrated: of cases given 80\u202f%, about 80\u202f% are right"],
  ["Contribution", "the cue's share of the score (logit) of the predicted class; all shares plus the bias make the score"],
  ["If removed", "how far the score falls when the cue is taken out; where it disagrees with the contribution, trust this one"],
  ["Explained", "how much of what the encoder sees the concepts account for; the rest is not explained"],
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
  constructor() {
    const list = (rows, mark) => el("dl", {}, ...rows.flatMap(([term, text]) => [
      el("dt", {}, el(mark, { text: term })), el("dd", { text })]))
    this.close = el("button", { type: "button", class: "tool", on: { click: () => this.toggle() } }, "Close ", el("kbd", { text: "Esc" }))
    this.root = el("div", { class: "help", role: "dialog", "aria-modal": "false", "aria-label": "Keys and figures", hidden: true },
      el("div", { class: "help-box" },
        el("div", { class: "help-columns" },
          el("section", {}, el("h3", { text: "Keys" }), list(KEYS, "kbd")),
          el("section", {}, el("h3", { text: "What the figures mean" }), list(FIGURES, "b"))),
        this.close))
  }

  toggle(open = this.root.hidden) {
    if (open) this.before = this.root.getRootNode().activeElement
    this.root.hidden = !open
    if (open) this.close.focus()
    else this.before?.focus?.()
  }
}
