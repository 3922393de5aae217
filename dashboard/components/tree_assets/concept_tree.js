// The project's concepts as a tree that one can open, search and walk with the keyboard.
// Looking never asks the server: only a chosen concept does. Names come from people and models:
// they go in as text, never as markup.

const CHUNK = 200 // children that one opening adds; the rest waits behind a line of its own
const trees = new WeakMap()

export default function ({ data, parentElement, setTriggerValue }) {
  let tree = trees.get(parentElement)
  if (!tree) {
    tree = new ConceptTree(parentElement)
    trees.set(parentElement, tree)
  }
  tree.pick = (id) => setTriggerValue("pick", id)
  tree.load(data)
  return () => {
    tree.destroy()
    trees.delete(parentElement)
  }
}

function el(tag, attrs = {}, ...children) {
  const node = document.createElement(tag)
  for (const [name, value] of Object.entries(attrs)) {
    if (name === "text") node.textContent = value
    else if (name === "on") for (const [event, run] of Object.entries(value)) node.addEventListener(event, run)
    else if (value === null || value === undefined || value === false) continue
    else node.setAttribute(name, value === true ? "" : String(value))
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""))
  return node
}

const sr = (text) => el("span", { class: "sr", text: ` ${text} ` })

function percent(value) {
  if (value > 0 && value < 0.005) return "<1\u202f%"
  if (value < 1 && value > 0.995) return ">99\u202f%"
  return `${Math.round(100 * value)}\u202f%`
}

const RELATION = { "is-a": "is a kind of the one above", "part-of": "is part of the one above" }

class ConceptTree {
  constructor(root) {
    this.find = el("input", {
      type: "search", class: "find", placeholder: "Find in the tree", "aria-label": "Find in the tree",
      on: { input: () => this.search(this.find.value) },
    })
    this.said = el("span", { class: "said", role: "status" })
    this.list = el("ul", {
      role: "tree", class: "tree", "aria-label": "Concepts of the project and how they belong together",
      on: { keydown: (event) => this.key(event), click: (event) => this.click(event) },
    })
    this.box = el("div", { class: "concepts" },
      el("div", { class: "bar" }, this.find,
        el("button", { type: "button", text: "Open all", on: { click: () => this.openAll(true) } }),
        el("button", { type: "button", text: "Close all", on: { click: () => this.openAll(false) } }),
        this.said),
      el("div", { class: "legend" },
        el("span", { class: "edge is-a" }), "is a kind of", el("span", { class: "edge part-of" }), "is part of",
        el("span", { class: "tag person", text: "person" }), "set by a person, not the model",
        el("span", { class: "key-share" }), "share of images in which it fires"),
      this.list)
    root.append(this.box)
  }

  destroy() {
    this.box.remove()
  }

  load(data) {
    if (data.version !== this.version) {
      this.version = data.version
      this.build(data.nodes)
      this.search(this.find.value)
    }
    this.select(data.selected)
  }

  build(rows) {
    this.byId = new Map()
    this.nodes = rows.map(([id, number, name, named, share, kind, source, parent, flags, merged, also]) => ({
      id, number, name, named, share, kind, source, flags, merged, also,
      parent: null, parentAt: parent, children: [], open: false, shown: true, item: null, group: null,
    }))
    this.roots = []
    for (const node of this.nodes) {
      this.byId.set(node.id, node)
      if (node.parentAt < 0) this.roots.push(node)
      else {
        node.parent = this.nodes[node.parentAt]
        node.parent.children.push(node)
      }
    }
    // One thing often has several concepts: where a name comes twice, the number tells them apart.
    const borne = new Map()
    for (const { name } of this.nodes) borne.set(name, (borne.get(name) ?? 0) + 1)
    for (const node of this.nodes) node.apart = node.named && borne.get(node.name) > 1 ? `no. ${node.number}` : ""
    // Small trees open two levels by themselves; a large one would bury the reader.
    if (this.nodes.length <= 400) for (const node of this.roots) node.open = true
    this.current = null
  }

