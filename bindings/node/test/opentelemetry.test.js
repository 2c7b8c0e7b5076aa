'use strict'

// Exposures through the real OpenTelemetry SDK.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { logs } = require('@opentelemetry/api-logs')
const { InMemoryLogRecordExporter, LoggerProvider, SimpleLogRecordProcessor } = require('@opentelemetry/sdk-logs')
// Before there is a provider, as in programs that set theirs late.
const { onRead } = require('@flagbearer/node/opentelemetry')
const { TestIssuer } = require('@flagbearer/node/testing')

test('each read is an event of the semantic conventions', async (t) => {
  const exporter = new InMemoryLogRecordExporter()
  const provider = new LoggerProvider({ processors: [new SimpleLogRecordProcessor({ exporter })] })
  logs.setGlobalLoggerProvider(provider)
  t.after(() => provider.shutdown())
  const issuer = new TestIssuer()
  const token = issuer.token({ flags: { on: true, variant: 'b', config: { model: 'large' } }, flagsRevision: 42, user: 'ann' })
  const flags = await issuer.flagbearer({ onRead }).verify(token)
  flags.getBooleanFlag('on', false)
  flags.getFlag('config', null, 'j')
  flags.getIntegerFlag('variant', 7)
  await provider.forceFlush()

  const records = exporter.getFinishedLogRecords()
  assert.deepEqual(records.map(({ eventName }) => eventName), Array(3).fill('feature_flag.evaluation'))
  assert.ok(records.every(({ instrumentationScope }) => instrumentationScope.name === 'flagbearer'))
  const same = { 'feature_flag.provider.name': 'flagbearer', 'feature_flag.version': '42', 'feature_flag.context.id': 'ann' }
  assert.deepEqual(records.map(({ attributes }) => ({ ...attributes })), [
    { ...same, 'feature_flag.key': 'on', 'feature_flag.result.reason': 'cached', 'feature_flag.result.value': true },
    { ...same, 'feature_flag.key': 'config', 'feature_flag.result.reason': 'cached' },
    {
      ...same, 'feature_flag.key': 'variant', 'feature_flag.result.reason': 'error', 'feature_flag.result.value': 7,
      'error.type': 'type_mismatch',
    },
  ])
})
