// The lines above the picture: what is asked, why this case is here and how far the review has
// come; then which case it is, what the model says and how sure it and its explanation are.

import { button, el, key, percent, signed } from "./dom.js"
import { trustDots } from "./cues.js"

const ASKED = [
  ["review", "Review", "Case after case: is each cue a right reason?"],
  ["diagnose", "Diagnose", "Why did it fail here? Errors and near misses"],
  ["validate", "Validate", "Is it right for the right reason? Class by class"],
  ["discover", "Discover", "Does it see something we do not know? Strong concepts without a name"],
]
const MARKED = { flag: "\u2691 flagged", escalate: "\u25b2 escalated", skip: "\u21b7 skipped by you" }
const HIDDEN_PARTS = { prediction: "prediction", labels: "label", model: "model", peers: "others\u2019 verdicts" }
const HIDDEN_WORDS = "The project hides this until your own word on the case is in"

export class Head {
  constructor(actions) {
    const tool = (text, title, letter, act) => button("tool", act, `${title} (key ${letter})`, `${text} `, key(letter))
    const step = (text, label, letter, act) => button("tool", act, `${label} (key ${letter})`,
      text, el("span", { class: "sr", text: ` ${label}` }), " ", key(letter))
    this.previous = step("\u2190", "Previous case", "P", () => actions.open("previous"))
    this.next = step("\u2192", "Next case", "N", () => actions.open("next"))
    this.undo = tool("\u21b6 Undo", "Undo your last verdict, word or drawing", "Z", () => actions.undo())
    this.skip = tool("Skip", "Leave this case to others and go on", "J", () => actions.skip())
    this.flag = tool("Flag", "Mark this case as worth a second look, or take that back", "F", () => actions.flag())
    this.escalate = tool("Escalate", "Hand this case to the project's lead, or settle it", "Q", () => actions.escalate())
    this.keep = tool("Keep", "Keep this case in a case study", "K", () => actions.keep())
    this.help = tool("Keys", "List of keys and figures", "H", () => actions.help())
    this.modes = ASKED.map(([mode, text, title]) => button("seg", () => actions.ask(mode), title, text))
    this.why = el("span", { class: "why" })
    this.progress = el("span", { class: "progress" })
    this.pending = el("span", { class: "status pending", role: "status" })
    this.where = el("span", { class: "where" })
    this.facts = el("div", { class: "facts" })
    this.root = el("header", { class: "head" },
      el("div", { class: "head-line" },
        el("span", { class: "segments", role: "group", "aria-label": "What do you want to know" }, ...this.modes),
        this.why, this.progress,
        el("div", { class: "nav end" }, this.skip, this.flag, this.escalate, this.keep, this.help)),
      el("div", { class: "head-line" },
        el("div", { class: "nav" }, this.previous, this.next, this.where), this.facts,
        el("div", { class: "nav end" }, this.pending, this.undo)))
  }

  load(model) {
    this.previous.disabled = !model.previous_id
    this.next.disabled = !model.next_id
    this.modes.forEach((each, i) => each.setAttribute("aria-pressed", String(ASKED[i][0] === model.mode)))
    this.where.replaceChildren(
      el("b", { text: `Case ${model.position} of ${model.total}` }),
      el("span", { class: "file", text: model.image.name.split("/").at(-1), title: `${model.image.name}, ${model.image.size}` }))
    this.facts.replaceChildren(...(model.hidden.includes("prediction") ? unseen(model) : told(model)))
    this.place(model.place)
  }

