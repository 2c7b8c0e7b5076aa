'use strict'

// What tests of applications are written with: real tokens without a server, and sets of given flags.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { FlagSet, FlagbearerError } = require('@flagbearer/node')
const { TestIssuer } = require('@flagbearer/node/testing')

const FLAGS = { on: true, variant: 'b', limit: 5000, config: { model: 'large' } }

const refused = (code, pointer) => (error) => {
  assert.ok(error instanceof FlagbearerError, error.stack)
  assert.deepEqual([error.code, error.pointer], [code, pointer])
  return true
}

for (const profile of ['flagbearer', 'kinde']) {
  test(`a minted token of profile ${profile} is verified and read like the server's`, async () => {
    const issuer = new TestIssuer({ profile })
    const token = issuer.token({ flags: FLAGS, user: 'ann', organization: 'org_a', flagsRevision: 42 })
    const flags = await issuer.flagbearer().verify(token)
    assert.deepEqual({ ...flags.getAllFlags() }, FLAGS)
    assert.deepEqual([flags.claims.sub, flags.organization, flags.flagsRevision], ['ann', 'org_a', 42])
  })
}

test('a token in the profile of workos names the flags that are on', async () => {
  const issuer = new TestIssuer({ profile: 'workos' })
  const flags = await issuer.flagbearer().verify(issuer.token({ flags: { on: true, off: false } }))
  assert.deepEqual({ ...flags.getAllFlags() }, { on: true })
})

test("a minted token may have expired, and another issuer's is refused", async () => {
  const flagbearer = new TestIssuer().flagbearer()
  await assert.rejects(flagbearer.verify(new TestIssuer().token()), refused('KEY_UNKNOWN'))
  const issuer = new TestIssuer()
  await assert.rejects(issuer.flagbearer().verify(issuer.token({ expiresIn: -60 })), refused('TOKEN_EXPIRED'))
  await issuer.flagbearer({ leeway: 10 }).verify(issuer.token({ expiresIn: -8 }))
})

test('what no server would mint is refused with its place', () => {
  const issuer = new TestIssuer()
  assert.throws(() => issuer.token({ flags: { big: 2 ** 53 } }), refused('VALUE_OUT_OF_RANGE', '/flags/big'))
  assert.throws(() => issuer.token({ audience: 'api' }), (error) => error.pointer === '/audience')
  for (const options of [{ profile: 'auth0' }, { clientID: 'app' }, { issuer: 5 }]) {
    assert.throws(() => new TestIssuer(options), refused('CONFIGURATION_INVALID'))
  }
})

test('a set of given flags has them with the types of their values', () => {
  const flags = FlagSet.of({ ...FLAGS, half: 0.5, list: ['a'] })
  assert.equal(flags.getBooleanFlag('on', false), true)
  assert.equal(flags.getStringFlag('variant', 'a'), 'b')
  assert.equal(flags.getIntegerFlag('limit', 1), 5000)
  assert.deepEqual(flags.getFlag('config', {}, 'j').value, { model: 'large' })
  assert.deepEqual(['half', 'list'].map((key) => flags.getFlag(key).type), ['json', 'json'])
  assert.equal(flags.getFlag('limit', 'x', 's').errorCode, 'TYPE_MISMATCH')
  assert.deepEqual(FlagSet.of(FLAGS).changedFrom(FlagSet.of({ ...FLAGS, limit: 6000 })), ['limit'])
})

test('what cannot be a flag makes no set, and says which it is', () => {
  assert.throws(() => FlagSet.of({ on: true, gone: null }), (error) => error instanceof FlagbearerError && error.pointer === '/gone')
  assert.throws(() => FlagSet.of({ nothing: NaN }), (error) => error.pointer === '/nothing')
  assert.throws(() => FlagSet.of({ big: -(2 ** 53) }), refused('VALUE_OUT_OF_RANGE', '/big'))
  const circle = {}
  circle.circle = circle
  for (const unwritable of [{ limit: 1n }, { circle }]) assert.throws(() => FlagSet.of(unwritable), refused('DOCUMENT_MALFORMED', ''))
  for (const none of [undefined, null, 'x', []]) assert.throws(() => FlagSet.of(none), refused('TYPE_MISMATCH', ''))
})

test('what is picked for a browser is what can be read of the flags that are named', () => {
  const flags = FlagSet.of(FLAGS)
  const limit = ['limit', { type: 'integer', value: 5000, reason: 'CACHED' }]
  assert.deepEqual(flags.pick(['limit', 'gone']), [limit])
  assert.deepEqual(flags.pick('all').map(([key]) => key).sort(), Object.keys(FLAGS).sort())
  for (const none of [undefined, null, 'limit', { limit: true }]) assert.throws(() => flags.pick(none), refused('CONFIGURATION_INVALID'))
})
