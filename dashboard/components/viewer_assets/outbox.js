// Events that the server has not acknowledged yet. They outlive a reload and a dead server:
// kept in localStorage, sent again whole each time, harmless to repeat because of their ids.

const RETRY_MS = 6000

export class Outbox {
  constructor(send) {
    this.send = send // called with the list of all waiting events
    this.waiting = []
    this.key = null
    this.timer = null
    this.session = null
    this.request = null
    this.settled = new Set() // ids answered in this tab
  }

  // Point at one reviewer's box in one project. A new server session gets everything again.
  attach(reviewerId, projectId, session) {
    const key = `insight.outbox.${reviewerId}.${projectId}`
    if (key !== this.key) {
      this.key = key
      this.waiting = this.load()
    }
    const fresh = session !== this.session
    this.session = session
    if (fresh && this.waiting.length) setTimeout(() => this.flush(), 0)
  }

  load() {
    try {
      const stored = JSON.parse(localStorage.getItem(this.key) ?? "[]")
      return Array.isArray(stored) ? stored : []
    } catch {
      return [] // storage is blocked or damaged: the box works in memory only
    }
  }

  // Another tab may keep events under the same key: add to what is there, never replace it.
  store() {
    const mine = new Set(this.waiting.map((event) => event.id))
    const others = this.load().filter((event) => !mine.has(event.id) && !this.settled.has(event.id))
    try {
      localStorage.setItem(this.key, JSON.stringify([...others, ...this.waiting]))
    } catch {
      // Storage full or blocked: the events stay in memory and are still sent.
    }
  }

  add(event) {
    this.waiting.push(event)
    this.store()
    this.flush()
  }

  // `acks` maps event ids to {ok, message}. Returns those that answer a waiting event.
  settle(acks) {
    const answered = this.waiting.filter((event) => acks[event.id])
    this.waiting = this.waiting.filter((event) => !acks[event.id])
    for (const event of answered) this.settled.add(event.id)
    if (answered.length) this.store()
    if (!this.waiting.length && !this.request) this.stop()
    return answered.map((event) => ({ event, ack: acks[event.id] }))
  }

  // The server keeps only the latest list it was sent, so every list holds all that is open.
  flush() {
    this.stop()
    const all = this.request ? [...this.waiting, this.request] : this.waiting
    if (!all.length) return
    this.send(all)
    this.timer = setTimeout(() => this.flush(), RETRY_MS)
  }

  // A wish that need not outlive a reload: which case to open. null takes it back.
  ask(request) {
    this.request = request
    if (request) this.flush()
    else if (!this.waiting.length) this.stop()
  }

  stop() {
    clearTimeout(this.timer)
    this.timer = null
  }

  // What the reviewer last said on a cue and the server has not confirmed, or null.
  pendingVerdict(cueId) {
    return this.waiting.findLast((e) => e.kind === "verdict" && e.cue_id === cueId) ?? null
  }

  pendingAssessment(caseId) {
    return this.waiting.findLast((e) => e.kind === "assess" && e.case_id === caseId) ?? null
  }

  count(kind, field, id) {
    return this.waiting.filter((e) => e.kind === kind && e[field] === id).length
  }
}

export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID()
  // randomUUID exists only on https and localhost: build a version 4 id from random bytes.
  const b = crypto.getRandomValues(new Uint8Array(16))
  b[6] = (b[6] & 0x0f) | 0x40
  b[8] = (b[8] & 0x3f) | 0x80
  const hex = Array.from(b, (v) => v.toString(16).padStart(2, "0")).join("")
  return [8, 12, 16, 20].reduceRight((s, at) => `${s.slice(0, at)}-${s.slice(at)}`, hex)
}