  // ---- drawing: only what is open is in the document

  draw() {
    const focused = this.list.contains(this.list.getRootNode().activeElement)
    for (const node of this.nodes) node.item = node.group = null
    this.list.replaceChildren(...this.lines(this.roots, 1))
    if (!this.roots.some((node) => node.shown)) {
      const text = this.nodes.length ? "No concept in the tree has this in its name." : "No relations between concepts yet."
      this.list.replaceChildren(el("li", { role: "none", class: "nothing", text }))
    }
    const at = this.current?.item ? this.current : this.visible()[0]
    this.move(at, focused)
    this.mark()
  }

  lines(nodes, level, from = 0) {
    const shown = nodes.filter((node) => node.shown)
    const part = shown.slice(from, from + CHUNK).map((node, at) => this.line(node, level, from + at + 1, shown.length))
    const left = shown.length - from - part.length
    if (left > 0) {
      const more = el("button", { type: "button", class: "more", text: `Show ${Math.min(left, CHUNK)} of ${left} more`, on: {
        click: () => holder.replaceWith(...this.lines(nodes, level, from + CHUNK)),
      } })
      const holder = el("li", { role: "none" }, more)
      part.push(holder)
    }
    return part
  }

  line(node, level, place, of) {
    const has = node.children.some((child) => child.shown)
    node.item = el("span", {
      class: `node${node.named ? "" : " unnamed"}`, role: "treeitem", tabindex: "-1", "data-id": node.id,
      "aria-level": level, "aria-posinset": place, "aria-setsize": of, "aria-selected": "false",
      "aria-expanded": has ? String(node.open) : null, title: this.title(node),
    },
    el("span", { class: `twist${has ? "" : " leaf"}`, "aria-hidden": "true" }),
    node.kind ? el("span", { class: `edge ${node.kind}`, "aria-hidden": "true" }) : null,
    el("span", { class: "name", text: node.name }),
    node.apart ? el("span", { class: "apart", text: node.apart }) : null,
    node.merged.length ? el("span", { class: "tag", text: `+${node.merged.length}`, "aria-hidden": "true" }) : null,
    node.flags.includes("artefact") ? el("span", { class: "tag", text: "artefact" }) : null,
    node.flags.includes("locked") ? el("span", { class: "tag", text: "locked" }) : null,
    node.source === "person" ? el("span", { class: "tag person", text: "person" }) : null,
    sr(this.spoken(node)),
    el("span", { class: "share", "aria-hidden": "true" },
      el("span", { class: "share-bar" }, this.filled(node.share)), el("span", { class: "figure", text: percent(node.share) })))
    const line = el("li", { role: "none" }, node.item)
    if (has && node.open) line.append(this.groupOf(node, level))
    return line
  }

  filled(share) {
    const bar = el("span")
    bar.style.width = `${Math.max(2, 100 * share)}%`
    return bar
  }

  groupOf(node, level) {
    node.group = el("ul", { role: "group" }, ...this.lines(node.children, level + 1))
    return node.group
  }

  title(node) {
    const words = [`${node.name} (no. ${node.number}): ${RELATION[node.kind] ?? "at the top"}`]
    if (node.source === "person") words.push("a person put it here")
    if (node.also.length) words.push(`also under ${node.also.join(", ")}`)
    if (node.merged.length) words.push(`stands for ${node.merged.join(", ")} too`)
    words.push(`fires in ${percent(node.share)} of the images`)
    return words.join("; ")
  }

  spoken(node) {
    const words = [RELATION[node.kind] ?? "at the top", `in ${percent(node.share)} of the images`]
    if (node.merged.length) words.push(`stands for ${node.merged.length} more`)
    return words.join(", ")
  }

  // ---- opening, searching, choosing

  toggle(node, open = !node.open) {
    if (!node.children.some((child) => child.shown) || node.open === open) return
    node.open = open
    node.item.setAttribute("aria-expanded", String(open))
    if (open) node.item.parentElement.append(this.groupOf(node, Number(node.item.getAttribute("aria-level"))))
    else {
      node.group?.remove()
      node.group = null
      this.forget(node.children)
    }
    this.mark()
  }

