// The desk: wires the parts, keeps what is being looked at, and talks to the server only about
// verdicts, assessments, undo and which case to open.

import { el } from "./dom.js"
import { unpack } from "./packet.js"
import { Stage } from "./stage.js"
import { Controls } from "./controls.js"
import { CueList } from "./cues.js"
import { Tree } from "./tree.js"
import { CasePanel, CuePanel } from "./panels.js"
import { Head } from "./head.js"
import { Help, onKeys } from "./keys.js"
import { Outbox, uuid } from "./outbox.js"

const VIEW = "insight.view"
const STRONGEST = 3
const ARRIVAL_MS = 60000 // then the present case may be judged again: the server seems gone
const PLAIN = { scope: "here", reason: null, comment: "" }

class Desk {
  constructor(host) {
    this.host = host
    this.opening = null
    this.view = { selected: null, on: new Set(), solo: false, bare: false, mode: "fill", opacity: 0.45, threshold: 0.5 }
    this.recall()
    this.drafts = new Map() // scope, reason and comment chosen before a verdict is given
    this.outbox = new Outbox((events) => this.trigger?.("events", events))
    const act = (name) => (...args) => this[name](...args)
    const actions = {}
    for (const name of ["toggle", "select", "solo", "verdict", "detail", "assess", "open", "undo"]) actions[name] = act(name)
    actions.help = () => this.help.toggle()
    this.head = new Head(actions)
    this.stage = new Stage(this.view, (id) => this.select(id))
    this.controls = new Controls(this.view, () => this.look(), this.stage)
    this.cues = new CueList(actions)
    this.cuePanel = new CuePanel(actions)
    this.casePanel = new CasePanel(actions)
    this.tree = new Tree((id) => this.select(id))
    this.help = new Help()
    this.alert = el("div", { class: "alert", role: "alert", hidden: true })
    this.live = el("div", { class: "unseen", "aria-live": "polite" })
    this.story = el("section", { class: "story", "aria-label": "In words" })
    host.append(this.head.root, this.alert, el("div", { class: "columns" },
      el("div", { class: "left" }, this.stage.root, this.controls.root, this.story),
      el("div", { class: "right" }, this.cues.root, this.cuePanel.root,
        el("div", { class: "pair" }, this.tree.root, this.casePanel.root))), this.live, this.help.root)
    this.unlisten = onKeys((key) => this.key(key))
  }

  update(data, trigger) {
    this.trigger = trigger
    const { model, blobs } = unpack(data)
    const moved = this.model?.id !== model.id
    this.model = model
    this.outbox.attach(model.reviewer_id, model.project_id, model.session)
    if (moved) this.begin(model)
    if (moved && this.opening) this.arrived()
    for (const answer of this.outbox.settle(model.acks)) this.answered(answer)
    const structure = JSON.stringify([model.id, model.cues.map((c) => [c.id, c.name]), model.tree])
    if (structure !== this.structure) {
      this.structure = structure
      for (const part of [this.head, this.cues, this.cuePanel, this.casePanel, this.tree]) part.load(model)
      this.tell(model)
      this.stage.load(model, blobs)
    } else {
      this.cues.refresh(model)
    }
    this.sync()
  }

  begin(model) {
    this.view.selected = model.cues[0]?.id ?? null
    this.view.solo = this.view.bare = false
    this.view.on = new Set(model.cues.slice(0, STRONGEST).map((cue) => cue.id))
    this.alert.hidden = true
    this.drafts.clear()
  }

  tell(model) {
    const explained = el("span", { class: "sure-of-it", title: "How much of what the encoder sees the concepts account for; low means that this explanation leaves much out" })
    explained.append(el("b", { text: `${Math.round(100 * model.reconstruction)}\u202f%` }), " explained")
    this.story.replaceChildren(el("p", { tabindex: "0" }, model.narrative), el("p", { class: "fine" }, explained,
      ` \u00b7 concepts not listed add ${model.other_text} logit \u00b7 version ${model.version}`))
  }

