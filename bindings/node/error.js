'use strict'

class FlagbearerError extends Error {
  constructor(code, message, options) {
    super(message, options)
    this.name = 'FlagbearerError'
    this.code = code
  }
}

/** The core's codes; those of napi, about arguments of the wrong type, are written otherwise, and nobody knows them. */
const CODE = /^[A-Z]+(_[A-Z]+)+$/

function refusal(cause, code) {
  if (cause instanceof FlagbearerError) return cause
  return new FlagbearerError(CODE.test(cause.code) ? cause.code : code, cause.message, { cause })
}

function called(work, code) {
  try {
    return work()
  } catch (cause) {
    throw refusal(cause, code)
  }
}

/** Goes on with what a core answers: at once, or, where it is the host that does the cryptography, once it has. */
const then = (answer, work) => (answer instanceof Promise ? answer.then(work) : work(answer))

/** What a door of the core makes of a document; a refusal also says where in the document, as a JSON pointer. */
function calledOn(document, door) {
  let text
  try {
    text = JSON.stringify(document) ?? 'null'
  } catch (cause) {
    throw Object.assign(new FlagbearerError('DOCUMENT_MALFORMED', `it cannot be written as JSON: ${cause.message}`, { cause }), { pointer: '' })
  }
  try {
    return door(text)
  } catch (cause) {
    const [pointer, ...message] = cause.message.split('\n')
    throw Object.assign(new FlagbearerError(cause.code, message.join('\n'), { cause }), { pointer })
  }
}

module.exports = { FlagbearerError, called, calledOn, refusal, then }
