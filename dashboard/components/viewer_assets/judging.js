// What the reviewer says: verdicts, words on the case, drawings, notes and marks. Everything said
// goes into the outbox with an id of its own and shows as "saving" until the server answers.

import { Outbox, uuid } from "./outbox.js"

const PLAIN = { scope: "here", reason: null, comment: "" }
const UNSAID = { agree: null, corrected_label: null, comment: "", ratings: {}, state: "none" }
const BUSY = "One moment: the other case is on its way."
const UNDOING = "One moment: undo is under way."

export class Judging {
  // desk: {say(words), changed()}
  constructor(desk, send) {
    this.desk = desk
    this.outbox = new Outbox(send)
    this.drafts = new Map() // scope, reason and comment chosen before a verdict is given
    this.opening = null
    this.model = null
  }

  get waiting() {
    return this.outbox.waiting
  }

  undoing() {
    return this.waiting.some((event) => event.kind === "undo")
  }

  // While another case is on its way nothing may be said: it would fall on the case that is leaving.
  barred() {
    if (!this.opening && !this.undoing()) return false
    this.desk.say(this.opening ? BUSY : UNDOING)
    return true
  }

  add(kind, what) {
    this.outbox.add({ id: uuid(), kind, case_id: this.model.id, ...what })
    this.desk.changed()
  }

  // ---- a cue

  // The newest state of a cue that somebody may have looked up before an answer came.
  now(cue) {
    return this.model.cues.find(({ id }) => id === cue.id) ?? cue
  }

  // What stands on a cue, or what waits to be acknowledged.
  stand(cue) {
    const waiting = this.outbox.pendingVerdict(cue.id)
    if (waiting) return { ...waiting, state: "saving" }
    const mine = cue.mine
    if (!mine || mine.value === "withdrawn") return { value: null, scope: "here", state: "none" }
    return { ...mine, state: "saved" }
  }

  details(cue) {
    const draft = this.drafts.get(cue.id)
    if (draft) return draft
    const { value, scope, reason, comment } = this.stand(cue)
    return value ? { scope, reason: reason ?? null, comment: comment ?? "" } : PLAIN
  }

  // Scope, reason or comment of a cue: at once where a verdict stands, else with the next one.
  detail(cue, change) {
    this.drafts.set(cue.id, { ...this.details(cue), ...change })
    const { value } = this.stand(cue)
    if (value) this.verdict(cue, value)
    else this.desk.changed()
  }

  // A key says what was seen here, unless a scope was chosen for it. True where the cue is judged.
  byKey(cue, value, scope = null) {
    const draft = this.drafts.get(cue.id)
    const stand = this.stand(cue)
    const wide = scope ?? draft?.scope ?? (stand.value === value && value !== "spurious" ? stand.scope : "here")
    return this.verdict(cue, value, { scope: wide })
  }

  verdict(known, value, change = {}) {
    if (this.barred()) return false
    const cue = this.now(known)
    const details = { ...this.details(cue), ...change }
    const reason = value === "spurious" ? details.reason : null
    const stand = this.stand(cue)
    const same = stand.value === value && stand.scope === details.scope
      && (stand.reason ?? null) === reason && (stand.comment ?? "") === details.comment
    if (same) {
      this.desk.say(`${cue.letter} is ${value} already.`)
      return true
    }
    const based_on = (cue.mine?.revision ?? 0) + this.outbox.count("verdict", "cue_id", cue.id)
    if (this.drafts.has(cue.id)) this.drafts.set(cue.id, { ...details, reason })
    this.desk.say(`Cue ${cue.letter}, ${cue.name}: ${value}, saving.`)
    this.add("verdict", { cue_id: cue.id, value, scope: details.scope, reason, comment: details.comment, based_on })
    return true
  }

  // The next cue without a verdict after this one, from the top again at the end; null when all are judged.
  nextOpen(from) {
    const { cues } = this.model
    const at = cues.findIndex((cue) => cue.id === from)
    return [...cues.slice(at + 1), ...cues.slice(0, at)].find((cue) => !this.stand(cue).value) ?? null
  }

  // ---- the case

  said() {
    const waiting = this.outbox.pendingAssessment(this.model.id)
    if (waiting) return { ...UNSAID, ...waiting, state: "saving" }
    const { assessment } = this.model
    if (!assessment) return UNSAID
    const { agree, corrected_label, comment, ratings } = assessment
    const says = agree !== null || corrected_label || comment || Object.keys(ratings).length
    return says ? { ...assessment, state: "saved" } : UNSAID
  }

  assess(change) {
    if (this.barred()) return
    const blind = this.model.hidden.includes("prediction")
    if (blind && "agree" in change) return this.desk.say("The model\u2019s answer is hidden: give your own label (key L).")
    const { agree, corrected_label, comment, ratings } = { ...this.said(), ...change }
    const next = { agree, corrected_label, comment, ratings: { ...this.said().ratings, ...change.ratings } }
    if (change.corrected_label && !blind) next.agree = change.corrected_label === this.model.prediction
    if (change.agree === true && corrected_label !== this.model.prediction) next.corrected_label = null
    const based_on = (this.model.assessment?.revision ?? 0) + this.outbox.count("assess", "case_id", this.model.id)
    this.add("assess", { ...next, based_on })
  }

  undo() {
    if (this.opening) return this.desk.say(BUSY)
    this.desk.say("Undoing the last thing you said.")
    this.add("undo", {})
  }

  draw({ shape, points }, drawing, cueId, note) {
    this.add("draw", { drawing, shape, points, cue_id: cueId, note })
  }

  erase(drawingId) {
    const going = this.waiting.some((event) => event.kind === "erase" && event.drawing_id === drawingId)
    if (!going) this.add("erase", { drawing_id: drawingId })
  }

  note(kind, text, payload) {
    this.add("note", { note: kind, text, payload })
  }

  mark(kind, reason = "") {
    const same = this.waiting.some((event) => event.kind === "mark" && event.mark === kind && event.case_id === this.model.id)
    if (!same) this.add("mark", { mark: kind, reason })
  }

  keep(studyId, title, note) {
    this.add("pin", { collection_id: studyId, title, note })
  }

  // ---- going elsewhere

  go(request) {
    this.opening = request
    this.outbox.ask(request)
  }

  arrived() {
    this.opening = null
    this.outbox.ask(null)
  }

  // Takes the newest state of the case; returns the events that were answered.
  update(model) {
    const moved = this.model?.id !== model.id
    this.model = model
    this.outbox.attach(model.reviewer_id, model.project_id, model.session)
    if (moved) this.drafts.clear()
    const answered = this.outbox.settle(model.acks)
    for (const { event } of answered) if (event.kind === "verdict" && !this.outbox.pendingVerdict(event.cue_id)) this.drafts.delete(event.cue_id)
    return answered
  }
}
