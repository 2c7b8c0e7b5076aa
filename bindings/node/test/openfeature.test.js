'use strict'

// Both providers behind the real SDKs of OpenFeature.

const { test, beforeEach, after } = require('node:test')
const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const { OpenFeature } = require('@openfeature/server-sdk')
const web = require('@openfeature/web-sdk')
const { FlagSet } = require('@flagbearer/node')
const { FlagbearerProvider, reading } = require('@flagbearer/node/openfeature')
const { TestIssuer, followWatermarks } = require('@flagbearer/node/testing')
const { read } = require('./vectors.js')

const FLAGS = { on: true, variant: 'b', limit: 5000, config: { model: 'large' } }

/** What no flag answers, whichever SDK asks: the details, the default that was given, and the code. */
const UNREADABLE = [
  ['Boolean', 'gone', true, 'FLAG_NOT_FOUND'],
  ['Number', 'variant', 7, 'TYPE_MISMATCH'],
  ['String', 'limit', 'x', 'TYPE_MISMATCH'],
  ['Object', 'on', { a: 1 }, 'TYPE_MISMATCH'],
]

async function refused(client) {
  for (const [type, key, value, code] of UNREADABLE) {
    const details = await client[`get${type}Details`](key, value)
    assert.deepEqual([details.value, details.reason, details.errorCode], [value, 'ERROR', code])
    assert.match(details.errorMessage, new RegExp(`\`${key}\``))
  }
}

/** The values of every type. */
async function values(client) {
  return [
    await client.getBooleanValue('on', false),
    await client.getStringValue('variant', 'a'),
    await client.getNumberValue('limit', 1),
    await client.getObjectValue('config', {}),
  ]
}

async function verified(facts) {
  const issuer = new TestIssuer()
  return issuer.flagbearer().verify(issuer.token({ flags: FLAGS, ...facts }))
}

beforeEach(() => OpenFeature.setProviderAndWait(new FlagbearerProvider()))
after(() => Promise.all([OpenFeature.close(), web.OpenFeature.close()]))

test('in a server, flags of every type are read', async () => {
  const client = OpenFeature.getClient()
  await reading(await verified({ flagsRevision: 42, user: 'ann' }), async () => {
    assert.deepEqual(await values(client), Object.values(FLAGS))
    const { reason, errorCode, flagMetadata } = await client.getBooleanDetails('on', false)
    assert.deepEqual([reason, errorCode, { ...flagMetadata }], ['CACHED', undefined, { version: '42', contextId: 'ann' }])
  })
})

test("in a server, what cannot be read is the default with OpenFeature's code", async () => {
  await reading(await verified(), () => refused(OpenFeature.getClient()))
})

test('in a server, without a token the default is answered and says why', async () => {
  const { value, reason, errorCode, errorMessage } = await OpenFeature.getClient().getBooleanDetails('on', true)
  assert.deepEqual([value, reason, errorCode], [true, 'ERROR', 'PROVIDER_NOT_READY'])
  assert.match(errorMessage, /`reading`/)
})

test('in a server, a program with one user gives its flags once', async () => {
  await OpenFeature.setProviderAndWait('one user', new FlagbearerProvider(FlagSet.of(FLAGS)))
  const client = OpenFeature.getClient('one user')
  assert.equal(await client.getStringValue('variant', 'a'), 'b')
  assert.equal(await reading(FlagSet.of({ variant: 'c' }), () => client.getStringValue('variant', 'a')), 'c')
})

test('in a server, requests that are served at the same time read their own flags', async () => {
  const client = OpenFeature.getClient()
  const request = async (number) => {
    await new Promise(setImmediate)
    return client.getNumberValue('limit', 0)
  }
  const numbers = Array.from({ length: 20 }, (_, number) => number)
  assert.deepEqual(await Promise.all(numbers.map((number) => reading(FlagSet.of({ limit: number }), () => request(number)))), numbers)
})

/** A provider in a browser and its client, in a domain of their own. */
async function inBrowser(domain, picked) {
  const { FlagbearerProvider } = await import('@flagbearer/node/openfeature/web')
  const provider = new FlagbearerProvider(picked)
  return { provider, client: web.OpenFeature.getClient(domain), set: () => web.OpenFeature.setProviderAndWait(domain, provider) }
}