  forget(nodes) {
    for (const node of nodes) {
      if (node === this.current) this.current = null
      if (!node.item) continue
      node.item = node.group = null
      this.forget(node.children)
    }
  }

  openAll(open) {
    for (const node of this.nodes) node.open = open
    this.draw()
  }

  search(text) {
    const wanted = text.trim().toLowerCase()
    let found = 0
    for (const node of this.nodes) node.shown = !wanted
    if (wanted) {
      for (const node of this.nodes) {
        const hit = node.name.toLowerCase().includes(wanted) || String(node.number) === wanted
          || node.merged.some((name) => name.toLowerCase().includes(wanted))
        if (!hit) continue
        found += 1
        node.shown = true
        for (let up = node.parent; up; up = up.parent) {
          up.shown = true
          up.open = true
        }
      }
    }
    this.said.textContent = wanted ? `${found} found` : ""
    this.draw()
  }

  select(id) {
    const changed = id !== this.selected
    this.selected = id
    const node = this.byId.get(id)
    if (changed && node && !node.item && node.shown) {
      for (let up = node.parent; up; up = up.parent) up.open = true
      this.current = node
      this.draw()
      node.item?.scrollIntoView({ block: "nearest" })
    }
    if (changed && node?.item) this.move(node, false)
    this.mark()
  }

  mark() {
    for (const item of this.list.querySelectorAll("[role=treeitem]")) {
      item.setAttribute("aria-selected", String(item.dataset.id === this.selected))
    }
  }

  choose(node) {
    this.move(node, true)
    if (node.id === this.selected) return
    this.selected = node.id
    this.mark()
    this.pick(node.id)
  }

  click(event) {
    const item = event.target.closest("[role=treeitem]")
    const node = item && this.byId.get(item.dataset.id)
    if (!node) return
    if (event.target.classList.contains("twist")) {
      this.move(node, true)
      this.toggle(node)
    } else this.choose(node)
  }

  // ---- the keyboard, as the ARIA practices have it for trees

  visible() {
    return [...this.list.querySelectorAll("[role=treeitem]")].map((item) => this.byId.get(item.dataset.id))
  }

  move(node, focus) {
    if (!node?.item) return
    if (this.current?.item) this.current.item.setAttribute("tabindex", "-1")
    this.current = node
    node.item.setAttribute("tabindex", "0")
    if (focus) {
      node.item.focus({ preventScroll: true })
      node.item.scrollIntoView({ block: "nearest" })
    }
  }

  key(event) {
    const node = this.current
    if (!node?.item || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "BUTTON") return
    const seen = this.visible()
    const at = seen.indexOf(node)
    const go = (target) => target && this.move(target, true)
    const opened = node.open && node.group
    const acts = {
      ArrowDown: () => go(seen[at + 1]),
      ArrowUp: () => go(seen[at - 1]),
      Home: () => go(seen[0]),
      End: () => go(seen.at(-1)),
      ArrowRight: () => (opened ? go(node.children.find((child) => child.shown)) : this.toggle(node, true)),
      ArrowLeft: () => (opened ? this.toggle(node, false) : go(node.parent)),
      Enter: () => this.choose(node),
      " ": () => this.choose(node),
      "*": () => (node.parent?.children ?? this.roots).forEach((each) => each.item && this.toggle(each, true)),
    }
    const act = acts[event.key] ?? (event.key.length === 1 ? () => this.typed(event.key, seen, at, go) : null)
    if (!act) return
    event.preventDefault()
    event.stopPropagation()
    act()
  }

  // A letter goes to the next visible concept whose name begins with it.
  typed(letter, seen, at, go) {
    const wanted = letter.toLowerCase()
    const order = [...seen.slice(at + 1), ...seen.slice(0, at)]
    go(order.find((node) => node.name.toLowerCase().startsWith(wanted)))
  }
}
