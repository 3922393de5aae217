// The desk: wires the parts, keeps what is being looked at, and talks to the server only about
// what the reviewer says and where to go next.

import { el } from "./dom.js"
import { unpack } from "./packet.js"
import { Stage } from "./stage.js"
import { Controls } from "./controls.js"
import { Looking } from "./looking.js"
import { CueList } from "./cues.js"
import { Tree } from "./tree.js"
import { WhatIf } from "./what_if.js"
import { Marks } from "./marks.js"
import { Tabs } from "./tabs.js"
import { CasePanel, CuePanel } from "./panels.js"
import { Head, heldInWords } from "./head.js"
import { Story } from "./story.js"
import { Alert, Ask } from "./ask.js"
import { Asking } from "./asking.js"
import { Help, onKeys } from "./keys.js"
import { Onboarding } from "./onboarding.js"
import { Judging } from "./judging.js"

const ARRIVAL_MS = 60000 // then the present case may be judged again: the server seems gone
const LATE_MS = 8000 // an answer that takes longer is said to be missing
const PLAIN_DETAILS = { scope: "here", reason: null, comment: "" }

class Desk {
  constructor(host) {
    this.host = host
    this.looking = new Looking()
    this.view = this.looking.view
    this.judging = new Judging({ say: (words) => this.say(words), changed: () => this.sync() }, (events) => this.trigger?.("events", events))
    this.build()
    this.unlisten = onKeys((key) => this.key(key))
  }

  build() {
    const actions = {}
    for (const name of ["toggle", "select", "solo", "verdict", "detail", "assess", "open", "note", "restore", "skip", "ask"]) {
      actions[name] = (...args) => this[name](...args)
    }
    for (const name of ["undo", "erase"]) actions[name] = (...args) => this.judging[name](...args)
    actions.help = () => this.help.toggle()
    this.prompt = new Ask()
    this.asking = new Asking(this.prompt, this.judging, (words) => this.say(words))
    for (const name of ["flag", "escalate", "keep"]) actions[name] = () => this.asking[name](this.model)
    this.head = new Head(actions)
    this.stage = new Stage(this.view, {
      pick: (id) => this.select(id), changed: () => this.look(), say: (words) => this.say(words),
      drawn: (shape) => this.drawn(shape), erase: (id) => this.judging.erase(id),
    })
    this.controls = new Controls(this.view, () => this.look(), this.stage)
    this.cues = new CueList(actions)
    this.cuePanel = new CuePanel(actions)
    this.casePanel = new CasePanel(actions)
    this.tree = new Tree((ids) => this.gather(ids))
    this.whatIf = new WhatIf(actions)
    this.marks = new Marks(actions)
    this.tabs = new Tabs("More about this case", [
      { id: "tree", text: "Hierarchy", title: "How the concepts belong together (key T)", panel: this.tree },
      { id: "if", text: "What if", title: "Make a concept weaker or stronger (key W)", panel: this.whatIf },
      { id: "marks", text: "Notes", title: "Notes and drawings on this case (key T)", panel: this.marks },
    ])
    this.tour = new Onboarding()
    this.help = new Help(() => this.tour.show())
    this.assemble()
  }

  assemble() {
    this.alert = new Alert()
    this.held = el("div", { class: "held", role: "status", hidden: true })
    this.live = el("div", { class: "unseen", "aria-live": "polite" })
    this.story = new Story()
    this.host.append(this.head.root, this.alert.root, this.held, el("div", { class: "columns" },
      el("div", { class: "left" }, el("div", { class: "picture" }, this.stage.root, this.tour.root, this.prompt.root, this.live), this.controls.root, this.story.root),
      el("div", { class: "right" }, this.cues.root, this.cuePanel.root,
        el("div", { class: "pair" }, this.tabs.root, this.casePanel.root))), this.help.root)
    this.tour.begin()
  }

  update(data, trigger) {
    this.trigger = trigger
    const { model, blobs } = unpack(data)
    const before = this.model
    const moved = before?.id !== model.id
    this.model = model
    this.host.dataset.mode = model.mode
    const answered = this.judging.update(model)
    if (moved) this.begin(model)
    if (moved || before.mode !== model.mode) this.arrived()
    this.load(model)
    this.stage.load(model, blobs)
    for (const answer of answered) this.answered(answer)
    if (!moved && before.hidden.length && !model.hidden.length) this.revealed(model)
    if (!moved && answered.some(({ event }) => event.kind === "undo")) this.showUndone(before, model)
    this.sync()
  }

