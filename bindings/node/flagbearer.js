'use strict'

// What JavaScript adds to the core: an HTTP GET, a clock, and the classes that users see.

const { whole } = require('./body.js')
const { FlagbearerError, called, refusal, then } = require('./error.js')
const { taken, takenAlone } = require('./options.js')
const { Refreshes, post } = require('./token_request.js')
const { Watermark } = require('./watermark.js')

/** The body of an answer with status 200, read no further than allowed; and what to say of the fetch where nothing came of it. */
async function get(fetch, { url, timeoutMilliseconds, maxBytes }) {
  const failure = (what, cause) => new Error(`GET ${url} ${what}`, { cause })
  try {
    const signal = AbortSignal.timeout(timeoutMilliseconds)
    const response = await fetch(url, { signal, redirect: 'manual', headers: { accept: 'application/json' } })
    if (response.status !== 200) {
      await response.body?.cancel()
      return { failure: failure(`was answered with status ${response.status}`) }
    }
    const body = await whole(response.body ?? [], maxBytes)
    return { body, failure: failure(body === undefined ? `was answered with more than ${maxBytes} bytes` : 'was answered with nothing that can be used') }
  } catch (cause) {
    return { failure: failure('was not answered', cause) }
  }
}

const OPTIONS = {
  issuer: 'string',
  audience: 'string?',
  clientId: 'string?',
  clientSecret: 'string?',
  profile: 'string?',
  jwksUri: 'string?',
  leeway: 'number?',
  discovery: 'boolean?',
  followWatermark: 'boolean?',
  fetch: 'function?',
  onRead: 'function?',
}

const TOKENS = { accessToken: 'string', refreshToken: 'string' }

const CODE = { clientId: 'string', code: 'string', codeVerifier: 'string', redirectUri: 'string', nonce: 'string' }

/**
 * The hook, made harmless: whatever becomes of it, the flag is read. That it failed is told once, since it will hardly fail only
 * once, and a warning for each read would bury all others.
 */
function reporting(onRead, warn) {
  let told = false
  const failed = (cause) => {
    if (told) return
    told = true
    warn('the hook `onRead` failed; that it does so again is not told', cause instanceof Error ? cause.stack : String(cause))
  }
  return (details, flags) => {
    try {
      // A rejection that nobody takes would end the process.
      onRead(details, flags)?.then?.(undefined, failed)
    } catch (cause) {
      failed(cause)
    }
  }
}

/**
 * Readers over a core: the addon, or WebAssembly. Of its host, `warn(message, detail)` tells whoever runs it, `follow` makes what
 * follows the watermark, and `detached`, where there is one, is for hosts that end a request's work with the request: it
 * takes a promise that is to be seen through, and answers it. Such hosts let no request wait for another one's work either, so
 * that each of them asks the core.
 */
