// For the Edge runtime of Next.js and Vercel, which compile modules when they build.

import edge from './edge.js'
import module from './flagbearer.wasm?module'

export const { Flagbearer, FlagSet, FlagbearerError } = edge(module)
