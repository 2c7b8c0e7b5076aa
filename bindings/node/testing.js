'use strict'

// Doors for the shared vectors (tests/vectors). Values cross as JSON text, as they stand in the files.

const native = require('./native.js')
const { FlagSet, FlagbearerError } = require('./index.js')

function call(work) {
  try {
    return work()
  } catch (cause) {
    throw new FlagbearerError(cause.code, cause.message, { cause })
  }
}

module.exports = {
  flagSetOfClaim: (claim) => new FlagSet(call(() => native.flagSetOfClaim(claim))),
  encodeClaim: (dialect, flags) => call(() => native.encodeClaim(dialect, JSON.stringify(flags))),
  usableKeys: (jwks) => call(() => native.usableKeys(jwks)),
  signatureValid: (jwks, input, signature) => call(() => native.signatureValid(jwks, input, signature)),
  errorCodes: native.errorCodes,
}
