// For Cloudflare's Workers, which compile modules when they are deployed, and end a request's work with the request unless told
// otherwise.

import { waitUntil } from 'cloudflare:workers'
import edge from './edge.js'
import module from './flagbearer.wasm'

function detached(work) {
  waitUntil(work)
  return work
}

export const { Flagbearer, FlagSet, FlagbearerError } = edge(module, { detached })
