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

/** What a door of the native part makes of a document; a refusal also says where in the document, as a JSON pointer. */
function calledOn(document, door) {
  try {
    return door(JSON.stringify(document) ?? 'null')
  } catch (cause) {
    const [pointer, ...message] = cause.message.split('\n')
    throw Object.assign(new FlagbearerError(cause.code, message.join('\n'), { cause }), { pointer })
  }
}

module.exports = { FlagbearerError, calledOn, refusal }
