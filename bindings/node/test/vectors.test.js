'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { Flagbearer, FlagSet, FlagbearerError } = require('@flagbearer/node')
const testing = require('@flagbearer/node/testing')
const { read, each, codeOf } = require('./vectors.js')

const TYPES = { boolean: 'getBooleanFlag', string: 'getStringFlag', integer: 'getIntegerFlag' }

test('tokens.json: every token is accepted with its claims or refused with its code', async (t) => {
  const { now, jwks, verifiers, cases } = read('tokens.json')
  t.mock.method(Date, 'now', () => now * 1000)
  const reader = ({ issuer, audience, client_id: clientId, profile, leeway }) =>
    new Flagbearer({ issuer, audience, clientId, profile, leeway, fetch: async () => Response.json(jwks) })
  const readers = Object.fromEntries(Object.entries(verifiers).map(([name, settings]) => [name, reader(settings)]))
  assert.ok(cases.length > 200)
  for (const { name, verifier, token, expect } of cases) {
    const outcome = await readers[verifier].verify(token).catch((error) => error)
    if (outcome instanceof Error) {
      assert.ok(outcome instanceof FlagbearerError, `${name}: ${outcome.stack}`)
      assert.equal(outcome.code, expect.error, name)
      continue
    }
    assert.equal(expect.error, undefined, `${name} was accepted`)
    const { claims } = expect
    assert.deepEqual(outcome.claims, claims, name)
    assert.equal(outcome.organization, claims.org_id ?? claims.org_code ?? null, name)
    assert.equal(outcome.flagsRevision, claims.flags_rev ?? null, name)
    const carried = Array.isArray(claims.feature_flags)
      ? claims.feature_flags.map((key) => [key, true])
      : Object.entries(claims.feature_flags ?? {}).map(([key, { v }]) => [key, v])
    assert.deepEqual({ ...outcome.getAllFlags() }, Object.fromEntries(carried), name)
  }
})

test('claims.json: every claim is written to the byte', () => {
  each(read('claims.json').encode, ({ dialect, flags, claim, size }) => {
    assert.equal(testing.encodeClaim(dialect, flags), claim)
    assert.equal(Buffer.byteLength(claim), size)
  })
})

test('claims.json: every claim is read or refused with its code', () => {
  each(read('claims.json').decode, ({ claim, expect }) => {
    assert.equal(codeOf(() => testing.flagSetOfClaim(claim)), expect.error)
    if (expect.error !== undefined) return
    const flags = testing.flagSetOfClaim(claim)
    const read = Object.entries(flags.getAllFlags()).map(([key, value]) => [key, { type: flags.getFlag(key, null).type, value }])
    assert.deepEqual(new Map(read), new Map(Object.entries(expect.flags)))
    for (const [key, code] of Object.entries(expect.unreadable ?? {})) assert.equal(flags.getFlag(key, null).errorCode, code)
  })
})

test('getters.json: every getter answers the value or the default and why', () => {
  const { cases, defaults } = read('getters.json')
  each(cases, ({ claim, key, expect }) => {
    const flags = testing.flagSetOfClaim(claim)
    for (const fallback of defaults) {
      for (const [type, expected] of Object.entries(expect)) {
        const defaultValue = fallback[type]
        const value = 'value' in expected ? expected.value : defaultValue
        for (const name of [type, type[0]]) {
          const details = flags.getFlag(key, defaultValue, name)
          // Through JSON, where −0 and 0 are one number, as they are not for assert.
          assert.deepEqual(JSON.parse(JSON.stringify(details.value)), value)
          assert.equal(details.errorCode, expected.error)
          assert.deepEqual([details.code, details.type, details.defaultValue], [key, type, defaultValue])
          assert.deepEqual([details.is_default, details.reason], 'error' in expected ? [true, 'ERROR'] : [false, 'CACHED'])
        }
        if (type in TYPES) assert.ok(Object.is(flags[TYPES[type]](key, defaultValue), value))
      }
    }
  })
})

test('flag_sets.json: a set of values has their types, or is refused with the place of the fault', () => {
  each(read('flag_sets.json').cases, ({ flags, expect, error }) => {
    let set
    try {
      set = FlagSet.of(flags)
    } catch ({ code, pointer }) {
      return assert.deepEqual({ code, pointer }, error)
    }
    const keys = Object.keys(set.getAllFlags())
    const found = keys.map((key) => set.getFlag(key)).map(({ code, type, value }) => [code, { type, value }])
    assert.deepEqual(Object.fromEntries(found), expect)
  })
})

test('getters.json: two sets differ in the keys that are listed', () => {
  each(read('getters.json').changes, ({ older, newer, changed }) => {
    const [before, after] = [older, newer].map(testing.flagSetOfClaim)
    assert.deepEqual(after.changedFrom(before), changed)
    assert.deepEqual(before.changedFrom(after), changed)
  })
})

