import { fileURLToPath } from 'node:url'

// The packages are in the folder above, beside the other tests' ones.
const root = fileURLToPath(new URL('..', import.meta.url))

export default { turbopack: { root }, outputFileTracingRoot: root }
