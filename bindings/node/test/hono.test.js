'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { flagbearer } = require('@flagbearer/node/hono')
const { Flagbearer } = require('@flagbearer/node')
const { Issuer } = require('./issuer.js')

async function start(t, options) {
  const { Hono } = await import('hono')
  const issuer = await Issuer.start()
  t.after(() => issuer.stop())
  const app = new Hono()
  app.use(flagbearer(options?.(issuer) ?? { issuer: issuer.url, audience: 'api' }))
  app.get('/', (c) => c.json({ on: c.get('flags').getBooleanFlag('new_ai_model', false) }))
  app.get('/broken', () => {
    throw new Error('a fault of the application')
  })
  return { issuer, get: (authorization, path = '/') => app.request(path, authorization && { headers: { authorization } }) }
}

test('a request with a good token has its flags', async (t) => {
  const { issuer, get } = await start(t)
  for (const scheme of ['Bearer', 'bearer', 'BEARER ']) {
    const response = await get(`${scheme} ${await issuer.token()}`)
    assert.equal(response.status, 200)
    assert.deepEqual(await response.json(), { on: true })
  }
})

test('a reader made elsewhere can be shared', async (t) => {
  const { issuer, get } = await start(t, ({ url }) => new Flagbearer({ issuer: url, audience: 'api' }))
  assert.equal((await get(`Bearer ${await issuer.token()}`)).status, 200)
})

test('a request without a good token is answered 401 with the code', async (t) => {
  const { issuer, get } = await start(t)
  const expired = await issuer.token({ exp: 1_700_000_000 })
  for (const [authorization, code] of [
    [undefined, 'TOKEN_MALFORMED'],
    ['Bearer', 'TOKEN_MALFORMED'],
    ['Basic dXNlcjpwYXNz', 'TOKEN_MALFORMED'],
    [`Bearer ${expired} ${expired}`, 'TOKEN_MALFORMED'],
    ['Bearer garbage', 'TOKEN_MALFORMED'],
    [`Bearer ${expired}`, 'TOKEN_EXPIRED'],
  ]) {
    const response = await get(authorization)
    assert.equal(response.status, 401)
    const shown = /^Bearer \S+$/.test(authorization)
    assert.equal(response.headers.get('www-authenticate'), shown ? 'Bearer error="invalid_token"' : 'Bearer')
    assert.equal((await response.json()).code, code)
  }
})

test('without keys the answer is 503, for the token may be good', async (t) => {
  const { issuer, get } = await start(t)
  issuer.answer = (request, response) => response.writeHead(500).end()
  const response = await get(`Bearer ${await issuer.token()}`)
  assert.equal(response.status, 503)
  assert.equal(response.headers.get('retry-after'), '5')
})

test("the application's own faults stay its own", async (t) => {
  const { issuer, get } = await start(t)
  assert.equal((await get(`Bearer ${await issuer.token()}`, '/broken')).status, 500)
})
