'use strict'

const native = require('@flagbearer/native')

class FlagbearerError extends Error {
  constructor(code, message, options) {
    super(message, options)
    this.name = 'FlagbearerError'
    this.code = code
  }
}

const CODES = new Set(native.errorCodes())

/** The core's errors keep their code; napi's own, about arguments of the wrong type, have none that anybody knows. */
function refusal(cause, code) {
  return new FlagbearerError(CODES.has(cause.code) ? cause.code : code, cause.message, { cause })
}

module.exports = { FlagbearerError, refusal }