test('watermarks.json: every watermark is believed or refused, and overrules what it should', (t) => {
  const { issuer, jwks, cases } = read('watermarks.json')
  let now
  t.mock.method(Date, 'now', () => now * 1000)
  each(cases, ({ watermarks, token, reads, all, stale, state }) => {
    const told = watermarks.map(({ at, watermark }) => ({ at, watermark }))
    const { outcomes, flagSet } = testing.followWatermarks({ issuer, jwks, watermarks: told })
    assert.deepEqual(outcomes.map((code) => code ?? undefined), watermarks.map(({ error }) => error))
    const flags = flagSet(token)
    for (const { key, type, default: defaultValue, value, reason, error } of reads) {
      for (const name of [type, type[0]]) {
        const details = flags.getFlag(key, defaultValue, name)
        assert.deepEqual([details.value, details.reason, details.errorCode], [value, reason, error], key)
        assert.equal(details.is_default, error !== undefined, key)
      }
      if (error === undefined) assert.equal(flags.getFlag(key, defaultValue).type, type, key)
      if (type in TYPES) assert.equal(flags[TYPES[type]](key, defaultValue), value, key)
    }
    if (all !== undefined) assert.deepEqual({ ...flags.getAllFlags() }, all)
    now = watermarks.at(-1)?.at ?? 0
    if (stale !== undefined) assert.equal(flags.state === 'stale', stale)
    now = state?.at ?? now
    if (state !== undefined) assert.equal(flags.state, state.is)
  })
})

test('jwks.json: every set gives its usable keys, and published signatures are valid', () => {
  const { sets, signatures } = read('jwks.json')
  each(sets, ({ jwks, usable, error }) => {
    assert.equal(codeOf(() => assert.deepEqual(testing.usableKeys(jwks), usable)), error)
  })
  each(signatures, ({ jwk, input, signature, valid }) => {
    const set = JSON.stringify({ keys: [jwk] })
    assert.equal(testing.signatureValid(set, Buffer.from(input), Buffer.from(signature, 'base64url')), valid)
  })
})

test('sealed_sessions.json: every seal is made to the byte', () => {
  each(read('sealed_sessions.json').sealing, ({ passwords, random, text, sealed }) => {
    assert.equal(testing.sealWith(passwords, text, Buffer.from(random, 'hex')), sealed)
  })
})

test('sealed_sessions.json: every seal is opened or refused with its code', () => {
  const { now, unsealing } = read('sealed_sessions.json')
  each(unsealing, ({ passwords, sealed, text, error }) => {
    assert.equal(codeOf(() => assert.equal(testing.unsealAt(passwords, sealed, now), text)), error)
  })
})

test('sealed_sessions.json: every password is taken or refused with its code', () => {
  const reader = new Flagbearer({ issuer: 'https://flags.example.com', audience: 'api' })
  each(read('sealed_sessions.json').passwords, ({ password, error }) => {
    assert.equal(codeOf(() => reader.loadSealedSession({ sessionData: '', cookiePassword: password })), error)
  })
})

test('token_answers.json: every answer to a request for tokens has its meaning', () => {
  each(read('token_answers.json').cases, ({ status, retry_after: retryAfter, body, tokens, error, retry_seconds: retrySeconds }) => {
    assert.deepEqual(testing.tokenAnswer(status, retryAfter, body), tokens ?? { code: error, retry_seconds: retrySeconds })
  })
})

/** Words for people may change; that there are some may not. */
function withoutWhy(list) {
  for (const item of list) {
    assert.notEqual(item.why, '')
    delete item.why
  }
}

test('evaluation.json: flags are evaluated, with what decided', () => {
  each(read('evaluation.json').cases, ({ document, expected }) => {
    const answer = testing.evaluateJson(document)
    for (const [key, evaluation] of Object.entries(answer)) {
      withoutWhy(evaluation.trace)
      if (expected[key]?.trace === undefined) delete evaluation.trace
    }
    assert.deepEqual(answer, expected)
  })
})

test('evaluation.json: a document that is not allowed is refused with its code and place', () => {
  each(read('evaluation.json').refused, ({ document, error }) => {
    assert.throws(() => testing.evaluateJson(document), error)
  })
})

test('rollouts.json: a subject is in the bucket where another implementation puts it', () => {
  each(read('rollouts.json').buckets, ({ salt, subject, rollout, split }) => {
    assert.deepEqual(testing.bucketsJson({ salt, subject }), { rollout, split })
  })
})

test('rollouts.json: a twenty percent rollout halved by a split has both variants', () => {
  const { salt, percentage, weights, inside, outside } = read('rollouts.json').twenty_percent_halved
  const variants = ['a', 'b'].map((name, i) => ({ name, value: name, weight: weights[i] }))
  const rule = { audience: { type: 'all' }, rollout: { by: 'user', percentage }, serve: { split: { by: 'user', variants } } }
  const flag = { id: '1', salt, key: 'f', type: 'string', default_value: 'out' }
  const document = { flags: [{ flag, setting: { enabled: true, rules: [rule] } }], now: '2026-06-01T00:00:00Z' }
  const served = [...inside, ...outside.map((user) => ({ user, variant: 'out' }))]
  assert.deepEqual(new Set(served.map(({ variant }) => variant)), new Set(['a', 'b', 'out']))
  for (const { user, variant } of served) {
    assert.equal(testing.evaluateJson({ ...document, context: { user: { id: user } } }).f.value, variant)
  }
})

test('effects.json: a change has the effect and the holdouts that are listed', () => {
  each(read('effects.json').cases, ({ document, expected }) => {
    const answer = testing.effectJson(document)
    withoutWhy(answer.holdouts)
    assert.deepEqual(answer, expected)
  })
})

test('audiences.json: audiences are ordered', () => {
  const { segments, cases } = read('audiences.json')
  const side = (audience) => ({
    flag: { id: '1', salt: '1', key: 'f', type: 'boolean', default_value: false },
    setting: { enabled: true, rules: [{ audience, serve: { value: true } }] },
    segments,
  })
  each(cases, ({ before, after, effect }) => {
    const document = { before: side(before), after: side(after), now: '2026-06-01T00:00:00Z' }
    assert.equal(testing.effectJson(document).effect, effect)
  })
})
