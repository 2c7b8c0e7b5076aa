'use strict'

const native = require('@flagbearer/native')
const { FlagbearerError } = require('./error.js')
const flagSetOver = require('./flag_set.js')
const flagbearerOver = require('./flagbearer.js')
const { Follower } = require('./follower.js')
const sessions = require('./session.js')

const FlagSet = flagSetOver(native)

const Flagbearer = flagbearerOver(native, { FlagSet, ...sessions }, {
  warn: (message, detail) => process.emitWarning(message, { type: 'FlagbearerWarning', detail }),
  follow: (...parts) => new Follower(...parts),
})

module.exports = { Flagbearer, FlagSet, FlagbearerError }
