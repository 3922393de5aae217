// What was put on the case besides verdicts: notes and drawings, with what is still on its way.

import { button, el } from "./dom.js"
import { DRAWN } from "./paint.js"

const KINDS = { note: "Note", "what-if": "What if", hypothesis: "Hypothesis" }

export class Marks {
  constructor(actions) {
    this.actions = actions
    this.text = el("input", { type: "text", maxlength: 2000, placeholder: "Note on this case (Enter keeps it)", "aria-label": "Note on this case", on: {
      keydown: (event) => {
        if (event.key === "Enter" && this.text.value.trim()) this.write()
        if (event.key === "Escape") this.text.blur()
      } } })
    this.list = el("ul", { class: "marks", "aria-label": "Notes and drawings" })
    this.root = el("section", { class: "tabpanel" }, this.text, this.list)
  }

  write() {
    this.actions.note("note", this.text.value.trim(), {})
    this.text.value = ""
  }

  // `waiting` are events that the server has not answered yet.
  sync(model, waiting) {
    const mine = waiting.filter((event) => event.case_id === model.id)
    const gone = new Set(mine.filter((event) => event.kind === "erase").map((event) => event.drawing_id))
    const letter = (id) => model.cues.find((cue) => cue.id === id)?.letter
    const rows = [
      ...mine.filter((event) => event.kind === "draw").map((event) => item(`Drawing, ${DRAWN[event.drawing]}`, event.note, "saving\u2026")),
      ...mine.filter((event) => event.kind === "note").map((event) => item(KINDS[event.note], event.text, "saving\u2026")),
      ...model.drawings.map((drawing) => this.drawing(drawing, letter(drawing.cue_id), gone.has(drawing.id))),
      ...model.notes.map((note) => this.note(note)).reverse(),
    ]
    const none = el("li", { class: "empty", text: "Nothing yet. Write a note, or press I and draw on the picture what the model missed or what must not count." })
    this.list.replaceChildren(...(rows.length ? rows : [none]))
    return rows.length
  }

  drawing(drawing, letter, going) {
    const name = `Drawing, ${DRAWN[drawing.kind]}${letter ? ` of ${letter}` : ""}`
    const erase = button("tool small", () => this.actions.erase(drawing.id), "Take this drawing away; Undo brings it back", "Erase")
    erase.disabled = going
    return item(name, drawing.note, going ? "erasing\u2026" : `you, ${drawing.at}`, erase)
  }

  note(note) {
    const again = note.kind === "what-if" ? button("tool small", () => this.actions.restore(note.payload), "Put the sliders back to this", "Show") : null
    return item(KINDS[note.kind] ?? note.kind, note.text, `${note.reviewer}, ${note.at}`, again)
  }
}

function item(name, text, who, act = null) {
  return el("li", { class: "mark" }, el("span", { class: "mark-text" }, el("b", { text: name }), text ? ` ${text}` : "", el("span", { class: "soft", text: ` \u00b7 ${who}` })), act)
}
