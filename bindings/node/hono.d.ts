import type { MiddlewareHandler } from 'hono'
import type { Flagbearer as EdgeFlagbearer } from './edge/index.js'
import type { Flagbearer, FlagbearerOptions, FlagSet } from './index.js'

/** For `new Hono<FlagbearerEnv>()`. */
export interface FlagbearerEnv {
  Variables: { flags: FlagSet }
}

/**
 * Verifies the request's bearer token and sets `flags`. Without a good token the answer is 401 with `{ code, message }` and a
 * `WWW-Authenticate` as RFC 6750 has it; 503 with `Retry-After` while the issuer's keys cannot be fetched.
 */
export function flagbearer(options: FlagbearerOptions | Flagbearer | EdgeFlagbearer): MiddlewareHandler<FlagbearerEnv>
