// What would the model say if a concept were weaker or stronger? Its head is linear, so this is
// exact for the concepts as read, and reckoned here while the slider moves.

import { button, el, percent, signed } from "./dom.js"

const SHOWN_CLASSES = 3
const ABOUT = "Exact for the concepts as the model read them. Editing the image itself can change other concepts too: compare with If removed."

export function softmax(logits, temperature) {
  const scaled = logits.map((logit) => logit / temperature)
  const top = Math.max(...scaled)
  const powers = scaled.map((value) => Math.exp(value - top))
  const sum = powers.reduce((a, b) => a + b, 0)
  return powers.map((value) => value / sum)
}

// Logits after levers were moved: `set` maps the index of a lever to its new activation.
export function moved({ logits, levers }, set) {
  const out = [...logits]
  for (const [index, value] of set) {
    const { weights, activation } = levers[index]
    weights.forEach((weight, at) => { out[at] += weight * (value - activation) })
  }
  return out
}

export class WhatIf {
  constructor(actions) {
    this.actions = actions
    this.set = new Map() // lever index -> activation
    this.result = el("div", { class: "odds" })
    this.list = el("div", { class: "levers" })
    this.find = el("input", { type: "text", placeholder: "Find a concept", "aria-label": "Find a concept to change", on: {
      input: () => this.filter(), keydown: (event) => { if (event.key === "Escape") this.find.blur() } } })
    this.reset = button("tool small", () => this.clear(), "Put every concept back", "Reset")
    this.least = button("tool small", () => this.flip(), "The fewest changes after which the model decides otherwise", "Smallest flip")
    this.save = button("tool small", () => this.keep(), "Keep these changes as a note on this case", "Save as note")
    this.body = el("div", { class: "what-if", title: ABOUT }, this.result,
      el("div", { class: "line" }, this.find, this.least, this.reset, this.save), this.list)
    this.none = el("p", { class: "empty" })
    this.root = el("section", { class: "tabpanel" }, this.body, this.none)
  }

  load(model) {
    this.model = model
    this.data = model.what_if
    const known = this.caseId === model.id && this.rows?.length === this.data?.levers.length
    this.caseId = model.id
    this.body.hidden = !this.data
    this.none.hidden = Boolean(this.data)
    this.none.textContent = model.hidden.includes("prediction") ? "Shown once your own label is in." : "The model of this case is no longer there, so nothing can be reckoned."
    this.least.hidden = !model.flip
    if (!this.data || known) return
    this.set.clear()
    this.rows = this.data.levers.map((lever, index) => this.row(lever, index))
    const { cues, rest } = this.arranged(model)
    this.list.replaceChildren(...cues, ...this.groups(model), ...rest)
    this.find.value = ""
    this.filter()
    this.show()
  }

  // One slider for a parent and all under it: they move by the same factor.
  groups(model) {
    const parents = []
    const walk = (node) => {
      const under = this.leversUnder(node)
      if (node.children.length && under.length > 1) parents.push({ node, under })
      node.children.forEach(walk)
    }
    model.tree.forEach(walk)
    return parents.map(({ node, under }) => this.group(node, under))
  }

  leversUnder(node) {
    const own = this.data.levers.findIndex((lever) => lever.concept_id === node.concept_id)
    return [...(own >= 0 ? [own] : []), ...node.children.flatMap((child) => this.leversUnder(child))]
  }

  group(node, under) {
    const input = range(0, 200, 1, 100, `All under ${node.name}, per cent of what they are`)
    const shown = el("output", { text: "100\u202f%" })
    input.addEventListener("input", () => {
      shown.textContent = `${input.value}\u202f%`
      for (const index of under) this.move(index, (this.data.levers[index].activation * input.value) / 100, false)
      this.show()
    })
    const root = el("label", { class: "lever all" }, el("span", { class: "lever-name", text: `${node.name}, all ${under.length}`, title: `All ${under.length} concepts under ${node.name} by one factor` }), input, shown)
    return Object.assign(root, { again: () => { input.value = 100; shown.textContent = "100\u202f%" }, words: node.name })
  }

  // Cues in their order, and the rest.
  arranged(model) {
    const rank = new Map(model.cues.map((cue, i) => [cue.concept_id, i]))
    this.letters = new Map(model.cues.map((cue) => [cue.concept_id, cue.letter]))
    const order = this.data.levers.map((lever, i) => [rank.get(lever.concept_id) ?? 1000 + i, i]).sort((a, b) => a[0] - b[0])
    const found = { cues: [], rest: [] }
    for (const [, i] of order) {
      const { root, letter, lever } = this.rows[i]
      letter.textContent = this.letters.get(lever.concept_id) ?? ""
      letter.hidden = !letter.textContent
      found[letter.hidden ? "rest" : "cues"].push(root)
    }
    return found
  }

