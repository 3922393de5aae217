// Beside the cues: the selected cue's scope, reason and comment; and the word on the whole case.

import { el, inFull } from "./dom.js"

const SCOPES = [
  ["here", "In this case", "The verdict holds for this image only"],
  ["class", "For this class", "It holds wherever the model predicts this class"],
  ["everywhere", "Everywhere", "It holds for every image of the project"],
]

export class CuePanel {
  constructor(actions) {
    this.actions = actions
    this.name = el("span", {})
    this.link = el("a", { text: "Examples and name", title: "Open this concept's page: where else it fires, its history, another name" })
    this.title = el("h3", {}, this.name, this.link)
    this.warn = el("p", { class: "warn", role: "note" })
    this.scopes = SCOPES.map(([value, text, title]) => el("button", {
      type: "button", class: "seg", text, title, on: { click: () => actions.detail({ scope: value }) },
    }))
    this.reason = el("select", { "aria-label": "Why it is spurious", on: {
      change: () => { actions.detail({ reason: this.reason.value || null }); this.reason.blur() },
    } })
    this.comment = el("input", { type: "text", maxlength: 500, placeholder: "Comment on this cue (Enter saves it)",
      "aria-label": "Comment on this cue", on: {
        change: () => actions.detail({ comment: this.comment.value.trim() }),
        keydown: (event) => { if (event.key === "Enter" || event.key === "Escape") this.comment.blur() },
      } })
    this.root = el("section", { class: "panel cue-panel", "aria-label": "Selected cue" },
      this.title, this.warn,
      el("div", { class: "line" },
        el("span", { class: "segments", role: "group", "aria-label": "Where the verdict holds" }, ...this.scopes),
        el("label", { class: "field" }, el("span", { text: "Reason" }), this.reason)),
      this.comment)
  }

  load(model) {
    this.reason.replaceChildren(el("option", { value: "", text: "not given" }),
      ...model.reasons.map((reason) => el("option", { value: reason, text: reason })))
  }

  sync(cue, detail) {
    this.root.classList.toggle("off", !cue)
    this.name.textContent = cue ? `${cue.letter} \u00b7 ${inFull(cue)}` : "No cue selected"
    this.name.title = cue?.where ?? ""
    this.link.hidden = !cue
    if (cue) this.link.href = `concepts?concept=${encodeURIComponent(cue.concept_id)}`
    this.warn.hidden = !cue?.agree_note
    this.warn.textContent = cue?.agree_note ?? ""
    if (!cue) return
    this.scopes.forEach((button, i) => button.setAttribute("aria-pressed", String(SCOPES[i][0] === detail.scope)))
    this.reason.value = detail.reason ?? ""
    if (!busy(this.comment)) this.comment.value = detail.comment
  }
}

export class CasePanel {
  constructor(actions) {
    this.actions = actions
    const choice = (agree, text, key) => el("button", {
      type: "button", class: "seg", title: `Key ${key}`, on: { click: () => actions.assess({ agree }) },
    }, `${text} `, el("kbd", { text: key }))
    this.agree = choice(true, "Agree", "G")
    this.disagree = choice(false, "Disagree", "D")
    this.label = el("select", { "aria-label": "Corrected label", on: {
      change: () => { actions.assess({ corrected_label: this.label.value || null }); this.label.blur() },
    } })
    this.comment = el("textarea", { rows: 2, maxlength: 2000, placeholder: "Comment on the case",
      "aria-label": "Comment on the case", on: {
        change: () => actions.assess({ comment: this.comment.value.trim() }),
        keydown: (event) => { if (event.key === "Escape") this.comment.blur() },
      } })
    this.status = el("span", { class: "status" })
    this.root = el("section", { class: "panel", "aria-label": "The whole case" },
      el("h3", {}, "The whole case", this.status),
      el("div", { class: "line" },
        el("span", { class: "segments", role: "group", "aria-label": "Do you agree with the prediction" }, this.agree, this.disagree),
        el("label", { class: "field" }, el("span", { text: "Right label" }), this.label)),
      this.comment)
  }

  load(model) {
    this.label.replaceChildren(el("option", { value: "", text: "as predicted" }),
      ...model.classes.map((name) => el("option", { value: name, text: name })))
  }

  sync(stand) {
    this.agree.setAttribute("aria-pressed", String(stand.agree === true))
    this.disagree.setAttribute("aria-pressed", String(stand.agree === false))
    this.label.value = stand.corrected_label ?? ""
    if (!busy(this.comment)) this.comment.value = stand.comment
    this.status.textContent = { saving: "saving\u2026", saved: "saved", none: "" }[stand.state]
    this.status.classList.toggle("waiting", stand.state === "saving")
  }
}

function busy(input) {
  return input.getRootNode().activeElement === input
}
