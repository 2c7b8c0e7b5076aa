'use strict'

// In Workers and Edge runtimes it is the reader for those.
const { Flagbearer, FlagbearerError } = require('#reader')

/** Puts the flag set of the request's bearer token (RFC 6750 §2.1) into `flags`, or answers why there is none. */
function flagbearer(options) {
  const reader = typeof options?.verify === 'function' ? options : new Flagbearer(options)
  return async (c, next) => {
    const [, token] = /^Bearer +(\S+) *$/i.exec(c.req.header('authorization') ?? '') ?? []
    try {
      c.set('flags', await reader.verify(token))
    } catch (error) {
      if (!(error instanceof FlagbearerError)) throw error
      const { code, message } = error
      // Nothing is wrong with the token: its issuer's keys could not be fetched.
      if (code === 'KEYS_UNAVAILABLE') return c.json({ code, message }, 503, { 'Retry-After': '5' })
      // Somebody who has shown nothing is told how, and not what was wrong with it (RFC 6750 §3.1).
      return c.json({ code, message }, 401, { 'WWW-Authenticate': token === undefined ? 'Bearer' : 'Bearer error="invalid_token"' })
    }
    await next()
  }
}

module.exports = { flagbearer }
