'use strict'

// The reader for hosts that load no native code, of the module that they have compiled.

const { FlagbearerError } = require('../error.js')
const flagSetOver = require('../flag_set.js')
const flagbearerOver = require('../flagbearer.js')
const coreOf = require('./core.js')

/** Asking for tokens, and sealing them, which the module does not hold. */
const NODES = ['refreshTokens', 'exchangeCode', 'revoke', 'sealSession', 'loadSealedSession']

/** `host` as in `flagbearer.js`. `core` is for tests. */
module.exports = (module, host) => {
  const core = coreOf(module)
  const FlagSet = flagSetOver(core)
  const warn = (message, detail) => console.warn(`FlagbearerWarning: ${message}\n${detail}`)
  const Flagbearer = flagbearerOver(core, { FlagSet }, { warn, ...host })
  for (const name of NODES) delete Flagbearer.prototype[name]
  return { core, FlagSet, FlagbearerError, Flagbearer }
}