  row(lever, index) {
    const top = Math.max(lever.top, lever.activation, 1e-3)
    const input = range(0, top, top / 200, lever.activation, `${lever.name}, activation from 0 to ${top.toFixed(2)}`)
    const shown = el("output", {})
    const letter = el("span", { class: "tag", hidden: true })
    input.addEventListener("input", () => { this.move(index, Number(input.value)); this.show() })
    const root = el("label", { class: "lever" }, el("span", { class: "lever-name", title: `${lever.name}: activation, encoder units; as read ${lever.activation.toFixed(2)}` }, letter, lever.name), input, shown)
    return { root, input, shown, letter, lever }
  }

  move(index, value, exact = true) {
    const { lever } = this.rows[index]
    const within = Math.min(Math.max(value, 0), Math.max(lever.top, lever.activation))
    if (Math.abs(within - lever.activation) < (exact ? lever.top / 400 : 1e-9)) this.set.delete(index)
    else this.set.set(index, within)
  }

  clear() {
    this.set.clear()
    for (const child of this.list.children) child.again?.()
    this.show()
  }

  flip() {
    this.clear()
    for (const [name, before, after] of this.model.flip.changes) {
      const alike = this.data.levers.map((lever, i) => [Math.abs(lever.activation - before), i]).filter(([, i]) => this.data.levers[i].name === name)
      if (alike.length) this.move(alike.sort((a, b) => a[0] - b[0])[0][1], after)
    }
    this.show()
  }

  // Put back what a note kept.
  restore(payload) {
    if (!this.data || !Array.isArray(payload?.changes)) return
    this.clear()
    for (const change of payload.changes) {
      const index = this.data.levers.findIndex((lever) => lever.concept_id === change.concept_id)
      if (index >= 0 && Number.isFinite(change.to)) this.move(index, change.to)
    }
    this.show()
  }

  filter() {
    const wanted = this.find.value.trim().toLowerCase()
    for (const { root, lever } of this.rows) root.hidden = Boolean(wanted) && !lever.name.toLowerCase().includes(wanted)
    for (const child of this.list.children) if (child.again) child.hidden = Boolean(wanted) && !child.words.toLowerCase().includes(wanted)
  }

  show() {
    const { classes, logits, temperature } = this.data
    this.rows.forEach(({ input, shown, lever, root }, index) => {
      const value = this.set.get(index) ?? lever.activation
      input.value = value
      root.classList.toggle("moved", this.set.has(index))
      shown.textContent = this.set.has(index) ? `${lever.activation.toFixed(2)} \u2192 ${value.toFixed(2)}` : value.toFixed(2)
    })
    const before = softmax(logits, temperature)
    const after = softmax(moved(this.data, this.set), temperature)
    this.outcome = { before, after, was: classes[largest(before)], now: classes[largest(after)] }
    const order = classes.map((_, i) => i).sort((a, b) => after[b] - after[a]).slice(0, SHOWN_CLASSES)
    this.result.replaceChildren(this.headline(), ...order.map((i) => odds(classes[i], before[i], after[i])))
    this.reset.disabled = this.save.disabled = this.set.size === 0
  }

  headline() {
    const { was, now } = this.outcome
    const words = this.set.size === 0 ? `Move a concept: the model says ${was}` : now === was ? `Still ${now}` : `Now ${now}, was ${was}`
    return el("b", { class: now === was ? "" : "turned", role: "status", text: words })
  }

  keep() {
    const changes = [...this.set].map(([index, to]) => {
      const { concept_id, name, activation } = this.data.levers[index]
      return { concept_id, name, from: round(activation), to: round(to) }
    })
    const { before, after, was, now } = this.outcome
    const at = (odd, name) => odd[this.data.classes.indexOf(name)]
    const moves = changes.map(({ name, from, to }) => `${name} ${from} \u2192 ${to}`).join(", ")
    const text = `What if ${moves}: ${now} ${percent(at(after, now))} (was ${was} ${percent(at(before, was))}).`
    this.actions.note("what-if", text, { changes, was, now, before: before.map(round), after: after.map(round), classes: this.data.classes })
  }
}

function odds(name, before, after) {
  const line = el("span", { class: "odd-bar", "aria-hidden": "true" }, el("span", { class: "now" }), el("span", { class: "then" }))
  line.firstChild.style.width = `${100 * after}%`
  line.lastChild.style.left = `${100 * before}%`
  const points = 100 * (after - before)
  const change = Math.abs(points) < 0.5 ? "" : `${signed(points, 0)} points`
  return el("span", { class: "odd", title: `${name}: calibrated probability, before ${percent(before)}` },
    el("span", { class: "odd-name", text: name }), line, el("span", { class: "figure", text: percent(after) }), el("span", { class: "soft change", text: change }))
}

function range(min, max, step, value, label) {
  const input = el("input", { type: "range", min, max, step, "aria-label": label })
  input.value = value
  // A range that keeps the focus would swallow the arrow keys.
  input.addEventListener("pointerup", () => input.blur())
  return input
}

const largest = (values) => values.indexOf(Math.max(...values))

const round = (value) => Math.round(value * 1000) / 1000
