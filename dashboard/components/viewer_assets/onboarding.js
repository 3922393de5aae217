// Three cards for the first visit. They lie over the picture and block nothing: any key of the
// desk closes them and does what it does.

import { button, el, key } from "./dom.js"

const SEEN = "insight.tour"
const CARDS = [
  ["1", "Look", "Each coloured area is a cue: a concept that the model used. Hover to read it, zoom with the wheel.",
    [["\u2191 \u2193", "next cue"], ["B", "bare image"], ["O", "way of drawing"]]],
  ["2", "Judge", "Is this cue a right reason for the decision? One key per cue; the desk moves on by itself.",
    [["Y", "correct"], ["X", "spurious"], ["U", "unsure"], ["Z", "undo, any depth"]]],
  ["3", "Correct", "Your verdicts teach the model. Say why with R, draw what it missed with I, go on with N.",
    [["G D", "agree or disagree"], ["W", "what if"], ["H", "all keys"]]],
]

export class Onboarding {
  constructor() {
    const cards = CARDS.map(([number, title, text, keys]) => el("li", { class: "card" },
      el("h3", {}, el("span", { class: "number", text: number }), ` ${title}`), el("p", { text }),
      el("dl", {}, ...keys.flatMap(([name, what]) => [el("dt", {}, key(name)), el("dd", { text: what })]))))
    this.done = button("tool main", () => this.close(), "", "Start reviewing ", key("Esc"))
    this.root = el("section", { class: "tour", "aria-label": "How to review, in three cards", hidden: true },
      el("ol", { class: "cards" }, ...cards), el("div", { class: "line end" }, this.done))
  }

  get open() {
    return !this.root.hidden
  }

  // On the first visit with this browser only.
  begin() {
    try {
      if (!localStorage.getItem(SEEN)) this.show()
    } catch {
      // Storage is blocked: better no cards than cards at every visit.
    }
  }

  show() {
    this.root.hidden = false
  }

  close() {
    this.root.hidden = true
    try {
      localStorage.setItem(SEEN, "seen")
    } catch {
      // Storage is blocked: they were shown by hand.
    }
  }
}
