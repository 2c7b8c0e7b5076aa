'use strict'

// What browsers read, of flags that a server has picked and sent as JSON: it has to be what the server's own getters answer.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { FlagSet } = require('@flagbearer/node')
const { flagSetOfClaim, followWatermarks } = require('@flagbearer/node/testing')
const { read } = require('./vectors.js')

/** The names of types and their letters, none, and what is no type, some of which JavaScript knows otherwise. */
const TYPES = ['boolean', 'string', 'integer', 'json', 'b', 's', 'i', 'j', undefined, null, 'number', 'toString', '__proto__']
const GETTERS = ['getBooleanFlag', 'getStringFlag', 'getIntegerFlag']

const overTheWire = (value) => JSON.parse(JSON.stringify(value))

/** Compares every getter; answers how many reads had which reason or code. */
async function same(flags, keys, picked, told = {}) {
  const { readPicked } = await import('../picked.mjs')
  const inBrowser = readPicked(overTheWire(picked))
  for (const key of keys) {
    for (const type of TYPES) {
      const expected = flags.getFlag(key, 'mine', type)
      // Both through JSON, which has no −0.
      assert.deepEqual(overTheWire(inBrowser.getFlag(key, 'mine', type)), overTheWire(expected), `${key} as ${type}`)
      const why = expected.errorCode ?? expected.reason
      told[why] = (told[why] ?? 0) + 1
    }
    for (const getter of GETTERS) assert.equal(inBrowser[getter](key, 'mine'), flags[getter](key, 'mine'), `${getter} of ${key}`)
  }
  return told
}

test('getters.json: a browser reads every flag as the server does, with the same details', async () => {
  const told = {}
  for (const { name, claim, key } of read('getters.json').cases) {
    const flags = flagSetOfClaim(claim)
    for (const picked of [flags.pick('all'), flags.pick([key])]) {
      await same(flags, [key], picked, told).catch((error) => assert.fail(`${name}: ${error.message}`))
    }
  }
  assert.deepEqual(Object.keys(told).sort(), ['CACHED', 'FLAG_NOT_FOUND', 'PARSE_ERROR', 'TYPE_MISMATCH'])
})

test('watermarks.json: a browser reads what was killed, and what is too old, as the server does', async () => {
  const { issuer, jwks, cases } = read('watermarks.json')
  const told = {}
  for (const { name, watermarks, token, reads } of cases) {
    const { flagSet } = followWatermarks({ issuer, jwks, watermarks: watermarks.map(({ at, watermark }) => ({ at, watermark })) })
    const flags = flagSet(token)
    const keys = reads.map(({ key }) => key)
    await same(flags, keys, flags.pick('all'), told).catch((error) => assert.fail(`${name}: ${error.message}`))
  }
  for (const reason of ['DISABLED', 'STALE']) assert.ok(told[reason] > 0, reason)
})

test('a flag that was not picked is not there', async () => {
  const { readPicked } = await import('../picked.mjs')
  const { getFlag } = readPicked(FlagSet.of({ on: true, secret: true }).pick(['on', 'gone']))
  assert.deepEqual(['on', 'secret', 'gone'].map((key) => getFlag(key, false).errorCode), [undefined, 'FLAG_NOT_FOUND', 'FLAG_NOT_FOUND'])
})
