// The concept hierarchy of this case, as an ARIA tree. An is-a edge is a full line with a
// hollow triangle, a part-of edge a dashed line with a diamond, as in a class diagram.

import { called, el, inFull, signed } from "./dom.js"

const SMALL = 0.04 // share of the largest total under which a concept without a cue is folded away

// The nodes worth a line, each with its children sorted the same way, and the small rest as one.
function sorted(nodes, least) {
  const kept = []
  const rest = []
  for (const node of nodes) {
    const below = sorted(node.children, least)
    const worth = node.cue_id || below.kept.length || Math.abs(node.total) >= least
    if (worth) kept.push({ ...node, ...below })
    else rest.push({ ...node, kept: node.children.map(whole), rest: [] })
  }
  // One line that says "one more" takes as much room as the one.
  if (rest.length === 1) return { kept: nodes.map((node) => kept.find((k) => k.concept_id === node.concept_id) ?? rest[0]), rest: [] }
  return { kept, rest }
}

const whole = (node) => ({ ...node, kept: node.children.map(whole), rest: [] })

const sr = (text) => el("span", { class: "sr", text: ` ${text} ` })

// The line itself is the item, so that its name is its own text and not that of all below it.
const treeitem = (depth, look, ...parts) => el("span", {
  class: look, role: "treeitem", tabindex: "-1", "aria-level": depth, "aria-selected": "false",
}, ...parts)

export class Tree {
  constructor(select) {
    this.select = select
    this.list = el("ul", { role: "tree", class: "tree", "aria-label": "Concepts in this image and how they belong together" })
    this.root = el("section", { class: "panel", "aria-label": "Hierarchy" },
      el("h3", {}, "Hierarchy", el("span", { class: "legend" },
        el("span", { class: "edge is-a" }), "is a", el("span", { class: "edge part-of" }), "part of")),
      this.list)
    this.list.addEventListener("keydown", (event) => this.key(event))
  }

  load(model) {
    this.letters = new Map(model.cues.map((cue) => [cue.id, cue.letter]))
    this.nodes = []
    const largest = Math.max(...model.tree.map((node) => Math.abs(node.total)), 0)
    const { kept, rest } = sorted(model.tree, SMALL * largest)
    this.list.replaceChildren(...this.branch(kept, rest, 1))
    if (!model.tree.length) {
      this.list.replaceChildren(el("li", { role: "none", class: "empty", text: "No relations between the concepts of this image." }))
    }
    this.nodes[0]?.item.setAttribute("tabindex", "0")
  }

  branch(kept, rest, depth) {
    const items = kept.map((node) => this.build(node, depth))
    if (rest.length) items.push(this.folded(rest, depth))
    return items
  }

  // The small ones behind one line that opens.
  folded(rest, depth) {
    const sum = signed(rest.reduce((total, node) => total + node.total, 0))
    const text = `${rest.length} smaller`
    const group = el("ul", { role: "group", hidden: true })
    const item = treeitem(depth, "node more", el("span", { class: "node-name", text: `+ ${text}` }),
      el("span", { class: "figure", text: sum }), sr("logit together"))
    item.setAttribute("aria-expanded", "false")
    const entry = { item, node: {}, open: () => {
      if (!group.childElementCount) {
        const at = this.nodes.indexOf(entry) + 1
        const later = this.nodes.splice(at)
        group.append(...rest.map((node) => this.build(node, depth + 1)))
        this.nodes.push(...later)
      }
      group.hidden = !group.hidden
      item.setAttribute("aria-expanded", String(!group.hidden))
      item.firstChild.textContent = `${group.hidden ? "+" : "\u2212"} ${text}`
    } }
    this.nodes.push(entry)
    item.addEventListener("click", () => this.choose(entry))
    return el("li", { role: "none" }, item, group)
  }

  build(node, depth) {
    const letter = this.letters.get(node.cue_id)
    const kind = { "is-a": "is a kind of the one above", "part-of": "is part of the one above" }[node.kind] ?? "at the top"
    const item = treeitem(depth, "node",
      node.kind ? el("span", { class: `edge ${node.kind}` }) : null,
      letter ? el("span", { class: "tag", text: letter }) : null,
      called("node-name", node), sr(kind),
      el("span", { class: "figure", text: signed(node.total), title: "Contribution of this concept and all under it, logit units" }),
      sr("logit"))
    item.title = `${inFull(node)}: ${kind}`
    const entry = { item, node }
    this.nodes.push(entry)
    item.addEventListener("click", () => this.choose(entry))
    const line = el("li", { role: "none" }, item)
    if (node.kept.length || node.rest.length) {
      item.setAttribute("aria-expanded", "true")
      line.append(el("ul", { role: "group" }, ...this.branch(node.kept, node.rest, depth + 1)))
    }
    return line
  }

  choose({ item, node, open }, active = true) {
    for (const other of this.nodes) other.item.setAttribute("tabindex", other.item === item ? "0" : "-1")
    if (node.cue_id) this.select(node.cue_id)
    if (open && active) open()
  }

  sync(view) {
    for (const { item, node } of this.nodes) {
      item.setAttribute("aria-selected", String(Boolean(node.cue_id) && node.cue_id === view.selected))
    }
  }

  key(event) {
    const seen = this.nodes.filter(({ item }) => item.offsetParent !== null)
    const at = seen.findIndex(({ item }) => item === event.composedPath()[0])
    if (at < 0) return
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step) {
      event.stopPropagation()
      event.preventDefault()
      if (!seen[at + step]) return
      this.choose(seen[at + step], false)
      seen[at + step].item.focus()
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault()
      this.choose(seen[at])
    }
  }
}
