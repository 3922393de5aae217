// Beside the cues: the selected cue's scope, reason, comment and what others said of it; and the
// word on the whole case, with its ratings.

import { button, el, focused, inFull, key } from "./dom.js"
import { standInWords } from "./cues.js"

const SCOPES = [
  ["here", "In this case", "Said of this image (keys Y, X, U). Runs learn to find such places in others; the concept loses weight as such words gather"],
  ["class", "For this class", "It holds wherever the model predicts this class (key C: spurious for this class)"],
  ["everywhere", "Everywhere", "It holds for every image of the project (key E: spurious everywhere)"],
]

export class CuePanel {
  constructor(actions) {
    this.actions = actions
    this.name = el("span", {})
    this.link = el("a", { text: "Examples and name", title: "Open this concept's page: where else it fires, its history, another name" })
    this.title = el("h3", {}, this.name, this.link)
    this.warn = el("p", { class: "warn", role: "note" })
    this.peers = el("p", { class: "peers" })
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
        el("label", { class: "field" }, el("span", {}, "Reason ", key("R")), this.reason)),
      this.comment, this.peers)
  }

  load(model) {
    this.reason.replaceChildren(el("option", { value: "", text: "not given" }),
      ...model.reasons.map((reason) => el("option", { value: reason, text: reason })))
  }

  // `stand` is what stands on the cue, `detail` what the fields hold for it.
  sync(cue, detail, stand) {
    this.root.classList.toggle("off", !cue)
    this.name.textContent = cue ? `${cue.letter} \u00b7 ${inFull(cue)}` : "No cue selected"
    this.name.title = cue?.where ?? ""
    this.link.hidden = !cue
    if (cue) this.link.href = `concepts?concept=${encodeURIComponent(cue.concept_id)}`
    this.warn.hidden = !cue?.agree_note
    this.warn.textContent = cue?.agree_note ?? ""
    if (!cue) return
    this.scopes.forEach((each, i) => each.setAttribute("aria-pressed", String(SCOPES[i][0] === detail.scope)))
    this.reason.value = detail.reason ?? ""
    if (!busy(this.comment)) this.comment.value = detail.comment
    this.others(cue.peers, Boolean(stand.value))
  }

  others(peers, judged) {
    this.peers.hidden = !judged || !peers.length
    const words = peers.map((peer) => el("span", {}, el("b", { text: peer.reviewer }), ` ${standInWords(peer)}`))
    this.peers.replaceChildren("Others: ", ...words.flatMap((each, i) => (i ? [" \u00b7 ", each] : [each])))
    this.peers.title = this.peers.textContent
  }
}

export class CasePanel {
  constructor(actions) {
    this.actions = actions
    const choice = (agree, text, letter) => button("seg", () => actions.assess({ agree }), `Key ${letter}`, `${text} `, key(letter))
    this.agree = choice(true, "Agree", "G")
    this.disagree = choice(false, "Disagree", "D")
    this.votes = el("span", { class: "segments", role: "group", "aria-label": "Do you agree with the prediction" }, this.agree, this.disagree)
    this.label = el("select", { "aria-label": "Corrected label", on: {
      change: () => { actions.assess({ corrected_label: this.label.value || null }); this.label.blur() },
    } })
    this.labelWords = el("span", { text: "Right label" })
    this.blind = el("p", { class: "fine", text: "The model\u2019s answer is hidden. Give your own label first; then it is shown." })
    this.ratings = el("div", { class: "ratings" })
    this.comment = el("textarea", { rows: 1, maxlength: 2000, placeholder: "Comment on the case",
      "aria-label": "Comment on the case", on: {
        change: () => actions.assess({ comment: this.comment.value.trim() }),
        keydown: (event) => { if (event.key === "Escape") this.comment.blur() },
      } })
    this.status = el("span", { class: "status" })
    this.root = el("section", { class: "panel case-panel", "aria-label": "The whole case" },
      el("h3", {}, "The whole case", this.status), this.blind,
      el("div", { class: "line" }, this.votes,
        el("label", { class: "field" }, el("span", {}, this.labelWords, " ", key("L")), this.label)),
      this.ratings, this.comment)
  }

  load(model) {
    this.hidden = model.hidden.includes("prediction")
    this.votes.hidden = this.hidden
    this.blind.hidden = !this.hidden
    this.labelWords.textContent = this.hidden ? "Your label" : "Right label"
    this.label.replaceChildren(el("option", { value: "", text: this.hidden ? "choose \u2026" : "as predicted" }),
      ...model.classes.map((name) => el("option", { value: name, text: name })))
    this.scales = model.criteria.map((criterion, i) => new Rating(criterion, i === 0, (value) =>
      this.actions.assess({ ratings: { [criterion.key]: value } })))
    this.ratings.replaceChildren(...this.scales.map((scale) => scale.root))
    this.ratings.hidden = !model.criteria.length
  }

  sync(stand) {
    this.agree.setAttribute("aria-pressed", String(stand.agree === true))
    this.disagree.setAttribute("aria-pressed", String(stand.agree === false))
    this.label.value = stand.corrected_label ?? ""
    for (const scale of this.scales) scale.sync(stand.ratings[scale.key] ?? null)
    if (!busy(this.comment)) this.comment.value = stand.comment
    this.status.textContent = { saving: "saving\u2026", saved: "saved", none: "" }[stand.state]
    this.status.classList.toggle("waiting", stand.state === "saving")
  }
}

// One criterion from 1 to 5, as radio buttons that arrow keys walk.
class Rating {
  constructor({ key: name, label, text }, first, changed) {
    this.key = name
    this.buttons = [1, 2, 3, 4, 5].map((value) => el("button", {
      type: "button", role: "radio", class: "rate", text: String(value), title: text, "aria-label": `${label}: ${value} of 5`,
      on: { click: () => changed(value) },
    }))
    const group = el("span", { class: "rates", role: "radiogroup", "aria-label": `${label}. ${text}` }, ...this.buttons)
    group.addEventListener("keydown", (event) => this.onKey(event))
    this.root = el("div", { class: "rating", title: text }, el("span", { class: "criterion" }, label, first ? " " : "", first ? key("M") : ""), group)
  }

  sync(value) {
    this.buttons.forEach((each, i) => {
      each.setAttribute("aria-checked", String(i + 1 === value))
      each.setAttribute("tabindex", i + 1 === (value ?? 1) ? "0" : "-1")
    })
  }

  onKey(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key]
    if (!step) return
    event.preventDefault()
    event.stopPropagation()
    const at = this.buttons.indexOf(focused(event.currentTarget))
    this.buttons[Math.min(Math.max(at + step, 0), 4)].focus()
  }
}

function busy(input) {
  return focused(input) === input
}
