// One binary packet per update: uint32 (little endian) length of the JSON, the JSON, then blobs.
// Streamlit passes bytes through untouched only when they are the whole of `data`.

export function unpack(data) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = view.getUint32(0, true)
  const model = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)))
  const blobs = {}
  for (const [name, [start, size]] of Object.entries(model.blobs)) {
    blobs[name] = bytes.subarray(4 + length + start, 4 + length + start + size)
  }
  return { model, blobs }
}