  // ---- looking: no round trip

  look() {
    this.remember()
    this.controls.sync()
    this.cues.sync(this.view, (cue) => this.stand(cue))
    this.stage.refresh()
  }

  sync() {
    const cue = this.chosen()
    this.controls.sync()
    this.cues.sync(this.view, (each) => this.stand(each))
    this.tree.sync(this.view)
    this.cuePanel.sync(cue, cue ? this.details(cue) : PLAIN)
    this.casePanel.sync(this.said())
    this.head.sync(this.undoing())
  }

  undoing() {
    return this.outbox.waiting.some((event) => event.kind === "undo")
  }

  select(id) {
    this.view.selected = id
    if (this.view.solo === false) this.view.on.add(id)
    this.cues.reveal(id)
    this.sync()
    this.stage.refresh()
  }

  step(by) {
    const at = this.model.cues.findIndex((cue) => cue.id === this.view.selected)
    const next = this.model.cues[Math.min(Math.max(at + by, 0), this.model.cues.length - 1)]
    if (next) this.select(next.id)
  }

  toggle(id) {
    if (!this.view.on.delete(id)) this.view.on.add(id)
    this.view.solo = false
    this.look()
  }

  solo(id) {
    this.view.selected = id
    this.view.solo = !this.view.solo
    this.view.bare = false
    this.sync()
    this.look()
  }

  all() {
    const every = this.model.cues.map((cue) => cue.id)
    const full = every.every((id) => this.view.on.has(id))
    this.view.on = new Set(full ? every.slice(0, STRONGEST) : every)
    this.view.solo = this.view.bare = false
    this.look()
  }

  // ---- judging: one list of events, each with its own id

