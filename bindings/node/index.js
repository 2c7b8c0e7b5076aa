'use strict'

// What Node adds to the core: an HTTP GET, a clock, and classes to hold what the core decided.

const { setTimeout } = require('node:timers/promises')
const native = require('@flagbearer/native')
const { FlagbearerError, calledOn, refusal } = require('./error.js')
const { COOKIE_NAME, Refreshes, Seal, SealedSession, called, post, sealFor } = require('./session.js')
const { unpack, freeze } = require('./tables.js')
const { Watermark, Follower, whole } = require('./watermark.js')

// Letters are those of the claim. A Map, because `types.toString` of an object is not undefined.
const TYPES = new Map(['boolean', 'string', 'integer', 'json'].flatMap((type) => [[type, type], [type[0], type]]))

class FlagSet {
  // The core's texts (`FlagSet::tables`), each unpacked when it is first asked for.
  #texts
  #boolean
  #string
  #integer
  #json
  #unreadable
  #about
  #claims
  #watermark
  #report

  /**
   * Of what the native part handed over, read under a watermark, each read told to `report`; not for users, who get theirs from
   * `verify`.
   */
  constructor(tables, watermark, report) {
    this.#texts = tables.split('\u001e')
    this.#watermark = watermark
    this.#report = report
  }

  static of(flags) {
    return new FlagSet(calledOn(flags, native.flagSetOf))
  }