  // Rebuild only what changed, so that focus and half-written words stay.
  load(model) {
    this.parts ??= new Map()
    const fresh = (name, part, ...watched) => {
      const now = JSON.stringify([model.id, model.hidden, ...watched])
      if (this.parts.get(name) === now) return false
      this.parts.set(name, now)
      part.load(model)
      return true
    }
    const named = model.cues.map((cue) => [cue.id, cue.name, cue.qualifier])
    fresh("head", this.head, model.place, model.mode, model.label, model.next_id, model.previous_id, model.position, model.total)
    if (!fresh("cues", this.cues, named)) this.cues.refresh(model)
    fresh("cue", this.cuePanel, model.reasons)
    fresh("case", this.casePanel, model.criteria, model.classes)
    fresh("tree", this.tree, named, model.tree)
    fresh("if", this.whatIf, model.what_if)
    fresh("controls", this.controls, model.layers)
    fresh("story", this.story, model.narrative, model.version)
  }

  begin(model) {
    this.justJudged = null
    this.alert.close()
    this.prompt.close()
    this.looking.begin(model.cues, model.cues.find((cue) => !this.judging.stand(cue).value) ?? model.cues[0])
  }

  // A line over the picture: the app is silent, or somebody else has this case open.
  holder(place, waiting) {
    this.held.hidden = !place?.held_by && !this.late
    if (this.late) this.held.textContent = `The app does not answer. ${waiting} of your answers ${waiting === 1 ? "is" : "are"} kept in this browser and sent as soon as it does.`
    else if (place?.held_by) this.held.textContent = heldInWords(place)
  }

  // ---- looking: no round trip

  look() {
    this.looking.remember()
    this.controls.sync()
    this.cues.sync(this.view, (cue) => this.judging.stand(cue))
    this.stage.refresh()
    this.stage.draw()
  }

  sync() {
    const cue = this.chosen()
    const { judging } = this
    this.controls.sync()
    this.cues.sync(this.view, (each) => judging.stand(each))
    this.tree.sync(this.view)
    this.cuePanel.sync(cue, cue ? judging.details(cue) : PLAIN_DETAILS, cue ? judging.stand(cue) : {})
    this.casePanel.sync(judging.said())
    this.tabs.count("marks", this.marks.sync(this.model, judging.waiting))
    this.wait()
  }

  // Say that answers wait; and after a while that they are late.
  wait() {
    const { length } = this.judging.waiting
    clearTimeout(this.tardy)
    if (length) this.tardy = setTimeout(() => { this.late = true; this.wait() }, LATE_MS)
    else this.late = false
    this.head.sync(this.judging.undoing(), length)
    this.holder(this.model.place, length)
  }

  // by: "hand" where the person chose it, "desk" where the desk moved on.
  select(id, by = "hand") {
    if (by === "hand") this.justJudged = null
    this.looking.select(id)
    this.cues.reveal(id)
    this.sync()
    this.stage.refresh()
    this.stage.draw()
  }

  gather(ids) {
    this.looking.gather(ids)
    this.select(ids[0])
  }

  step(by) {
    const at = this.model.cues.findIndex((cue) => cue.id === this.view.selected)
    const next = this.model.cues[Math.min(Math.max(at + by, 0), this.model.cues.length - 1)]
    if (next) this.select(next.id)
  }

  toggle(id) {
    this.looking.toggle(id)
    this.look()
  }

  solo(id) {
    this.looking.solo(id)
    this.sync()
    this.look()
  }

  // ---- saying

  chosen() {
    return this.model.cues.find((cue) => cue.id === this.view.selected) ?? null
  }

  cue(id) {
    return this.model.cues.find((cue) => cue.id === id) ?? null
  }

  verdict(id, value) {
    const cue = this.cue(id)
    if (cue && this.judging.verdict(cue, value)) this.select(id)
  }

  // A key judges and goes on to the next cue without a verdict.
  judge(value, scope = null) {
    const cue = this.chosen()
    if (cue && this.judging.byKey(cue, value, scope)) this.onward(cue)
  }

  onward(cue) {
    const next = this.judging.nextOpen(cue.id)
    if (next) this.select(next.id, "desk")
    else this.say("Every cue is judged. G or D for the case, N for the next one.")
    this.justJudged = this.judging.stand(cue).value === "spurious" ? cue.id : null
  }

  // The reason for the cue just judged, else for the selected one.
  why() {
    const cue = this.cue(this.justJudged) ?? this.chosen()
    if (!cue) return
    this.select(cue.id)
    this.asking.why(this.model, cue, () => this.onward(cue))
  }

  detail(change) {
    const cue = this.chosen()
    if (cue) this.judging.detail(cue, change)
  }

  assess(change) {
    this.judging.assess(change)
    this.sync()
  }

  drawn(shape) {
    const [, y] = this.stage.place(shape.points[0])
    const low = y < this.stage.root.clientHeight / 2 // the question must not lie over the drawing
    this.asking.drawn(this.model, shape, this.chosen(), low, () => this.stage.settleDrawing())
  }

  note(kind, text, payload) {
    this.judging.note(kind, text, payload)
    this.say("Note: saving.")
  }

  restore(payload) {
    this.tabs.show("if")
    this.whatIf.restore(payload)
  }

  skip() {
    if (this.judging.barred()) return
    this.judging.mark("skip")
    if (this.model.next_id) this.open("next")
    else this.say("Skipped. This is the last case.")
  }

