'use strict'

// Flagbearer behind OpenFeature's API, in servers. A token's flags are one user's, so the provider reads the set that is current
// where the read happens. OpenFeature's own transaction context would not do: it holds plain values, which are merged, copied and
// shown to every hook, and from which flags would have to be found again at each read.

const { AsyncLocalStorage } = require('node:async_hooks')

const current = new AsyncLocalStorage()

function reading(flags, work) {
  return current.run(flags, work)
}

class FlagbearerProvider {
  metadata = { name: 'flagbearer' }
  runsOn = 'server'
  #flags

  constructor(flags) {
    this.#flags = flags
  }

  async resolveBooleanEvaluation(key, defaultValue) {
    return this.#resolve(key, defaultValue, 'boolean')
  }

  async resolveStringEvaluation(key, defaultValue) {
    return this.#resolve(key, defaultValue, 'string')
  }

  async resolveNumberEvaluation(key, defaultValue) {
    return this.#resolve(key, defaultValue, 'integer')
  }

  async resolveObjectEvaluation(key, defaultValue) {
    return this.#resolve(key, defaultValue, 'json')
  }

  #resolve(key, defaultValue, type) {
    const flags = current.getStore() ?? this.#flags
    if (flags === undefined) {
      const errorMessage = "no token's flags are being read here; see `reading` of @flagbearer/node/openfeature"
      return { value: defaultValue, reason: 'ERROR', errorCode: 'PROVIDER_NOT_READY', errorMessage }
    }
    const { value, reason, errorCode } = flags.getFlag(key, defaultValue, type)
    if (errorCode !== undefined) return { value, reason, errorCode, errorMessage: `\`${key}\`, read as ${type}: ${errorCode}` }
    return { value, reason, flagMetadata: metadata(flags) }
  }
}

function metadata({ flagsRevision, claims }) {
  const known = Object.entries({ version: flagsRevision, contextId: claims.sub }).filter(([, value]) => value != null)
  return Object.fromEntries(known.map(([name, value]) => [name, String(value)]))
}

module.exports = { FlagbearerProvider, reading }