module.exports = (core, { FlagSet, Seal, SealedSession, cookieNameOf, sealFor }, host) => class Flagbearer {
  #reader
  /** The flag sets that the core remembers, by their numbers. */
  #verified = new Map()
  #report
  #fetch
  #fetching
  #refreshAt = Infinity
  /** What to say of the last fetch, should there be no keys. */
  #failure
  #watermark
  #follower
  #clientSecret
  #refreshes = new Refreshes()

  constructor(options) {
    const { fetch, followWatermark, clientSecret, onRead, ...settings } = takenAlone(options, OPTIONS)
    if (followWatermark && host.follow === undefined) {
      throw new FlagbearerError('CONFIGURATION_INVALID', '`followWatermark` needs a connection that stays open, which there is in Node alone')
    }
    this.#clientSecret = clientSecret
    this.#report = onRead === undefined ? undefined : reporting(onRead, host.warn)
    try {
      this.#reader = new core.NativeReader({ ...settings, followSeed: followWatermark ? Math.random() : undefined })
    } catch (cause) {
      throw refusal(cause, 'CONFIGURATION_INVALID')
    }
    // Looked up at each fetch, so that what is put in place of the global one later is used.
    this.#fetch = fetch ?? ((...args) => globalThis.fetch(...args))
    if (followWatermark) {
      this.#watermark = new Watermark(this.#reader)
      this.#follower = host.follow(this.#reader, this.#watermark, fetch, () => this.#fetchKeys())
    }
  }

  /** `undefined` where the watermark is not followed. */
  get state() {
    return this.#reader.state(Date.now()) ?? undefined
  }

  close() {
    this.#follower?.close()
  }

  verify(token) {
    return this.#withKeys((now) => this.#flagsOf(typeof token === 'string' ? token : '', now))
  }

  /** The flag set of a token, or `null` when keys must be fetched first. */
  #flagsOf(token, now) {
    return then(this.#reader.verify(token, now), (verified) => {
      if (verified === null) return null
      // A core that has somebody else check signatures knows of a token a moment before it is here.
      if (typeof verified === 'number') return this.#verified.get(verified) ?? Promise.resolve().then(() => this.#flagsOf(token, now))
      const { tables, number, forgotten } = verified
      for (const old of forgotten ?? []) this.#verified.delete(old)
      const flags = new FlagSet(tables, this.#watermark, this.#report)
      this.#verified.set(number, flags)
      return flags
    })
  }

  /** What the core answers; that there are no keys, with why. */
  #answered(ask) {
    try {
      return called(ask, 'TOKEN_MALFORMED')
    } catch (error) {
      if (error.code !== 'KEYS_UNAVAILABLE') throw error
      throw new FlagbearerError(error.code, error.message, { cause: this.#failure })
    }
  }

  /** What the core answers once it has the keys that it needs. */
  async #withKeys(ask) {
    for (;;) {
      const now = Date.now()
      let answer = this.#answered(() => ask(now))
      if (answer instanceof Promise) answer = await answer
      if (answer !== null) {
        if (now >= this.#refreshAt) void this.#fetchKeys()
        return answer
      }
      await this.#fetchKeys()
    }
  }

  async refreshTokens(tokens, options) {
    const { accessToken, refreshToken } = taken(tokens, TOKENS, 'TOKEN_MALFORMED')
    const { organization } = taken(options, { organization: 'string?' })
    const { clientId, claims } = this.#unverified(accessToken)
    const request = called(() => this.#reader.refreshRequest(clientId, this.#clientSecret, refreshToken, organization), 'TOKEN_MALFORMED')
    await this.#keysBeforeSpending(accessToken)
    const key = JSON.stringify([refreshToken, organization])
    const { code, message, ...next } = await this.#refreshes.once(key, () => this.#asked(request))
    if (code !== undefined) {
      throw Object.assign(new FlagbearerError(code, message), code === 'ISSUER_UNAVAILABLE' && { retryAfter: this.#refreshes.retryAfter(key) })
    }
    const flags = await this.verify(next.accessToken)
    const changed = called(() => core.changedFrom(JSON.stringify(flags.claims), claims), 'FLAGS_MALFORMED')
    return { accessToken: next.accessToken, refreshToken: next.refreshToken, flags, changed }
  }

  async exchangeCode(answer) {
    const { clientId, code, codeVerifier, redirectUri, nonce } = taken(answer, CODE)
    const grant = { code, codeVerifier, redirectUri }
    const request = called(() => this.#reader.codeRequest(clientId, this.#clientSecret, grant), 'CONFIGURATION_INVALID')
    const { code: refused, message, accessToken, refreshToken, idToken = '' } = await this.#asked(request)
    if (refused !== undefined) throw new FlagbearerError(refused, message)
    const flags = await this.verify(accessToken)
    const user = await this.#withKeys((now) => this.#reader.verifyIdToken(idToken, clientId, nonce, now))
    return { accessToken, refreshToken, flags, user: JSON.parse(user) }
  }

  async revoke(tokens) {
    const { accessToken, refreshToken } = taken(tokens, TOKENS, 'TOKEN_MALFORMED')
    const { clientId } = this.#unverified(accessToken)
    const request = called(() => this.#reader.revocationRequest(clientId, this.#clientSecret, refreshToken), 'TOKEN_MALFORMED')
    const [status] = await post(this.#fetch, request)
    return status === 200
  }

  /**
   * A refresh token is spent by being sent. Without keys nobody could read what comes back, so that they are there before: whatever
   * else is wrong with the last token does not matter any more. Rejects with `KEYS_UNAVAILABLE`.
   */
  async #keysBeforeSpending(accessToken) {
    try {
      await this.verify(accessToken)
    } catch (error) {
      if (error.code === 'KEYS_UNAVAILABLE') throw error
    }
  }

  /** What a token of the application's own says, good or not. */
  #unverified(accessToken) {
    const found = called(() => core.unverified(accessToken), 'TOKEN_MALFORMED')
    if (found.clientId !== undefined) return found
    throw new FlagbearerError('CLAIM_MISSING', 'the access token does not say which application it was issued to')
  }

  async #asked(request) {
    return core.tokenAnswer(...(await post(this.#fetch, request)))
  }

  sealSession(session, options) {
    return sealFor(new Seal(options?.cookiePassword), session, cookieNameOf(options))
  }

  loadSealedSession(options) {
    return new SealedSession(this, options)
  }

  /** Never rejects. */
  #fetchKeys() {
    if (host.detached !== undefined) return host.detached(this.#follow())
    // One at a time, however many wait for it.
    this.#fetching ??= this.#follow().finally(() => {
      this.#fetching = undefined
    })
    return this.#fetching
  }

  /** Does what the core says until there is nothing left to do. */
  async #follow() {
    for (;;) {
      const step = this.#reader.poll(Date.now())
      if (step.until !== undefined) {
        this.#refreshAt = step.until
        return
      }
      // Only if a fetch of ours got lost, which the core finds out by itself.
      if (step.pending) {
        await new Promise((resolve) => setTimeout(resolve, 100))
        continue
      }
      const { body, failure } = await get(this.#fetch, step)
      this.#failure = failure
      this.#reader.receive(step.id, body, Date.now())
    }
  }
}
