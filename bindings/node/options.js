'use strict'

// What callers hand over is looked at here, so that what is wrong with it is told in this side's words: those of napi are Rust's.

const { FlagbearerError } = require('./error.js')

/**
 * The members by the names of `kinds`: each of the type that stands there, or, where that ends in `?`, nothing, for which `null`
 * goes too. Throws this code.
 */
function taken(given, kinds, code = 'CONFIGURATION_INVALID') {
  const found = {}
  for (const [name, kind] of Object.entries(kinds)) {
    const [type, optional] = kind.split('?')
    const value = given?.[name] ?? undefined
    if (value === undefined && optional !== undefined) continue
    if (value === undefined) throw new FlagbearerError(code, `\`${name}\` is missing; it has to be a ${type}`)
    if (typeof value !== type || Number.isNaN(value)) throw new FlagbearerError(code, `\`${name}\` has to be a ${type}`)
    found[name] = value
  }
  return found
}

/** The same, of an object that has nothing else: a name that was misspelt must not pass for one that was left out. */
function takenAlone(given, kinds) {
  const unknown = Object.keys(given ?? {}).find((name) => !Object.hasOwn(kinds, name))
  if (unknown === undefined) return taken(given, kinds)
  throw new FlagbearerError('CONFIGURATION_INVALID', `\`${unknown}\` is not an option; there are ${Object.keys(kinds).join(', ')}`)
}

module.exports = { taken, takenAlone }
