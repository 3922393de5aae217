// Fetching and decoding pictures: the preview first, every pixel when one zooms in, the next
// case's ahead of time. A few stay decoded, so that going back is instant.

const KEPT = 4

export class Pictures {
  constructor(changed) {
    this.changed = changed
    this.kept = new Map() // image id -> entry, the least recently used first
  }

  // The entry of an image; its bitmaps arrive later. `blob` is there where nothing is fetched.
  want(image, blob) {
    const entry = this.kept.get(image.id) ?? this.start(image.id, image, blob)
    // An address may have a newer pass than the one that the entry was made with.
    if (image.url) Object.assign(entry, { url: image.url, preview: image.preview })
    if (image.width && image.height) Object.assign(entry, { width: image.width, height: image.height })
    if (entry.failed && !entry.asking) this.small(entry, blob)
    this.keep(entry)
    for (const other of this.kept.values()) if (other !== entry) coarsen(other)
    return entry
  }

  // Fetch what will probably be asked for next, once nothing else is being fetched.
  ahead(next) {
    if (!next || this.kept.has(next.id)) return
    this.keep(this.start(next.id, { preview: next.url, url: "" }))
  }

  start(id, { url = "", preview = "", width = 0, height = 0 }, blob) {
    const entry = { id, url, preview, width, height, small: null, full: null, failed: "", asking: false }
    this.small(entry, blob)
    return entry
  }

  keep(entry) {
    this.kept.delete(entry.id)
    this.kept.set(entry.id, entry)
    for (const [id, old] of this.kept) {
      if (this.kept.size <= KEPT) break
      this.kept.delete(id)
      forget(old)
    }
  }

  async small(entry, blob) {
    entry.asking = true
    entry.failed = ""
    try {
      const bitmap = await createImageBitmap(blob ?? await fetched(entry.preview))
      entry.small = bitmap
      if (!entry.width) Object.assign(entry, { width: bitmap.width, height: bitmap.height })
      if (!entry.url || entry.url === entry.preview) entry.full = bitmap
    } catch (error) {
      entry.failed = troubleOf(error)
    }
    entry.asking = false
    this.changed(entry)
  }

  // Every pixel. Asked for when the preview would be stretched.
  async large(entry) {
    if (entry.full || entry.fetching || !entry.url) return
    entry.fetching = true
    try {
      entry.full = await createImageBitmap(await fetched(entry.url))
      this.changed(entry)
    } catch (error) {
      entry.coarse = troubleOf(error) // the preview stays; the stage says that it is only that
      this.changed(entry)
    }
    entry.fetching = false
  }

  destroy() {
    for (const entry of this.kept.values()) forget(entry)
    this.kept.clear()
  }
}

// Every pixel of a large picture takes 64 MB: only the one being looked at keeps them.
function coarsen(entry) {
  if (!entry.full || entry.full === entry.small) return
  entry.full.close()
  entry.full = null
}

function forget(entry) {
  coarsen(entry)
  entry.small?.close()
  entry.small = entry.full = null
}

// The bytes at an address, or an error whose message the server wrote for people.
export async function fetched(url, signal) {
  const answer = await fetch(url, { credentials: "same-origin", signal })
  if (answer.ok) return answer.blob()
  let message = `the server answered ${answer.status}`
  try {
    message = (await answer.json()).message ?? message
  } catch {
    // Not written for people: the number must do.
  }
  throw new Error(message)
}

export function troubleOf(error) {
  return error instanceof TypeError ? "the app does not answer" : String(error.message ?? error)
}
