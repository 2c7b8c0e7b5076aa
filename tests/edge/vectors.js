// A Worker that runs the shared vectors: a POST of the files by name is answered with what failed, by title.

import assert from 'node:assert/strict'
import module from '../../bindings/node/edge/flagbearer.wasm'
import edge from '../../bindings/node/edge/edge.js'
import { readerVectors } from '../../bindings/node/test/reader_vectors.js'

const { core, ...reader } = edge(module)
const testing = { ...core, flagSetOfClaim: (claim) => new reader.FlagSet(core.flagSetOfClaim(claim)) }

export default {
  async fetch(request) {
    const files = await request.json()
    const real = Date.now
    const at = (now) => (Date.now = () => now() * 1000)
    const outcomes = []
    for (const [title, run] of Object.entries(readerVectors({ ...reader, testing, read: (name) => files[name], assert, at }))) {
      if (!/^(tokens|claims|getters|flag_sets|jwks)\.json/.test(title)) continue
      let failure = null
      await run().catch((error) => (failure = error.stack))
      Date.now = real
      outcomes.push([title, failure])
    }
    return Response.json(outcomes)
  },
}
