'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const reader = require('@flagbearer/node')
const testing = require('@flagbearer/node/testing')
const { readerVectors, sessionVectors } = require('./reader_vectors.js')
const { assertAllRead } = require('./vector_files.js')
const { each, read, unread } = require('./vectors.js')

const cases = (t) => {
  const doors = { ...reader, testing, read, assert, at: (now) => t.mock.method(Date, 'now', () => now() * 1000) }
  return { ...readerVectors(doors), ...sessionVectors(doors) }
}

for (const title of Object.keys(cases())) test(title, (t) => cases(t)[title]())

test('claims.json: every claim is written to the byte', () => {
  each(read('claims.json').encode, ({ dialect, flags, claim, size }) => {
    assert.equal(testing.encodeClaim(dialect, flags), claim)
    assert.equal(Buffer.byteLength(claim), size)
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

test('every list of the vectors was run above, or is not for Node', () => {
  assertAllRead(assert, unread(), {
    'fixture-30': 'what speed is measured with',
    'rollouts.splits': 'only Rust can ask for the place of a bucket in a split',
    'tokens.private_keys': 'what the file is written with',
  })
})
