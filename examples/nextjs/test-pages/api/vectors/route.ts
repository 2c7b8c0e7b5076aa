// @ts-nocheck: all that it imports is JavaScript without types; its name ends as it does since Next.js cannot build this route otherwise.

// For a test: runs the shared vectors for readers in the Edge runtime. A POST of the files by name is answered with what failed, by
// title, and what was not read. What it imports from `vectors`, the test puts there.

import assert from 'node:assert'
import edge from '../../../node_modules/@flagbearer/node/edge/edge.js'
import module from '../../../node_modules/@flagbearer/node/edge/flagbearer.wasm?module'
import { readerOutcomes } from '../../../vectors/reader_vectors.js'
import { VectorFiles } from '../../../vectors/vector_files.js'

export const runtime = 'edge'

export async function POST(request) {
  // Not by `request.json()`, whose objects are of another realm: strictly, they are equal to none of this one.
  const files = new VectorFiles(JSON.parse(await request.text()))
  const outcomes = await readerOutcomes(edge(module), (name) => files.read(name), assert.strict)
  return Response.json({ runtime: globalThis.EdgeRuntime, outcomes, unread: files.unread })
}
