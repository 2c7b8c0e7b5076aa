// A Worker that runs the shared vectors: a POST of the files by name is answered with what failed, by title, and what was not read.

import assert from 'node:assert/strict'
import module from '../../bindings/node/edge/flagbearer.wasm'
import edge from '../../bindings/node/edge/edge.js'
import { readerOutcomes } from '../../bindings/node/test/reader_vectors.js'
import { VectorFiles } from '../../bindings/node/test/vector_files.js'

export default {
  async fetch(request) {
    const files = new VectorFiles(await request.json())
    const outcomes = await readerOutcomes(edge(module), (name) => files.read(name), assert)
    return Response.json({ outcomes, unread: files.unread })
  },
}
