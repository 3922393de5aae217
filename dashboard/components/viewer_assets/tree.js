// The concept hierarchy of this case, as an ARIA tree. An is-a edge is a full line with a
// hollow triangle, a part-of edge a dashed line with a diamond, as in a class diagram. Choosing
// a concept puts it and all under it on the picture.

import { button, called, el, inFull, setAll, signed } from "./dom.js"
import { Icicle } from "./icicle.js"

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

// The cues of a node and of all under it, strongest first as they come.
export function cuesUnder(node) {
  return [...(node.cue_id ? [node.cue_id] : []), ...(node.children ?? []).flatMap(cuesUnder)]
}

// The line itself is the item, so that its name is its own text and not that of all below it.
const treeitem = (depth, look, ...parts) => el("span", {
  class: look, role: "treeitem", tabindex: "-1", "aria-level": depth, "aria-selected": "false",
}, ...parts)

export class Tree {
  // `choose(cueIds)` is called with all cues at and under the concept that was chosen.
  constructor(choose) {
    this.take = choose
    this.list = el("ul", { role: "tree", class: "tree", "aria-label": "Concepts in this image and how they belong together" })
    this.icicle = new Icicle((node) => this.take(cuesUnder(node)))
    this.flat = button("tool small", () => this.turn(), "Show the same as an icicle: the wider a block, the larger its contribution", "Icicle")
    this.root = el("section", { class: "tabpanel" },
      el("div", { class: "line spread" }, el("span", { class: "legend" },
        el("span", { class: "edge is-a" }), "is a", el("span", { class: "edge part-of" }), "part of"),
        el("span", {}, el("a", { href: "concepts?show=hierarchy", text: "Whole project", title: "The hierarchy of all concepts: propose another parent, a merge or a split" }), " ", this.flat)),
      this.list, this.icicle.root)
    this.icicle.root.hidden = true
    this.list.addEventListener("keydown", (event) => this.key(event))
  }

  turn() {
    this.icicle.root.hidden = !this.icicle.root.hidden
    this.list.hidden = !this.icicle.root.hidden
    this.flat.textContent = this.list.hidden ? "Tree" : "Icicle"
  }

  load(model) {
    this.letters = new Map(model.cues.map((cue) => [cue.id, cue.letter]))
    this.blind = model.hidden.includes("prediction")
    this.nodes = []
    const largest = Math.max(...model.tree.map((node) => Math.abs(node.total)), 0)
    const { kept, rest } = sorted(model.tree, SMALL * largest)
    this.list.replaceChildren(...this.branch(kept, rest, 1, null))
    this.icicle.load(model)
    this.flat.hidden = !model.tree.length || this.blind
    if (this.flat.hidden && this.list.hidden) this.turn()
    if (!model.tree.length) {
      this.list.replaceChildren(el("li", { role: "none", class: "empty", text: "No relations between the concepts of this image." }))
    }
    this.nodes[0]?.item.setAttribute("tabindex", "0")
  }

  branch(kept, rest, depth, above) {
    const items = kept.map((node) => this.build(node, depth, above))
    if (rest.length) items.push(this.folded(rest, depth, above))
    return items
  }

  // The small ones behind one line that opens.
  folded(rest, depth, above) {
    const sum = this.blind ? "" : signed(rest.reduce((total, node) => total + node.total, 0))
    const text = `${rest.length} smaller`
    const group = el("ul", { role: "group", hidden: true })
    const item = treeitem(depth, "node more", el("span", { class: "node-name", text: `+ ${text}` }),
      el("span", { class: "figure", text: sum }), sr("logit together"))
    item.setAttribute("aria-expanded", "false")
    const entry = { item, node: {}, above, expand: (open) => {
      if (!group.childElementCount) {
        const at = this.nodes.indexOf(entry) + 1
        const later = this.nodes.splice(at)
        group.append(...rest.map((node) => this.build(node, depth + 1, entry)))
        this.nodes.push(...later)
      }
      group.hidden = !open
      item.setAttribute("aria-expanded", String(open))
      item.firstChild.textContent = `${open ? "\u2212" : "+"} ${text}`
    } }
    this.nodes.push(entry)
    item.addEventListener("click", () => { this.choose(entry); entry.expand(group.hidden) })
    return el("li", { role: "none" }, item, group)
  }

  build(node, depth, above) {
    const letter = this.letters.get(node.cue_id)
    const kind = { "is-a": "is a kind of the one above", "part-of": "is part of the one above" }[node.kind] ?? "at the top"
    const grows = node.kept.length > 0 || node.rest.length > 0
    const item = treeitem(depth, "node",
      grows ? el("span", { class: "twist", "aria-hidden": "true", text: "\u25be" }) : null,
      node.kind ? el("span", { class: `edge ${node.kind}` }) : null,
      letter ? el("span", { class: "tag", text: letter }) : null,
      called("node-name", node), sr(kind),
      ...(this.blind ? [] : [el("span", { class: "figure", text: signed(node.total), title: "Contribution of this concept and all under it, logit units" }), sr("logit")]))
    item.title = `${inFull(node)}: ${kind}`
    const entry = { item, node, above }
    this.nodes.push(entry)
    const line = el("li", { role: "none" }, item)
    if (grows) {
      const group = el("ul", { role: "group" }, ...this.branch(node.kept, node.rest, depth + 1, entry))
      entry.expand = (open) => {
        group.hidden = !open
        item.setAttribute("aria-expanded", String(open))
        item.firstChild.textContent = open ? "\u25be" : "\u25b8"
      }
      entry.expand(true)
      line.append(group)
    }
    item.addEventListener("click", (event) => {
      if (grows && event.target === item.firstChild) entry.expand(item.getAttribute("aria-expanded") === "false")
      else this.choose(entry)
    })
    return line
  }

  choose({ item, node }) {
    for (const other of this.nodes) other.item.setAttribute("tabindex", other.item === item ? "0" : "-1")
    const found = cuesUnder(node)
    if (found.length) this.take(found)
  }

  sync(view) {
    for (const { item, node } of this.nodes) {
      setAll(item, { "aria-selected": String(Boolean(node.cue_id) && node.cue_id === view.selected) })
    }
    this.icicle.sync(view)
  }

  // As the ARIA pattern for trees has it.
  key(event) {
    const seen = this.nodes.filter(({ item }) => item.offsetParent !== null)
    const at = seen.findIndex(({ item }) => item === event.composedPath()[0])
    const entry = seen[at]
    if (!entry) return
    const open = entry.item.getAttribute("aria-expanded")
    const goes = {
      ArrowDown: () => seen[at + 1], ArrowUp: () => seen[at - 1], Home: () => seen[0], End: () => seen.at(-1),
      ArrowRight: () => open === "false" ? entry.expand(true) : open === "true" ? seen[at + 1] : null,
      ArrowLeft: () => open === "true" ? entry.expand(false) : entry.above,
      Enter: () => this.press(entry), " ": () => this.press(entry),
    }[event.key]
    if (!goes) return
    event.stopPropagation()
    event.preventDefault()
    const next = goes()
    if (!next) return
    this.choose(next)
    next.item.focus()
  }

  press(entry) {
    this.choose(entry)
    if (!entry.node.concept_id) entry.expand(entry.item.getAttribute("aria-expanded") === "false")
    return null
  }
}