  place(place) {
    this.why.hidden = this.progress.hidden = !place
    const marks = place?.marks ?? []
    this.flag.setAttribute("aria-pressed", String(marks.includes("flag")))
    this.escalate.setAttribute("aria-pressed", String(marks.includes("escalate")))
    if (!place) return
    const shared = place.wanted > 1 ? ` \u00b7 ${place.reviewers} of ${place.wanted} people` : ""
    const said = [place.reason, ...marks.map((mark) => MARKED[mark] ?? mark)].filter(Boolean).join(" \u00b7 ")
    this.why.replaceChildren(said ? el("b", { text: said }) : "", shared)
    this.why.title = `Why this case is here: ${place.reason || "not told yet"}.${shared ? ` It is to be judged by ${place.wanted} people, ${place.reviewers} have.` : ""}`
    const share = place.total ? place.mine_done / place.total : 0
    const team = place.total ? place.team_done / place.total : 0
    const meter = el("span", { class: "meter two", "aria-hidden": "true" }, el("span", { class: "team" }), el("span", {}))
    meter.firstChild.style.width = `${100 * team}%`
    meter.lastChild.style.width = `${100 * share}%`
    this.progress.replaceChildren(meter, `you ${place.mine_done} \u00b7 team ${place.team_done} of ${place.total}`)
    this.progress.title = `Of the ${place.total} cases of the version in use, you gave a word on ${place.mine_done}; on ${place.team_done}, as many people as wanted gave one (a case that several people are to read waits for all of them). Words on other versions are kept and count in runs.`
  }

  // How many answers wait.
  sync(undoing, waiting) {
    this.undo.classList.toggle("waiting", undoing)
    this.undo.disabled = undoing
    this.pending.classList.toggle("waiting", waiting > 0)
    this.pending.textContent = waiting === 0 ? "" : "saving\u2026"
  }
}

// Somebody else is at this case: on purpose where several people are wanted, else by accident.
export function heldInWords({ held_by, until, wanted, reviewers }) {
  if (wanted > 1 && reviewers < wanted) return `${wanted} people are wanted on this case; ${held_by} is at it as well. Your word counts beside theirs.`
  return `${held_by} has this case open${until ? ` until ${until}` : ""}. What you say counts as well; N goes to the next free case.`
}

const fact = (name, title, ...value) => el("span", { class: "fact", title }, el("span", { class: "says", text: name }), el("span", { class: "value" }, ...value))

function told(model) {
  const others = model.probabilities.filter(([name]) => name !== model.prediction)
    .map(([name, p]) => `${name} ${percent(p)}`)
  const meter = el("span", { class: "meter", "aria-hidden": "true" }, el("span", {}))
  meter.firstChild.style.width = `${100 * model.confidence}%`
  const sure = `Calibrated confidence: of cases given this figure, about that share are right. Score ${signed(model.logit)} logit, of which ${signed(model.bias)} is there before any cue.`
  return [
    fact("Model says", "The class with the highest score", el("b", { class: "class", text: model.prediction })),
    fact("Confidence", sure, el("span", { class: "sure", text: percent(model.confidence) }), " ", meter),
    model.trust ? fact("Explanation", `How far the explanation as a whole can be relied on: ${model.trust.value.toFixed(2)} of 1. The concepts account for ${percent(model.reconstruction)} of what the encoder sees.`, trustDots(model.trust), ` ${model.trust.word}`) : "",
    model.label ? truth(model) : "",
    model.set_text ? fact("Answer set", model.set_note, model.set_text) : "",
    others.length ? fact("Then", `Calibrated confidence of the other classes: ${others.join(", ")}`, `${others[0]}${others.length > 1 ? `, ${others.length - 1} more` : ""}`) : "",
  ]
}

// In a blind project, before one's own word.
function unseen(model) {
  const what = Object.entries(HIDDEN_PARTS).filter(([word]) => model.hidden.includes(word)).map(([, text]) => text)
  return [fact("Hidden until your label is in", HIDDEN_WORDS, el("b", { text: what.join(", ") })), model.label ? fact("Label", "The label that came with the image", el("b", { text: model.label })) : ""]
}

function truth(model) {
  const right = model.label === model.prediction
  return fact("Label", "The label that came with the image", el("span", { class: right ? "truth" : "truth wrong",
    text: right ? "\u2713 agrees" : `\u2715 ${model.label}` }))
}
