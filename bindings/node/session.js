'use strict'

// Sessions of web applications: the sealed cookie and the refresh of what is in it. What is sent, what an answer means and
// what may be opened, the core decides.

const { randomBytes } = require('node:crypto')
const native = require('@flagbearer/native')
const { FlagbearerError, refusal } = require('./error.js')

/** What `cookiePassword` may be: one password, or several by id. */
function passwordsOf(cookiePassword) {
  const byId = typeof cookiePassword === 'string' ? { 1: cookiePassword } : (cookiePassword ?? {})
  const passwords = Object.entries(byId).map(([id, password]) => {
    if (/^[1-9]\d{0,8}$/.test(id) && typeof password === 'string') return { id: Number(id), password }
    throw new FlagbearerError('CONFIGURATION_INVALID', 'a cookie password is a string, or an object of strings by their number')
  })
  return called(() => new native.NativePasswords(passwords), 'CONFIGURATION_INVALID')
}

function called(work, code) {
  try {
    return work()
  } catch (cause) {
    throw refusal(cause, code)
  }
}

/** Seals and opens what an application keeps in cookies. */
class Seal {
  #passwords

  constructor(cookiePassword) {
    this.#passwords = passwordsOf(cookiePassword)
  }

  seal(document) {
    return called(() => this.#passwords.seal(JSON.stringify(document), randomBytes(native.sealRandomBytes())), 'SEALED_SESSION_INVALID')
  }

  /** Throws `SEALED_SESSION_INVALID`. */
  unseal(sealed) {
    const text = typeof sealed === 'string' ? sealed : ''
    return called(() => JSON.parse(this.#passwords.unseal(text, Date.now())), 'SEALED_SESSION_INVALID')
  }
}

/** The name that is reckoned with where an application does not say how it calls its cookie. */
const COOKIE_NAME = 'flagbearer-session'

/** Seals a session for a cookie of this name; throws `COOKIE_TOO_LARGE` rather than what a browser would drop. */
function sealFor(seal, session, cookieName) {
  called(() => native.sessionTokens(JSON.stringify(session ?? null)), 'SEALED_SESSION_INVALID')
  const sealed = seal.seal(session)
  called(() => native.measureCookie(cookieName, sealed), 'COOKIE_TOO_LARGE')
  return sealed
}

/** A POST, and what came: nothing where none did. */
async function post(fetch, { url, contentType, body, timeoutMilliseconds, maxBytes }, whole) {
  try {
    const response = await fetch(url, {
      method: 'POST',
      body,
      signal: AbortSignal.timeout(timeoutMilliseconds),
      redirect: 'manual',
      credentials: 'omit',
      headers: { accept: 'application/json', 'content-type': contentType },
    })
    const answer = (await whole(response.body ?? [], maxBytes)) ?? undefined
    return [response.status, response.headers.get('retry-after') ?? undefined, answer]
  } catch {
    return []
  }
}

/** The most sessions whose issuer is being left alone that are remembered. */
const MAX_WAITING = 10_000

/** The core's longest, in milliseconds. */
const LONGEST_PAUSE = 60_000

/** Refreshes under way, and those that came to nothing a moment ago. One at a time for a refresh token. */
class Refreshes {
  #byToken = new Map()

  /** What `ask` answers, or answered to somebody else who is still waiting or is to leave the issuer alone. */
  once(key, ask) {
    const known = this.#byToken.get(key)
    if (known !== undefined && (known.until === undefined || this.#isWaiting(known))) return known.answer
    const entry = { answer: undefined, until: undefined }
    entry.answer = ask().then((answer) => {
      if (answer.code === 'ISSUER_UNAVAILABLE') this.#wait(key, entry, Date.now() + answer.retrySeconds * 1000)
      else this.#byToken.delete(key)
      return answer
    })
    this.#byToken.set(key, entry)
    return entry.answer
  }

  /** A clock that was set back must not stretch a pause. */
  #isWaiting({ until }) {
    const left = until - Date.now()
    return left > 0 && left <= LONGEST_PAUSE
  }

  #wait(key, entry, until) {
    entry.until = until
    const now = Date.now()
    for (const [other, { until }] of this.#byToken) {
      if (until <= now || this.#byToken.size > MAX_WAITING) this.#byToken.delete(other)
      else break
    }
    // Behind the others, so that the oldest are forgotten first.
    this.#byToken.delete(key)
    this.#byToken.set(key, entry)
  }

  /** In how many seconds the issuer may be asked again. */
  retryAfter(key) {
    const until = this.#byToken.get(key)?.until ?? 0
    return Math.max(Math.ceil((until - Date.now()) / 1000), 1)
  }
}

/** A session out of a cookie. */
class SealedSession {
  #flagbearer
  #seal
  #cookieName
  #sessionData

  constructor(flagbearer, { sessionData, cookiePassword, cookieName = COOKIE_NAME }) {
    this.#flagbearer = flagbearer
    this.#seal = new Seal(cookiePassword)
    this.#cookieName = cookieName
    this.#sessionData = sessionData
  }

  #open() {
    const session = this.#seal.unseal(this.#sessionData)
    called(() => native.sessionTokens(JSON.stringify(session)), 'SEALED_SESSION_INVALID')
    return session
  }

  async authenticate() {
    try {
      return await this.#reading(this.#open())
    } catch (error) {
      return unauthenticated(error)
    }
  }

  async #reading(session) {
    const flags = await this.#flagbearer.verify(session.accessToken)
    return {
      authenticated: true,
      flags,
      featureFlags: flags.claims.feature_flags ?? null,
      organization: flags.organization,
      user: session.user ?? null,
      accessToken: session.accessToken,
    }
  }

  async refresh({ organization } = {}) {
    let session
    try {
      session = this.#open()
    } catch (error) {
      return { ...unauthenticated(error), refreshed: false, ...ENDED }
    }
    try {
      const { accessToken, refreshToken, changed } = await this.#flagbearer.refreshTokens(session, { organization })
      const next = { ...session, accessToken, refreshToken }
      const sealedSession = sealFor(this.#seal, next, this.#cookieName)
      this.#sessionData = sealedSession
      return { ...(await this.#reading(next)), refreshed: true, sealedSession, changed }
    } catch (error) {
      if (error.code === 'GRANT_REFUSED') return { ...unauthenticated(error), refreshed: false, ...ENDED }
      if (error.code !== 'ISSUER_UNAVAILABLE' && error.code !== 'CLIENT_REFUSED') throw error
      const { code, message, retryAfter } = error
      const kept = { refreshed: false, sealedSession: this.#sessionData, changed: [], code, message, retryAfter }
      return { featureFlags: null, ...(await this.authenticate()), ...kept }
    }
  }
}

/** What is left of a session that is over. */
const ENDED = Object.freeze({ sealedSession: null, featureFlags: null, changed: Object.freeze([]) })

/** The answer for a token or a seal that is not good. That keys could not be fetched says nothing about either. */
function unauthenticated(error) {
  if (!(error instanceof FlagbearerError) || ['KEYS_UNAVAILABLE', 'CONFIGURATION_INVALID'].includes(error.code)) throw error
  return { authenticated: false, code: error.code, message: error.message }
}

module.exports = { Seal, SealedSession, Refreshes, COOKIE_NAME, sealFor, post, called }
