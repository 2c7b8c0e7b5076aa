// Refreshes the session before its token expires, on the way to every page and route.

import { flagbearerProxy } from '@flagbearer/node/nextjs'

export default flagbearerProxy()

export const config = { matcher: ['/((?!_next/|favicon.ico).*)'] }
