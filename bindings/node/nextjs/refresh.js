'use strict'

// A session's refresh, for the proxy, which does it before a token expires, and for the route, which does it when asked.

const { dropSession, writeSession } = require('./cookies.js')

/** For how long nothing more is said where no other time is known. */
const QUIET_SECONDS = 5

/** Why the last token stays in use: the session is as good as it was. */
const KEPT = ['ISSUER_UNAVAILABLE', 'KEYS_UNAVAILABLE', 'CLIENT_REFUSED']

/**
 * Refreshes a session. Answers the cookies to set, and `code` where the last token stays in use (with `retryAfter`) or the
 * session is `over`.
 */
async function refresh(settings, jar, session) {
  try {
    const { accessToken, refreshToken, changed } = await settings.flagbearer.refreshTokens(session)
    return { cookies: writeSession(settings, jar, { ...session, accessToken, refreshToken }), changed: changed.length > 0 }
  } catch (error) {
    const { code, message, retryAfter } = error
    if (code === 'GRANT_REFUSED') return { cookies: dropSession(settings, jar), code, message, over: true }
    if (!KEPT.includes(code)) throw error
    warn(settings, code, message, retryAfter)
    return { cookies: [], code, message, retryAfter }
  }
}

/** Says it once until it may be otherwise, however many requests come meanwhile. */
function warn(settings, code, message, retryAfter = QUIET_SECONDS) {
  if (Date.now() < settings.warnedUntil) return
  settings.warnedUntil = Date.now() + retryAfter * 1000
  console.warn(`flagbearer: ${code}: ${message}`)
}

module.exports = { refresh, warn }
