// The same hierarchy as an icicle: each concept a block over its children, as wide as its share of
// the contributions without sign. Hatched blocks speak against the prediction.

import { el, inFull, signed } from "./dom.js"

export class Icicle {
  constructor(choose) {
    this.choose = choose
    this.root = el("div", { class: "icicle", role: "group", "aria-label": "Concepts as an icicle; the wider, the larger the contribution" })
    this.root.addEventListener("keydown", (event) => this.onKey(event))
    this.blocks = []
  }

  load(model) {
    this.blocks = []
    this.letters = new Map(model.cues.map((cue) => [cue.id, cue.letter]))
    const roots = model.tree.map(weighed)
    const depth = Math.max(1, ...roots.map(deep))
    this.lay(roots, 0, 100, 0, depth)
    this.root.replaceChildren(...this.blocks.map(({ block }) => block))
    this.blocks[0]?.block.setAttribute("tabindex", "0")
  }

  lay(nodes, left, width, row, depth) {
    const all = nodes.reduce((sum, { weight }) => sum + weight, 0) || 1
    let at = left
    for (const each of nodes) {
      const share = (width * each.weight) / all
      this.blocks.push({ node: each.node, block: this.block(each.node, at, share, row, depth) })
      // A concept's own part stays free under it, so that children fill only their share.
      const below = each.children.reduce((sum, { weight }) => sum + weight, 0)
      this.lay(each.children, at, each.weight ? (share * below) / each.weight : 0, row + 1, depth)
      at += share
    }
  }

  block(node, left, width, row, depth) {
    const letter = this.letters.get(node.cue_id)
    const words = `${letter ? `${letter} ` : ""}${inFull(node)}: ${signed(node.total)} logit with all under it`
    return el("button", {
      type: "button", tabindex: "-1", class: `block${node.total < 0 ? " against" : ""}${node.kind === "part-of" ? " part" : ""}`,
      title: words, "aria-label": words,
      style: { left: `${left}%`, width: `${width}%`, top: `${(100 * row) / depth}%`, height: `${100 / depth}%` },
      on: { click: () => this.choose(node) },
    }, letter && width > 5 ? el("b", { class: "tag", text: letter }) : null, el("span", { text: width > 12 ? node.name : "" }))
  }

  sync(view) {
    for (const { node, block } of this.blocks) block.setAttribute("aria-pressed", String(Boolean(node.cue_id) && node.cue_id === view.selected))
  }

  onKey(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key]
    if (!step) return
    event.preventDefault()
    event.stopPropagation()
    const at = this.blocks.findIndex(({ block }) => block === event.target)
    const next = this.blocks[Math.min(Math.max(at + step, 0), this.blocks.length - 1)].block
    for (const { block } of this.blocks) block.setAttribute("tabindex", block === next ? "0" : "-1")
    next.focus()
  }
}

// A node's width: its own contribution and all under it, without signs, so that none is lost.
function weighed(node) {
  const children = node.children.map(weighed)
  const weight = Math.abs(node.contribution) + children.reduce((sum, child) => sum + child.weight, 0)
  return { node, children, weight: Math.max(weight, 1e-6) }
}

function deep({ children }) {
  return 1 + Math.max(0, ...children.map(deep))
}
