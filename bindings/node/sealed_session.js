'use strict'

// Sessions of web applications: the sealed cookie and the refresh of what is in it. What may be opened, the core decides.

const { FlagbearerError, called, then } = require('./error.js')
const { taken } = require('./options.js')

/** What a session's cookie is called: what the application says, or what is reckoned with where it does not. */
function cookieNameOf(options) {
  return taken(options, { cookieName: 'string?' }).cookieName ?? 'flagbearer-session'
}

/** What is left of a session that is over. */
const ENDED = Object.freeze({ sealedSession: null, featureFlags: null, changed: Object.freeze([]) })

/** The answer for a token or a seal that is not good. That keys could not be fetched says nothing about either. */
function unauthenticated(error) {
  if (!(error instanceof FlagbearerError) || ['KEYS_UNAVAILABLE', 'CONFIGURATION_INVALID'].includes(error.code)) throw error
  return { authenticated: false, code: error.code, message: error.message }
}

/** What seals sessions with a core: the addon, or WebAssembly. */
module.exports = (core, randomBytes) => {
  /** What `cookiePassword` may be: one password, or several by id. */
  function passwordsOf(cookiePassword) {
    const byId = typeof cookiePassword === 'string' ? { 1: cookiePassword } : (cookiePassword ?? {})
    const passwords = Object.entries(byId).map(([id, password]) => {
      if (/^[1-9]\d{0,8}$/.test(id) && typeof password === 'string') return { id: Number(id), password }
      throw new FlagbearerError('CONFIGURATION_INVALID', 'a cookie password is a string, or an object of strings by their number')
    })
    return called(() => new core.NativePasswords(passwords), 'CONFIGURATION_INVALID')
  }

  /** Seals and opens what an application keeps in cookies. */
  class Seal {
    #passwords

    constructor(cookiePassword) {
      this.#passwords = passwordsOf(cookiePassword)
    }

    seal(document) {
      return called(() => this.#passwords.seal(JSON.stringify(document), randomBytes(core.sealRandomBytes())), 'SEALED_SESSION_INVALID')
    }

    /** Throws `SEALED_SESSION_INVALID`. */
    unseal(sealed) {
      const text = typeof sealed === 'string' ? sealed : ''
      return called(() => then(this.#passwords.unseal(text, Date.now()), JSON.parse), 'SEALED_SESSION_INVALID')
    }
  }

  /** Seals a session for a cookie of this name; throws `COOKIE_TOO_LARGE` rather than what a browser would drop. */
  function sealFor(seal, session, cookieName) {
    called(() => core.sessionTokens(JSON.stringify(session) ?? 'null'), 'SEALED_SESSION_INVALID')
    return then(seal.seal(session), (sealed) => {
      called(() => core.measureCookie(cookieName, sealed), 'COOKIE_TOO_LARGE')
      return sealed
    })
  }

  /** A session out of a cookie. */
  class SealedSession {
    #flagbearer
    #seal
    #cookieName
    #sessionData

    constructor(flagbearer, options) {
      this.#flagbearer = flagbearer
      this.#seal = new Seal(options?.cookiePassword)
      this.#cookieName = cookieNameOf(options)
      this.#sessionData = options?.sessionData
    }

    async #open() {
      const session = await this.#seal.unseal(this.#sessionData)
      called(() => core.sessionTokens(JSON.stringify(session)), 'SEALED_SESSION_INVALID')
      return session
    }

    async authenticate() {
      try {
        return await this.#reading(await this.#open())
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

    async refresh(options) {
      let session
      try {
        session = await this.#open()
      } catch (error) {
        return { ...unauthenticated(error), refreshed: false, ...ENDED }
      }
      try {
        const { accessToken, refreshToken, changed } = await this.#flagbearer.refreshTokens(session, options)
        const next = { ...session, accessToken, refreshToken }
        const sealedSession = await sealFor(this.#seal, next, this.#cookieName)
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

  return { Seal, SealedSession, cookieNameOf, sealFor }
}