  // ---- going on

  open(which) {
    const id = this.model[`${which}_id`]
    if (!id) return this.say(which === "next" ? "No further case is open for you: this is the last one." : "This is the first case.")
    this.stage.root.getRootNode().activeElement?.blur() // a comment in progress is taken along
    this.go({ kind: "open", case_id: id, how: which })
  }

  ask(mode) {
    if (mode !== this.model.mode) this.go({ kind: "mode", mode })
  }

  go(request) {
    if (this.judging.opening) return
    this.host.setAttribute("aria-busy", "true")
    this.giveUp = setTimeout(() => this.arrived(), ARRIVAL_MS)
    this.judging.go(request)
  }

  arrived() {
    clearTimeout(this.giveUp)
    if (!this.judging.opening) return
    this.judging.arrived()
    this.host.removeAttribute("aria-busy")
  }

  answered({ event, ack }) {
    const about = event.cue_id ?? event.kind
    if (ack.ok) {
      this.alert.settle(about)
      return this.say(ack.message || "Saved.")
    }
    if (event.kind === "draw") this.stage.settleDrawing()
    this.alert.show(ack.message, about)
  }

  revealed(model) {
    const own = model.assessment?.corrected_label
    this.say(`Shown now: the model says ${model.prediction}.${own ? ` You said ${own}.` : ""}`)
  }

  // Go to the cue whose verdict an undo changed.
  showUndone(before, model) {
    const revision = new Map(before.cues.map((cue) => [cue.id, cue.mine?.revision]))
    const changed = model.cues.find((cue) => revision.get(cue.id) !== cue.mine?.revision)
    if (changed) this.select(changed.id)
  }

  say(words) {
    this.live.textContent = words
    const stillFor = 2500
    this.live.classList.add("seen")
    clearTimeout(this.quiet)
    this.quiet = setTimeout(() => this.live.classList.remove("seen"), stillFor)
  }

  // ---- keys

  key(key) {
    if (!this.model) return false
    if (key === "Escape") return this.escape()
    if (this.prompt.open) return false
    const does = this.commands()[key] ?? this.digit(key)
    if (!does) return false
    if (this.tour.open) this.tour.close()
    does()
    return true
  }

  escape() {
    const open = [[!this.help.root.hidden, () => this.help.toggle(false)], [this.prompt.open, () => this.prompt.close()], [this.tour.open, () => this.tour.close()]]
    const found = open.find(([is]) => is)
    found?.[1]()
    return Boolean(found)
  }

  digit(key) {
    const cue = /^[1-9]$/.test(key) ? this.model.cues[Number(key) - 1] : null
    return cue ? () => this.select(cue.id) : null
  }

  commands() {
    const { view, looking, asking, model } = this
    return {
      y: () => this.judge("correct"), u: () => this.judge("unsure"),
      x: () => this.judge("spurious"), c: () => this.judge("spurious", "class"), e: () => this.judge("spurious", "everywhere"),
      r: () => this.why(), z: () => this.judging.undo(),
      g: () => this.assess({ agree: true }), d: () => this.assess({ agree: false }),
      l: () => asking.label(model), m: () => asking.rate(model), k: () => asking.keep(model),
      f: () => asking.flag(model), q: () => asking.escalate(model), j: () => this.skip(),
      n: () => this.open("next"), p: () => this.open("previous"),
      ArrowDown: () => this.step(1), ArrowUp: () => this.step(-1),
      s: () => view.selected && this.solo(view.selected), v: () => view.selected && this.toggle(view.selected),
      a: () => { looking.all(model.cues); this.look() }, b: () => { view.bare = !view.bare; this.look() },
      o: () => { looking.nextOverlay(); this.look() },
      i: () => { looking.nextTool(); this.stage.settleDrawing(); this.look() },
      ".": () => this.controls.nextLayer(), t: () => this.tabs.next(), w: () => this.tabs.show("if"),
      "+": () => this.stage.zoomBy(1.4), "=": () => this.stage.zoomBy(1.4), "-": () => this.stage.zoomBy(1 / 1.4), 0: () => this.stage.reset(),
      h: () => this.help.toggle(), "?": () => this.help.toggle(),
    }
  }

  destroy() {
    this.unlisten()
    this.judging.outbox.stop()
    for (const timer of [this.quiet, this.giveUp, this.tardy]) clearTimeout(timer)
    this.stage.destroy()
    this.host.remove()
  }
}

// Streamlit calls this again on the same root whenever the data changes, without cleaning up
// first: the desk is made once per root and only updated afterwards.
const desks = new WeakMap()

export default function mount({ data, parentElement, setTriggerValue }) {
  let desk = desks.get(parentElement)
  if (!desk) {
    const host = el("div", { class: "desk" })
    parentElement.append(host)
    desk = new Desk(host)
    desks.set(parentElement, desk)
  }
  desk.update(data, setTriggerValue)
  return () => {
    desk.destroy()
    desks.delete(parentElement)
  }
}
