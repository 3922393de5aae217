// The explanation in words under the picture, and how much of the image it accounts for.

import { el } from "./dom.js"

const EXPLAINED = "How much of what the encoder sees the concepts account for; low means that this explanation leaves much out"

export class Story {
  constructor() {
    this.root = el("section", { class: "story", "aria-label": "In words" })
  }

  load(model) {
    const blind = model.hidden.includes("prediction")
    const explained = el("span", { title: EXPLAINED }, el("b", { text: `${Math.round(100 * model.reconstruction)}\u202f%` }), " explained")
    const rest = [blind ? "" : `concepts not listed add ${model.other_text} logit`, model.version ? `version ${model.version}` : "version hidden"]
    this.root.replaceChildren(
      el("p", { tabindex: "0" }, blind ? "The explanation in words is shown once your own label is in." : model.narrative),
      el("p", { class: "fine" }, explained, ...rest.filter(Boolean).map((words) => ` \u00b7 ${words}`)))
  }
}
