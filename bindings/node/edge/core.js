'use strict'

// The core as WebAssembly, with the face of the addon. It brings no cryptography: signatures are checked by the platform's
// (Web Cryptography API). `bindings/wasm` is the other side.

const { FlagbearerError } = require('../error.js')

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** What stands between texts that cross as one. */
const SEPARATOR = '\u001e'

/** A byte of a token; what is signed ends before the last one. */
const DOT = '.'.charCodeAt(0)

/** How the platform checks a signature, by the key's type. */
const ALGORITHMS = {
  OKP: { name: 'Ed25519' },
  EC: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  RSA: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
}

/** The most keys that stay imported: far more than an issuer has at a time. */
const MAX_KEYS = 32

/** Keys, by their JWK, as the platform has them. */
class Keys {
  #imported = new Map()

  async #import(jwk) {
    // Nothing but the key itself: what else a JWK may say, the core has judged.
    const { kty, crv, x, y, n, e } = JSON.parse(jwk)
    try {
      return await crypto.subtle.importKey('jwk', { kty, crv, x, y, n, e }, ALGORITHMS[kty], false, ['verify'])
    } catch (cause) {
      const message = `this platform has no \`${ALGORITHMS[kty].name}\`, or not for such a key; let the application's tokens be signed with another algorithm`
      throw new FlagbearerError('ALGORITHM_UNSUPPORTED', message, { cause })
    }
  }

  /** Whether a signature is that of a key, given as a JWK in JSON text. */
  async verified(jwk, signature, input) {
    let key = this.#imported.get(jwk)
    if (key === undefined) {
      key = await this.#import(jwk)
      if (this.#imported.size >= MAX_KEYS) this.#imported.clear()
      this.#imported.set(jwk, key)
    }
    const algorithm = key.algorithm.name === 'ECDSA' ? ALGORITHMS.EC : key.algorithm
    // Some platforms throw where a signature has not the length of one.
    return crypto.subtle.verify(algorithm, key, signature, input).catch(() => false)
  }
}

/** An instance of the module: its memory, and calls with text or bytes in and out. */
class Instance {
  #exports

  constructor(module) {
    this.#exports = new WebAssembly.Instance(module).exports
  }

  /** What the export answers to an input; `answer` has it as text. Throws what it refuses. */
  call(name, input, ...numbers) {
    const { memory, output, output_length: length } = this.#exports
    if (input !== undefined) {
      const bytes = typeof input === 'string' ? encoder.encode(input) : input
      // Asked for first: it may have the memory replaced.
      const at = this.#exports.input(bytes.length)
      new Uint8Array(memory.buffer).set(bytes, at)
    }
    const answered = this.#exports[name](...numbers)
    if (answered >= 0) return answered
    const [code, ...message] = decoder.decode(new Uint8Array(memory.buffer, output(), length())).split('\n')
    throw new FlagbearerError(code, message.join('\n'))
  }

  get bytes() {
    const { memory, output, output_length: length } = this.#exports
    return new Uint8Array(memory.buffer).slice(output(), output() + length())
  }

  get answer() {
    const { memory, output, output_length: length } = this.#exports
    return decoder.decode(new Uint8Array(memory.buffer, output(), length()))
  }

  /** A call that answers with text. */
  ask(name, input, ...numbers) {
    this.call(name, input, ...numbers)
    return this.answer
  }
}

/** The core over a compiled module. */
module.exports = (module) => {
  const common = new Instance(module)
  const keys = new Keys()
  const TIMEOUT = common.call('fetch_timeout_seconds') * 1000
  const MAX_BYTES = common.call('max_body_bytes')

  class NativeReader {
    // An instance of its own, which is collected with it.
    #instance = new Instance(module)

    constructor({ issuer, audience, clientId, profile, jwksUri, leeway, discovery }) {
      const texts = [issuer, audience, clientId, profile, jwksUri].map((text) => (text == null ? '' : `=${text}`))
      this.#instance.call('open', texts.join(SEPARATOR), leeway ?? NaN, discovery === true)
    }

    verify(token, now) {
      const bytes = encoder.encode(token)
      const remembered = this.#instance.call('recall', bytes, now)
      if (remembered !== 0) return remembered
      const number = this.#instance.call('prepare', bytes, now)
      if (number === 0) return null
      const signature = this.#instance.bytes
      const key = this.#instance.ask('key', undefined, number)
      return this.#release(number, key, signature, bytes.subarray(0, bytes.lastIndexOf(DOT)))
    }

    async #release(number, key, signature, input) {
      let valid
      try {
        valid = await keys.verified(key, signature, input)
      } catch (cause) {
        this.#instance.call('abandon', undefined, number)
        throw cause
      }
      this.#instance.call('release', undefined, number, valid)
      const tables = this.#instance.answer
      const forgotten = []
      for (let old; (old = this.#instance.call('forgotten')) !== 0; ) forgotten.push(old)
      return { tables, number, forgotten }
    }

    poll(now) {
      const [what, number, url] = this.#instance.ask('poll', undefined, now).split(SEPARATOR)
      if (what === 'pending') return { pending: true }
      if (what === 'until') return { until: Number(number) }
      return { id: Number(number), url, timeoutMilliseconds: TIMEOUT, maxBytes: MAX_BYTES }
    }

    receive(id, body, now) {
      this.#instance.call('receive', body ?? new Uint8Array(), id, body !== undefined, now)
    }
  }

  return {
    NativeReader,
    flagSetOf: (flags) => common.ask('flag_set_of', flags),
    flagSetOfClaim: (claim) => common.ask('flag_set_of_claim', claim),
    flagSetOfClaims: (claims) => common.ask('flag_set_of_claims', claims),
    changedFrom: (newer, older) => JSON.parse(common.ask('changed_from', newer + SEPARATOR + older)),
    errorCodes: () => common.ask('error_codes').split(SEPARATOR),
    usableKeys: (jwks) => JSON.parse(common.ask('usable_keys', jwks)).keys.map(({ kid }) => kid),
    signatureValid: (jwks, input, signature) => {
      const [key] = JSON.parse(common.ask('usable_keys', jwks)).keys
      return keys.verified(JSON.stringify(key), signature, input)
    },
  }
}
