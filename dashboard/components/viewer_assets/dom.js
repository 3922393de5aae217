// Building elements. Text always goes in as text: names come from people and models, so
// nothing here ever parses markup.

export function el(tag, attrs = {}, ...children) {
  const node = document.createElement(tag)
  setAll(node, attrs)
  node.append(...children.filter((child) => child !== null && child !== undefined))
  return node
}

// The name and, in grey, what tells it apart from others of that name; no part of the name.
export function called(cls, { name, qualifier }) {
  const more = qualifier ? el("span", { class: "qualifier", text: ` \u00b7 ${qualifier}` }) : null
  return el("span", { class: cls, title: inFull({ name, qualifier }) }, name, more)
}

// The same as plain text.
export function inFull({ name, qualifier }) {
  return qualifier ? `${name}, ${qualifier}` : name
}

export function setAll(node, attrs) {
  for (const [name, value] of Object.entries(attrs)) {
    if (name === "text") node.textContent = value
    else if (name === "on") {
      for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler)
    } else if (name === "style") Object.assign(node.style, value)
    else if (value === null || value === undefined || value === false) node.removeAttribute(name)
    else node.setAttribute(name, value === true ? "" : String(value))
  }
}

const SVG = "http://www.w3.org/2000/svg"

export function svg(tag, attrs = {}, ...children) {
  const node = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attrs)) node.setAttribute(name, String(value))
  node.append(...children)
  return node
}

export function signed(value, digits = 2) {
  const text = Math.abs(value).toFixed(digits)
  if (Number(text) === 0) return text
  return (value < 0 ? "\u2212" : "+") + text
}

// Whole per cents; the ends are not rounded to certainty.
export function percent(value) {
  if (value > 0 && value < 0.005) return "<1\u202f%"
  if (value < 1 && value > 0.995) return ">99\u202f%"
  return `${Math.round(100 * value)}\u202f%`
}

export function button(cls, act, title, ...content) {
  return el("button", { type: "button", class: cls, title, on: { click: act } }, ...content)
}

export const key = (text) => el("kbd", { text })

// Focus within the component's shadow tree.
export function focused(node) {
  return node.getRootNode().activeElement
}
