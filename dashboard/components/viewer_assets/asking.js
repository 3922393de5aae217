// The questions that a key or a button opens beside the picture, and what becomes of the answers.

import { inFull } from "./dom.js"

const NEW = "" // the choice "a new case study"
const ALONE = ["missed", "spurious"] // what speaks of no cue

export class Asking {
  constructor(prompt, judging, say) {
    this.prompt = prompt
    this.judging = judging
    this.say = say
  }

  // Why is this cue spurious? Gives the verdict too, where it does not stand yet.
  why(model, cue, then) {
    if (this.judging.barred()) return
    this.prompt.show({
      title: `Why is ${cue.letter}, ${inFull(cue)}, spurious?`,
      choices: model.reasons.map((reason) => ({ text: reason, value: reason })),
      pick: (reason) => { if (this.judging.verdict(cue, "spurious", { reason })) then() },
    })
  }

  label(model) {
    if (this.judging.barred()) return
    const blind = model.hidden.includes("prediction")
    this.prompt.show({
      title: blind ? "What is it? Your own label" : "What is the right label?",
      hint: blind ? "Then the model\u2019s answer is shown." : "",
      choices: model.classes.map((name) => ({ text: name === model.prediction ? `${name} (as predicted)` : name, value: name })),
      pick: (name) => this.judging.assess({ corrected_label: name }),
    })
  }

  // One criterion after another, those without a rating first.
  rate(model, at = null) {
    if (!model.criteria.length) return this.say("This project rates cases by no criterion.")
    if (this.judging.barred()) return
    const given = this.judging.said().ratings
    const open = model.criteria.findIndex(({ key }) => !(key in given))
    const index = at ?? Math.max(open, 0)
    const criterion = model.criteria[index]
    this.prompt.show({
      title: `${criterion.label}, 1 to 5${given[criterion.key] ? ` (now ${given[criterion.key]})` : ""}`,
      hint: criterion.text,
      choices: [1, 2, 3, 4, 5].map((value) => ({ text: ["poor", "weak", "fair", "good", "very good"][value - 1], value })),
      pick: (value) => {
        this.judging.assess({ ratings: { [criterion.key]: value } })
        if (index + 1 < model.criteria.length) this.rate(model, index + 1)
      },
    })
  }

  // A shape was drawn: what does it say? What no cue shows and must not count stands alone, also where a cue is chosen.
  drawn(model, shape, cue, low, cancel) {
    const choices = [{ text: "A sign the model missed", value: "missed" }]
    if (cue) {
      choices.push({ text: `The wrong part of ${cue.letter}, ${inFull(cue)}`, value: "wrong-part" })
      choices.push({ text: `Here: where ${cue.letter}, ${inFull(cue)}, really is`, value: "here" })
    } else choices.push({ text: "Look here", value: "here" })
    choices.push({ text: "Must not count: an artefact, a marking, a device", value: "spurious",
      title: "For what no cue shows. Where a cue shows it, call that cue spurious (key X)" })
    this.prompt.show({
      title: "What did you mark?", choices, low, fields: [{ name: "note", label: "Note", placeholder: "optional; then pick one above" }],
      pick: (kind, { note }) => this.judging.draw(shape, kind, ALONE.includes(kind) ? null : cue?.id ?? null, note),
      cancel,
    })
  }

  flag(model) {
    this.toggled(model, "flag", "Flag this case", "What should be looked at again?")
  }

  escalate(model) {
    this.toggled(model, "escalate", "Escalate to the project\u2019s lead", "What is the question?")
  }

  toggled(model, kind, title, label) {
    if (this.judging.barred()) return
    if (model.place?.marks.includes(kind)) return this.judging.mark("resolve")
    this.prompt.show({
      title, save: title.split(" ")[0], fields: [{ name: "reason", label: "Why", placeholder: `${label} (optional)` }],
      pick: (_, { reason }) => this.judging.mark(kind, reason),
    })
  }

  keep(model) {
    if (this.judging.barred()) return
    const [first] = model.studies
    const options = [...model.studies.map(({ id, title }) => [id, title]), [NEW, "a new one, called \u2026"]]
    this.prompt.show({
      title: "Keep this case in a case study", save: "Keep",
      hint: "It is frozen as it is now, with its explanation and verdicts, to teach from.",
      fields: [
        { name: "study", label: "Case study", options, value: first?.id ?? NEW },
        { name: "title", label: "New name", placeholder: "name of a new case study" },
        { name: "note", label: "Note", placeholder: "what can be learnt from it (optional)" },
      ],
      pick: (_, { study, title, note }) => {
        if (title || study) this.judging.keep(title ? null : study, title, note)
        else this.say("Not kept: a new case study needs a name.")
      },
    })
  }
}