  chosen() {
    return this.model.cues.find((cue) => cue.id === this.view.selected) ?? null
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

  detail(change) {
    const cue = this.chosen()
    if (!cue) return
    const next = { ...this.details(cue), ...change }
    this.drafts.set(cue.id, next)
    const { value } = this.stand(cue)
    if (value) this.verdict(cue.id, value)
    else this.sync()
  }

  verdict(id, value) {
    if (this.opening) return this.say("One moment: the other case is on its way.")
    const cue = this.model.cues.find((each) => each.id === id)
    if (!cue) return
    if (this.undoing()) return this.say("One moment: undo is under way.")
    const details = this.details(cue)
    const reason = value === "spurious" ? details.reason : null
    const stand = this.stand(cue)
    const same = stand.value === value && stand.scope === details.scope
      && (stand.reason ?? null) === reason && (stand.comment ?? "") === details.comment
    if (same) return this.say(`${cue.letter} is ${value} already.`)
    const based_on = (cue.mine?.revision ?? 0) + this.outbox.count("verdict", "cue_id", id)
    this.outbox.add({ id: uuid(), kind: "verdict", cue_id: id, case_id: this.model.id, value, scope: details.scope, reason, comment: details.comment, based_on })
    this.view.selected = id
    this.say(`Cue ${cue.letter}, ${cue.name}: ${value}, saving.`)
    this.sync()
    this.stage.draw()
  }

  said() {
    const waiting = this.outbox.pendingAssessment(this.model.id)
    if (waiting) return { ...waiting, state: "saving" }
    const { assessment } = this.model
    const says = assessment && (assessment.agree !== null || assessment.corrected_label || assessment.comment)
    return says ? { ...assessment, state: "saved" } : { agree: null, corrected_label: null, comment: "", state: "none" }
  }

  assess(change) {
    if (this.opening) return this.say("One moment: the other case is on its way.")
    const { agree, corrected_label, comment } = { ...this.said(), ...change }
    const next = { agree, corrected_label, comment }
    if (change.corrected_label) next.agree = change.corrected_label === this.model.prediction
    if (change.agree === true) next.corrected_label = null
    const based_on = (this.model.assessment?.revision ?? 0) + this.outbox.count("assess", "case_id", this.model.id)
    this.outbox.add({ id: uuid(), kind: "assess", case_id: this.model.id, ...next, based_on })
    this.sync()
  }

  undo() {
    if (this.opening) return this.say("One moment: the other case is on its way.")
    this.outbox.add({ id: uuid(), kind: "undo", case_id: this.model.id })
    this.say("Undoing your last verdict.")
    this.sync()
  }

  open(which) {
    const id = this.model[`${which}_id`]
    if (!id) return this.say(which === "next" ? "This is the last case." : "This is the first case.")
    this.stage.root.getRootNode().activeElement?.blur() // a comment in progress is taken along
    if (this.opening) return
    // Until the other case stands, no key may judge: it would fall on the case that is leaving.
    this.opening = id
    this.host.setAttribute("aria-busy", "true")
    this.giveUp = setTimeout(() => this.arrived(), ARRIVAL_MS)
    this.outbox.ask({ kind: "open", case_id: id })
  }

  arrived() {
    clearTimeout(this.giveUp)
    this.opening = null
    this.outbox.ask(null)
    this.host.removeAttribute("aria-busy")
  }

  answered({ event, ack }) {
    if (event.kind === "verdict") this.drafts.delete(event.cue_id)
    if (ack.ok) return this.say(ack.message || "Saved.")
    this.alert.textContent = ack.message
    this.alert.hidden = false
  }

  say(words) {
    this.live.textContent = words
    const stillFor = 2500
    this.live.classList.add("seen")
    clearTimeout(this.quiet)
    this.quiet = setTimeout(() => this.live.classList.remove("seen"), stillFor)
  }

  key(key) {
    if (!this.model) return false
    if (key === "Escape" && !this.help.root.hidden) return this.help.toggle(false), true
    const judge = { y: "correct", x: "spurious", u: "unsure" }[key]
    const modes = ["fill", "outline", "spotlight"]
    const does = {
      ArrowDown: () => this.step(1),
      ArrowUp: () => this.step(-1),
      z: () => this.undo(),
      n: () => this.open("next"),
      p: () => this.open("previous"),
      b: () => { this.view.bare = !this.view.bare; this.look() },
      s: () => this.view.selected && this.solo(this.view.selected),
      v: () => this.view.selected && this.toggle(this.view.selected),
      a: () => this.all(),
      o: () => { this.view.mode = modes[(modes.indexOf(this.view.mode) + 1) % 3]; this.look() },
      g: () => this.assess({ agree: true }),
      d: () => this.assess({ agree: false }),
      h: () => this.help.toggle(),
      "?": () => this.help.toggle(),
      "+": () => this.stage.zoomBy(1.4),
      "=": () => this.stage.zoomBy(1.4),
      "-": () => this.stage.zoomBy(1 / 1.4),
      0: () => this.stage.reset(),
    }[key]
    if (judge) {
      if (this.view.selected) this.verdict(this.view.selected, judge)
      return true
    }
    if (/^[1-9]$/.test(key)) {
      const cue = this.model.cues[Number(key) - 1]
      if (cue) this.select(cue.id)
      return Boolean(cue)
    }
    if (does) does()
    return Boolean(does)
  }

  // ---- what the reviewer likes is kept from case to case

  recall() {
    try {
      const { mode, opacity, threshold } = JSON.parse(localStorage.getItem(VIEW) ?? "{}")
      if (["fill", "outline", "spotlight"].includes(mode)) this.view.mode = mode
      if (opacity >= 0.1 && opacity <= 0.95) this.view.opacity = opacity
      if (threshold >= 0.1 && threshold <= 0.95) this.view.threshold = threshold
    } catch {
      // Storage is blocked or damaged: the defaults hold.
    }
  }

  remember() {
    const { mode, opacity, threshold } = this.view
    try {
      localStorage.setItem(VIEW, JSON.stringify({ mode, opacity, threshold }))
    } catch {
      // Storage is blocked: the choice lasts for this page only.
    }
  }

  destroy() {
    this.unlisten()
    this.outbox.stop()
    clearTimeout(this.quiet)
    clearTimeout(this.giveUp)
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