  /** What the watermark overrules of this token. */
  get #overruled() {
    return this.#watermark?.of(this.flagsRevision)
  }

  /** The flag's value as that type; nothing where there is none. */
  #read(key, type, table) {
    // Asked first, for it is what most readers have not, and a read is to be a look-up.
    if (this.#watermark === undefined) return table.get(key)
    const killed = this.#overruled?.killed.get(key)
    if (killed === undefined) return table.get(key)
    return killed.type === type ? killed.value : undefined
  }

  get #booleans() {
    return (this.#boolean ??= unpack(this.#texts[0]))
  }

  get #strings() {
    return (this.#string ??= unpack(this.#texts[1]))
  }

  get #integers() {
    return (this.#integer ??= unpack(this.#texts[2]))
  }

  get #jsons() {
    return (this.#json ??= unpack(this.#texts[3]))
  }

  getBooleanFlag(key, defaultValue) {
    if (this.#report !== undefined) return this.getFlag(key, defaultValue, 'boolean').value
    const value = this.#read(key, 'boolean', this.#booleans)
    return value === undefined ? defaultValue : value
  }

  getStringFlag(key, defaultValue) {
    if (this.#report !== undefined) return this.getFlag(key, defaultValue, 'string').value
    const value = this.#read(key, 'string', this.#strings)
    return value === undefined ? defaultValue : value
  }

  getIntegerFlag(key, defaultValue) {
    if (this.#report !== undefined) return this.getFlag(key, defaultValue, 'integer').value
    const value = this.#read(key, 'integer', this.#integers)
    return value === undefined ? defaultValue : value
  }

  getFlag(key, defaultValue, type) {
    const details = this.#details(key, defaultValue, type)
    this.#report?.(details, this)
    return details
  }

  #details(key, defaultValue, type) {
    const asked = TYPES.get(type)
    const overruled = this.#overruled
    const killed = overruled?.killed.get(key)
    const found = killed?.type ?? this.#typeOf(key)
    const details = { code: key, type: asked ?? found, value: defaultValue, defaultValue, is_default: true, reason: 'ERROR' }
    if (found === undefined) {
      details.errorCode = (this.#unreadable ??= unpack(this.#texts[4])).get(key) ?? 'FLAG_NOT_FOUND'
    } else if (type !== undefined && found !== asked) {
      details.errorCode = 'TYPE_MISMATCH'
    } else {
      details.value = killed === undefined ? this.#table(found).get(key) : killed.value
      details.is_default = false
      details.reason = killed !== undefined ? 'DISABLED' : overruled?.stale ? 'STALE' : 'CACHED'
    }
    return details
  }

  getAllFlags() {
    const flags = Object.create(null)
    for (const map of [this.#booleans, this.#strings, this.#integers, this.#jsons]) {
      for (const [key, value] of map) flags[key] = value
    }
    for (const [key, { value }] of this.#overruled?.killed ?? []) flags[key] = value
    return flags
  }

  pick(keys) {
    const wanted = keys === 'all' ? Object.keys(this.getAllFlags()) : keys
    const found = wanted.map((key) => [key, this.#details(key)]).filter(([, { is_default: missing }]) => !missing)
    return found.map(([key, { type, value, reason }]) => [key, { type, value, reason }])
  }

  changedFrom(older) {
    if (!(older instanceof FlagSet)) throw new FlagbearerError('CONFIGURATION_INVALID', 'a flag set is compared with a flag set')
    return native.changedFrom(this.#texts[6], older.#texts[6])
  }

  get claims() {
    return (this.#claims ??= freeze(JSON.parse(this.#texts[6])))
  }

  get organization() {
    return (this.#about ??= JSON.parse(this.#texts[5]))[0]
  }

  get flagsRevision() {
    return (this.#about ??= JSON.parse(this.#texts[5]))[1]
  }

  get state() {
    return this.#watermark?.stateOf(this.flagsRevision) ?? undefined
  }

  #table(type) {
    return type === 'boolean' ? this.#booleans : type === 'string' ? this.#strings : type === 'integer' ? this.#integers : this.#jsons
  }

  #typeOf(key) {
    if (this.#booleans.has(key)) return 'boolean'
    if (this.#strings.has(key)) return 'string'
    if (this.#integers.has(key)) return 'integer'
    if (this.#jsons.has(key)) return 'json'
    return undefined
  }
}

/** The body of an answer with status 200, read no further than allowed; nothing for any other outcome. */
async function get(fetch, { url, timeoutMilliseconds, maxBytes }) {
  try {
    const signal = AbortSignal.timeout(timeoutMilliseconds)
    const response = await fetch(url, { signal, redirect: 'error', credentials: 'omit', headers: { accept: 'application/json' } })
    if (response.status !== 200) {
      await response.body?.cancel()
      return undefined
    }
    return await whole(response.body ?? [], maxBytes)
  } catch {
    return undefined
  }
}

/** What an option has to be; napi's own words for a wrong one are Rust's. */
const OPTIONS = new Map([
  ...['issuer', 'audience', 'clientId', 'clientSecret', 'profile', 'jwksUri'].map((name) => [name, 'string']),
  ['leeway', 'number'],
  ['discovery', 'boolean'],
  ['followWatermark', 'boolean'],
  ['fetch', 'function'],
  ['onRead', 'function'],
])

function checked(options) {
  for (const [name, value] of Object.entries(options)) {
    const expected = OPTIONS.get(name)
    const problem =
      expected === undefined
        ? `\`${name}\` is not an option; there are ${[...OPTIONS.keys()].join(', ')}`
        : `\`${name}\` has to be a ${expected}`
    if (expected === undefined || (value != null && typeof value !== expected)) throw new FlagbearerError('CONFIGURATION_INVALID', problem)
  }
  return options
}

/**
 * The hook, made harmless: whatever becomes of it, the flag is read. That it failed is told once, since it will hardly fail only
 * once, and a warning for each read would bury all others.
 */
function reporting(onRead) {
  let told = false
  const failed = (cause) => {
    if (told) return
    told = true
    const detail = cause instanceof Error ? cause.stack : String(cause)
    process.emitWarning('the hook `onRead` failed; that it does so again is not told', { type: 'FlagbearerWarning', detail })
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

class Flagbearer {
  #reader
  /** The flag sets that the core remembers, by their numbers, and those that it has forgotten since the last one came. */
  #verified = new Map()
  #report
  #fetch
  #fetching
  #refreshAt = Infinity
  #watermark
  #follower
  #clientSecret
  #refreshes = new Refreshes()

  constructor(options) {
    const { fetch, followWatermark, clientSecret, onRead, ...settings } = checked(options ?? {})
    this.#clientSecret = clientSecret
    this.#report = onRead == null ? undefined : reporting(onRead)
    try {
      this.#reader = new native.NativeReader({ ...settings, followSeed: followWatermark ? Math.random() : undefined })
    } catch (cause) {
      throw refusal(cause, 'CONFIGURATION_INVALID')
    }
    // Looked up at each fetch, so that what is put in place of the global one later is used.
    this.#fetch = fetch ?? ((...args) => globalThis.fetch(...args))
    if (followWatermark) {
      this.#watermark = new Watermark(this.#reader)
      this.#follower = new Follower(this.#reader, this.#watermark, fetch, () => this.#fetchKeys())
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
    const verified = this.#reader.verify(token, now)
    if (verified === null) return null
    if (typeof verified === 'number') return this.#verified.get(verified)
    const { tables, number, forgotten } = verified
    for (const old of forgotten) this.#verified.delete(old)
    const flags = new FlagSet(tables, this.#watermark, this.#report)
    this.#verified.set(number, flags)
    return flags
  }

  /** What the core answers once it has the keys that it needs. */
  async #withKeys(ask) {
    for (;;) {
      const now = Date.now()
      const answer = called(() => ask(now), 'TOKEN_MALFORMED')
      if (answer !== null) {
        if (now >= this.#refreshAt) void this.#fetchKeys()
        return answer
      }
      await this.#fetchKeys()
    }
  }

  async refreshTokens({ accessToken, refreshToken }, { organization } = {}) {
    const { clientId, claims } = this.#unverified(accessToken)
    const request = called(() => this.#reader.refreshRequest(clientId, this.#clientSecret, refreshToken, organization), 'TOKEN_MALFORMED')
    const key = JSON.stringify([refreshToken, organization])
    const { code, message, ...tokens } = await this.#refreshes.once(key, () => this.#asked(request))
    if (code !== undefined) {
      throw Object.assign(new FlagbearerError(code, message), code === 'ISSUER_UNAVAILABLE' && { retryAfter: this.#refreshes.retryAfter(key) })
    }
    const flags = await this.verify(tokens.accessToken)
    const changed = called(() => native.changedFrom(JSON.stringify(flags.claims), claims), 'FLAGS_MALFORMED')
    return { accessToken: tokens.accessToken, refreshToken: tokens.refreshToken, flags, changed }
  }

  async exchangeCode({ clientId, code, codeVerifier, redirectUri, nonce }) {
    const grant = { code, codeVerifier, redirectUri }
    const request = called(() => this.#reader.codeRequest(clientId, this.#clientSecret, grant), 'CONFIGURATION_INVALID')
    const { code: refused, message, accessToken, refreshToken, idToken = '' } = await this.#asked(request)
    if (refused !== undefined) throw new FlagbearerError(refused, message)
    const flags = await this.verify(accessToken)
    const user = await this.#withKeys((now) => this.#reader.verifyIdToken(idToken, clientId, nonce, now))
    return { accessToken, refreshToken, flags, user: JSON.parse(user) }
  }

  async revoke({ accessToken, refreshToken }) {
    const { clientId } = this.#unverified(accessToken)
    const request = called(() => this.#reader.revocationRequest(clientId, this.#clientSecret, refreshToken), 'TOKEN_MALFORMED')
    const [status] = await post(this.#fetch, request, whole)
    return status === 200
  }

  /** What a token of the application's own says, good or not. */
  #unverified(accessToken) {
    const found = called(() => native.unverified(accessToken), 'TOKEN_MALFORMED')
    if (found.clientId !== undefined) return found
    throw new FlagbearerError('CLAIM_MISSING', 'the access token does not say which application it was issued to')
  }

  async #asked(request) {
    return native.tokenAnswer(...(await post(this.#fetch, request, whole)))
  }

  sealSession(session, { cookiePassword, cookieName = COOKIE_NAME } = {}) {
    return sealFor(new Seal(cookiePassword), session, cookieName)
  }

  loadSealedSession(options) {
    return new SealedSession(this, options ?? {})
  }

  /** One at a time, however many wait for it. Never rejects. */
  #fetchKeys() {
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
        await setTimeout(100)
        continue
      }
      const body = await get(this.#fetch, step)
      this.#reader.receive(step.id, body, Date.now())
    }
  }
}

module.exports = { Flagbearer, FlagSet, FlagbearerError }
