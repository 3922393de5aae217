// Several panels in one place, one shown at a time (ARIA tabs; arrow keys move between them).

import { el } from "./dom.js"

export class Tabs {
  constructor(label, panels, changed) {
    this.panels = panels // [{id, text, title, panel}]; panel.root is the element
    this.changed = changed
    this.buttons = panels.map(({ id, text, title }) => el("button", {
      type: "button", role: "tab", id: `tab-${id}`, class: "tab", title, text, "aria-controls": `panel-${id}`,
      on: { click: () => this.show(id) },
    }))
    const list = el("div", { role: "tablist", class: "tabs", "aria-label": label }, ...this.buttons)
    list.addEventListener("keydown", (event) => this.onKey(event))
    for (const { id, panel } of panels) {
      const attributes = { id: `panel-${id}`, role: "tabpanel", "aria-labelledby": `tab-${id}` }
      for (const [name, value] of Object.entries(attributes)) panel.root.setAttribute(name, value)
    }
    this.root = el("div", { class: "panel tabbed" }, list, ...panels.map(({ panel }) => panel.root))
    this.show(panels[0].id)
  }

  show(id) {
    this.shown = id
    this.panels.forEach(({ id: each, panel }, i) => {
      const on = each === id
      this.buttons[i].setAttribute("aria-selected", String(on))
      this.buttons[i].setAttribute("tabindex", on ? "0" : "-1")
      panel.root.hidden = !on
    })
    this.changed?.(id)
  }

  next() {
    this.step(1)
  }

  step(by) {
    const at = this.panels.findIndex(({ id }) => id === this.shown)
    this.show(this.panels[(at + by + this.panels.length) % this.panels.length].id)
  }

  // A number behind a tab's name, such as how many notes there are.
  count(id, number) {
    const at = this.panels.findIndex((each) => each.id === id)
    this.buttons[at].textContent = this.panels[at].text + (number ? ` (${number})` : "")
  }

  onKey(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    if (!by) return
    event.stopPropagation()
    event.preventDefault()
    this.step(by)
    this.buttons[this.panels.findIndex(({ id }) => id === this.shown)].focus()
  }
}
