// One request, on the wire as it is written here: `fetch` would join lines, ask for codings and take them away again.

import { request } from 'node:http'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'

const DECODERS = { br: brotliDecompressSync, gzip: gunzipSync }

// `headers` are pairs; a name that comes twice is sent as two lines.
export function send (port, host, { method, path, headers }) {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, method, path, setHost: false }
    const sent = request(options, response => {
      const parts = []
      response.on('error', reject)
      response.on('data', part => parts.push(part))
      response.on('end', () => resolve(answer(response, Buffer.concat(parts))))
    })
    sent.on('error', reject)
    sent.setHeader('Host', `${host}:${port}`)
    for (const [name, value] of headers) sent.setHeader(name, [sent.getHeader(name) ?? [], value].flat())
    sent.end()
  })
}

function answer ({ statusCode, headers }, bytes) {
  const decode = DECODERS[headers['content-encoding']]
  return { status: statusCode, headers, body: (decode && bytes.length > 0 ? decode(bytes) : bytes).toString() }
}
