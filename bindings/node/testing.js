'use strict'

// Tokens for the unit tests of applications, and doors for the shared vectors (tests/vectors), whose values cross as JSON text, as
// they stand in the files.

const native = require('@flagbearer/native')
const { calledOn } = require('./error.js')
const { Flagbearer, FlagSet, FlagbearerError } = require('./index.js')
const { takenAlone } = require('./options.js')
const { Watermark } = require('./watermark.js')

function call(work) {
  try {
    return work()
  } catch (cause) {
    throw new FlagbearerError(cause.code, cause.message, { cause })
  }
}

/** One document in, one out. */
const through = (door, document) => JSON.parse(calledOn(document, door))

/** Mints tokens as the server does, with a key of its own. */
class TestIssuer {
  #native
  #settings

  constructor(options) {
    const given = takenAlone(options, { issuer: 'string?', clientId: 'string?', profile: 'string?' })
    const { issuer = 'https://flags.example.com', clientId = 'app', profile = 'flagbearer' } = given
    this.#native = call(() => new native.NativeTestIssuer(issuer, clientId, profile))
    this.#settings = profile === 'flagbearer' ? { issuer, audience: clientId } : { issuer, clientId, profile }
  }

  token(given) {
    const { flags, user, organization, flagsRevision, expiresIn, ...others } = given ?? {}
    // What is not known goes along, for the core to refuse it.
    const facts = { flags, user, organization, flags_revision: flagsRevision, expires_in: expiresIn, ...others }
    return calledOn(facts, (text) => this.#native.token(text, Date.now()))
  }

  jwks() {
    return call(() => this.#native.jwks())
  }

  flagbearer(options) {
    return new Flagbearer({ ...this.#settings, fetch: async () => new Response(this.jwks()), ...options })
  }
}

// Assigned one by one, so that ES modules see the names.
exports.TestIssuer = TestIssuer
exports.flagSetOfClaim = (claim) => new FlagSet(call(() => native.flagSetOfClaim(claim)))
exports.encodeClaim = (dialect, flags) => call(() => native.encodeClaim(dialect, JSON.stringify(flags)))
exports.usableKeys = (jwks) => call(() => native.usableKeys(jwks))
exports.signatureValid = (jwks, input, signature) => call(() => native.signatureValid(jwks, input, signature))
exports.evaluateJson = (document) => through(native.evaluateJson, document)
exports.bucketsJson = (document) => through(native.bucketsJson, document)
exports.effectJson = (document) => through(native.effectJson, document)
/** A reader that was told watermarks: the code each was refused with, and flag sets read under what it believed. */
exports.followWatermarks = (document) => {
  const followed = call(() => new native.NativeFollowed(JSON.stringify(document)))
  const watermark = new Watermark(followed)
  return {
    outcomes: followed.outcomes(),
    flagSet: (claims) => new FlagSet(call(() => native.flagSetOfClaims(JSON.stringify(claims))), watermark),
  }
}
const passwordsOf = (passwords) =>
  new native.NativePasswords(Object.entries(passwords).map(([id, password]) => ({ id: Number(id), password })))
exports.sealWith = (passwords, text, random) => call(() => passwordsOf(passwords).seal(text, random))
exports.unsealAt = (passwords, sealed, now) => call(() => passwordsOf(passwords).unseal(sealed, now * 1000))
exports.tokenAnswer = (status, retryAfter, body) => {
  const { accessToken, refreshToken, idToken, code, retrySeconds } = native.tokenAnswer(status ?? undefined, retryAfter, Buffer.from(body))
  if (code !== undefined) return { code, retry_seconds: retrySeconds }
  return { access_token: accessToken, refresh_token: refreshToken, ...(idToken !== undefined && { id_token: idToken }) }
}
exports.errorCodes = native.errorCodes
