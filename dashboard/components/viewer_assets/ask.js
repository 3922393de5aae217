// What was refused, and a small question beside the picture: pick one by a digit, or fill in a line or two. One at a
// time; Escape takes it back and the focus returns to where it was.

import { button, el, focused, key } from "./dom.js"

export class Alert {
  constructor() {
    this.words = el("span", {})
    this.root = el("div", { class: "alert", hidden: true }, el("div", { role: "alert" }, this.words),
      button("tool small", () => this.close(), "Close this message", "Close"))
  }

  // `about` is what was refused: once that is stored after all, the message goes.
  show(words, about) {
    this.about = about
    this.words.textContent = words
    this.root.hidden = false
  }

  settle(about) {
    if (about === this.about) this.close()
  }

  close() {
    this.about = null
    this.words.textContent = ""
    this.root.hidden = true
  }
}

export class Ask {
  constructor() {
    this.root = el("div", { class: "ask", role: "dialog", "aria-modal": "false", hidden: true })
    this.root.addEventListener("keydown", (event) => this.onKey(event))
  }

  get open() {
    return !this.root.hidden
  }

  // choices: [{text, title, value}]; fields: [{name, label, options?, placeholder?, value?}].
  // `pick(value, filled)` is called once, with what the fields hold.
  show({ title, hint = "", choices = [], fields = [], save = "", low = false, pick, cancel = () => {} }) {
    this.root.classList.toggle("low", low)
    if (this.open) this.close(false)
    else this.before = focused(this.root)
    this.chosen = { pick, cancel }
    this.choices = choices
    this.inputs = new Map(fields.map((field) => [field.name, control(field)]))
    const lines = fields.map((field) => el("label", { class: "field wide" }, el("span", { text: field.label }), this.inputs.get(field.name)))
    const picks = choices.map((choice, i) => button("pick", () => this.take(choice.value), choice.title ?? "",
      i < 9 ? key(String(i + 1)) : null, ` ${choice.text}`))
    const foot = el("div", { class: "line end" },
      button("tool", () => this.close(), "", "Cancel ", key("Esc")),
      save ? button("tool main", () => this.take(null), "", `${save} `, key("Enter")) : null)
    this.root.setAttribute("aria-label", title)
    this.root.replaceChildren(el("h3", { text: title }), hint ? el("p", { class: "fine", text: hint }) : "",
      el("div", { class: "picks" }, ...picks), ...lines, foot)
    this.root.hidden = false
    const first = choices.length ? picks[0] : this.inputs.values().next().value
    first?.focus()
  }

  take(value) {
    const { pick } = this.chosen
    const filled = Object.fromEntries([...this.inputs].map(([name, input]) => [name, input.value.trim()]))
    this.close(false)
    pick(value, filled)
  }

  close(cancelled = true) {
    if (!this.open) return
    focused(this.root)?.blur() // else a hidden field would take the next key
    this.root.hidden = true
    this.before?.focus?.()
    if (cancelled) this.chosen.cancel()
  }

  // Handled here, so that no key of an open question judges anything.
  onKey(event) {
    if (event.key === "Tab") return
    event.stopPropagation()
    const typing = event.target.tagName === "INPUT" || event.target.tagName === "SELECT"
    if (event.key === "Escape") return this.close()
    if (event.key === "Enter" && typing && !this.choices.length) return this.take(null)
    if (!typing) this.press(event)
  }

  // A digit picks; arrows walk. True if the key was used.
  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false
    const choice = /^[1-9]$/.test(event.key) && this.choices[Number(event.key) - 1]
    if (choice) this.take(choice.value)
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key]
    const all = [...this.root.querySelectorAll(".pick")]
    const at = all.indexOf(focused(this.root))
    if (step) all[(at + step + all.length) % all.length]?.focus()
    if (choice || step) event.preventDefault()
    return Boolean(choice || step)
  }
}

function control({ label, options, placeholder = "", value = "" }) {
  if (!options) return el("input", { type: "text", maxlength: 2000, placeholder, value, "aria-label": label })
  const box = el("select", { "aria-label": label }, ...options.map(([id, text]) => el("option", { value: id, text })))
  box.value = value
  return box
}