test('in a browser, flags of every type are read, and what cannot be is the default', async () => {
  // As it comes over the wire.
  const picked = JSON.parse(JSON.stringify((await verified()).pick('all')))
  const { client, set } = await inBrowser('types', picked)
  await set()
  assert.deepEqual(await values(client), Object.values(FLAGS))
  assert.equal(client.getBooleanDetails('on', false).reason, 'CACHED')
  await refused(client)
})

test('in a browser, the provider is ready once there are flags', async () => {
  const { provider, client, set } = await inBrowser('ready')
  const ready = set()
  const { value, errorCode } = client.getBooleanDetails('on', false)
  assert.deepEqual([value, errorCode], [false, 'PROVIDER_NOT_READY'])
  provider.setFlags(FlagSet.of(FLAGS).pick('all'))
  await ready
  assert.equal(client.getBooleanValue('on', false), true)
})

test('in a browser, newer flags are read and told by the keys that changed', async () => {
  const { provider, client, set } = await inBrowser('newer', FlagSet.of(FLAGS).pick('all'))
  await set()
  const told = []
  client.addHandler(web.ProviderEvents.ConfigurationChanged, ({ flagsChanged }) => told.push(flagsChanged))
  provider.setFlags(FlagSet.of({ ...FLAGS }).pick('all'))
  const { on, ...rest } = FLAGS
  provider.setFlags(FlagSet.of({ ...rest, limit: '5000', config: { model: 'small' }, more: 1 }).pick('all'))
  assert.equal(client.getStringValue('limit', ''), '5000')
  assert.equal(client.getBooleanDetails('on', false).errorCode, 'FLAG_NOT_FOUND')
  await new Promise(setImmediate)
  assert.deepEqual(told, [['config', 'limit', 'more', 'on']])
})

/** What OpenFeature calls the types. */
const NAMES = { boolean: 'Boolean', string: 'String', integer: 'Number', json: 'Object' }

/** Checks that a client reads as a case of watermarks.json says, and notes which reasons there were. */
async function overruled(client, { name, reads }, reasons) {
  for (const { key, type, default: defaultValue, value, reason, error } of reads) {
    const details = await client[`get${NAMES[type]}Details`](key, defaultValue)
    assert.deepEqual([details.value, details.reason, details.errorCode], [value, reason, error], `${name}: ${key}`)
    reasons.add(details.reason)
  }
}

for (const [where, prepare] of [
  ['in a server', async () => (flags, work) => reading(flags, () => work(OpenFeature.getClient()))],
  ['in a browser', async () => {
    const { provider, client, set } = await inBrowser('watermarks', [])
    await set()
    return (flags, work) => {
      provider.setFlags(JSON.parse(JSON.stringify(flags.pick('all'))))
      return work(client)
    }
  }],
]) {
  test(`${where}, killed flags answer their off value, and those of a token that is too old say so`, async () => {
    const within = await prepare()
    const { issuer, jwks, cases } = read('watermarks.json')
    const reasons = new Set()
    for (const one of cases) {
      const watermarks = one.watermarks.map(({ at, watermark }) => ({ at, watermark }))
      const flags = followWatermarks({ issuer, jwks, watermarks }).flagSet(one.token)
      await within(flags, (client) => overruled(client, one, reasons))
    }
    assert.deepEqual([...reasons].sort(), ['CACHED', 'DISABLED', 'ERROR', 'STALE'])
  })
}

test('what a browser loads does without the native part and without Node', () => {
  const hooks = `export async function resolve(specifier, context, next) {
    const resolved = await next(specifier, context)
    if (/^node:|native/.test(resolved.url)) throw new Error('a browser has no ' + specifier)
    return resolved
  }`
  const script = `
    import { register } from 'node:module'
    register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hooks)}`)})
    const { FlagbearerProvider } = await import('@flagbearer/node/openfeature/web')
    const provider = new FlagbearerProvider([['on', { type: 'boolean', value: true, reason: 'CACHED' }]])
    console.log(provider.resolveBooleanEvaluation('on', false).value)`
  assert.equal(execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: __dirname, encoding: 'utf8' }), 'true\n')
})
