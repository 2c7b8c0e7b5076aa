'use strict'

// Exposures as OpenTelemetry wants them: each read of a flag is an event with the attributes of the semantic conventions for
// feature flags.

const { logs } = require('@opentelemetry/api-logs')

const logger = logs.getLogger('flagbearer')

function onRead({ code, value, reason, errorCode }, { flagsRevision, claims }) {
  const attributes = {
    'feature_flag.key': code,
    'feature_flag.provider.name': 'flagbearer',
    'feature_flag.result.reason': reason.toLowerCase(),
  }
  // JSON values stay out of it: they can be large.
  if (['boolean', 'string', 'number'].includes(typeof value)) attributes['feature_flag.result.value'] = value
  if (errorCode !== undefined) attributes['error.type'] = errorCode.toLowerCase()
  if (flagsRevision !== null) attributes['feature_flag.version'] = String(flagsRevision)
  if (typeof claims.sub === 'string') attributes['feature_flag.context.id'] = claims.sub
  logger.emit({ eventName: 'feature_flag.evaluation', attributes })
}

module.exports = { onRead }
