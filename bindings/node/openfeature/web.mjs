// Flagbearer behind OpenFeature's API, in browsers. There the flags are given: which user they are for was decided when the token
// was issued, so neither a context nor a token is looked at.

import { OpenFeatureEventEmitter, ProviderEvents } from '@openfeature/web-sdk'
import { readPicked } from '../picked.mjs'

export class FlagbearerProvider {
  metadata = { name: 'flagbearer' }
  runsOn = 'client'
  events = new OpenFeatureEventEmitter()
  #picked
  #flags = readPicked([])
  #ready
  #given = new Promise((resolve) => (this.#ready = resolve))

  constructor(picked) {
    if (picked !== undefined) this.setFlags(picked)
  }

  /** Until there are flags, the SDK says itself that the provider is not ready. */
  initialize() {
    return this.#given
  }

  setFlags(picked) {
    const older = this.#picked
    this.#picked = picked
    this.#flags = readPicked(picked)
    if (older === undefined) {
      this.#ready()
      return
    }
    const flagsChanged = changed(older, picked)
    if (flagsChanged.length > 0) this.events.emit(ProviderEvents.ConfigurationChanged, { flagsChanged })
  }

  resolveBooleanEvaluation(key, defaultValue) {
    return this.#resolve(key, defaultValue, 'boolean')
  }

  resolveStringEvaluation(key, defaultValue) {
    return this.#resolve(key, defaultValue, 'string')
  }

  resolveNumberEvaluation(key, defaultValue) {
    return this.#resolve(key, defaultValue, 'integer')
  }

  resolveObjectEvaluation(key, defaultValue) {
    return this.#resolve(key, defaultValue, 'json')
  }

  #resolve(key, defaultValue, type) {
    const { value, reason, errorCode } = this.#flags.getFlag(key, defaultValue, type)
    if (errorCode === undefined) return { value, reason }
    return { value, reason, errorCode, errorMessage: `\`${key}\`, read as ${type}: ${errorCode}` }
  }
}

/** The keys of what is read differently. Values come in the one order that the core writes them in, so their texts tell. */
function changed(older, newer) {
  const texts = (picked) => new Map(picked.map(([key, { type, value }]) => [key, JSON.stringify([type, value])]))
  const [before, after] = [texts(older), texts(newer)]
  return [...new Set([...before.keys(), ...after.keys()])].filter((key) => before.get(key) !== after.get(key)).sort()
}
