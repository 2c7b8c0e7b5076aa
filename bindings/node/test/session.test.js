'use strict'

// Sealed sessions and their refresh, against a real server.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { randomBytes } = require('node:crypto')
const { Flagbearer, FlagbearerError } = require('@flagbearer/node')
const { TestIssuer } = require('@flagbearer/node/testing')

const launcher = import('../../../examples/hono/flagbearer.js')

const cookiePassword = randomBytes(32).toString('hex')

/** A server with a flag, a session on it, and a reader whose requests for tokens are counted and can be answered by a test. */
async function start(t, settings = { public: true }, { profile, ...options } = {}) {
  const server = await (await launcher).startFlagbearer()
  t.after(() => server.stop())
  await server.call('POST', '/flags', { key: 'new_ai_model', type: 'boolean', default_value: false })
  await server.call('POST', '/flags', { key: 'ai_token_limit', type: 'integer', default_value: 1000 })
  const { client_id: clientId, client_secret: clientSecret } = await server.call('POST', '/applications', {
    name: 'app', environment: 'production', ...settings, profile,
  })
  const asked = []
  const network = { answer: undefined }
  const fetchCounting = async (url, init) => {
    if (init.method !== 'POST') return fetch(url, init)
    asked.push(String(url))
    return network.answer ? network.answer(url, init) : fetch(url, init)
  }
  const recipient = profile ? { clientId, profile } : { audience: clientId }
  const flagbearer = new Flagbearer({ issuer: server.url, ...recipient, clientSecret, fetch: fetchCounting, ...options })
  const begin = async (user = 'alice', organization) => {
    const answer = await server.call('POST', '/sessions', { application: clientId, user, organization })
    const tokens = { accessToken: answer.access_token, refreshToken: answer.refresh_token }
    return { ...tokens, id: answer.session_id, sealed: flagbearer.sealSession({ ...tokens, user: { id: user } }, { cookiePassword }) }
  }
  const load = (sessionData, more) => flagbearer.loadSealedSession({ sessionData, cookiePassword, ...more })
  return { server, clientId, clientSecret, flagbearer, begin, load, asked, network }
}

const set = (server, key, value) => server.call('PUT', `/flags/${key}/environments/production`, { enabled: true, value })

test('a sealed session is opened, and its flags are read', async (t) => {
  const { begin, load } = await start(t)
  const { sealed, accessToken } = await begin()
  assert.match(sealed, /^Fe26\.2\*1\*.*~2$/)
  const outcome = await load(sealed).authenticate()
  assert.equal(outcome.authenticated, true)
  assert.equal(outcome.flags.getIntegerFlag('ai_token_limit', 1), 1000)
  assert.deepEqual(outcome.featureFlags, { ai_token_limit: { t: 'i', v: 1000 }, new_ai_model: { t: 'b', v: false } })
  assert.deepEqual([outcome.user, outcome.accessToken, outcome.organization], [{ id: 'alice' }, accessToken, null])
})

test('a refresh brings changed flags in the shape of the claim, and says which have changed', async (t) => {
  const { server, begin, load } = await start(t)
  const session = load((await begin()).sealed)
  await set(server, 'new_ai_model', true)
  const { authenticated, refreshed, sealedSession, featureFlags, changed, user } = await session.refresh()
  assert.deepEqual([authenticated, refreshed, changed, user], [true, true, ['new_ai_model'], { id: 'alice' }])
  assert.deepEqual(featureFlags, { ai_token_limit: { t: 'i', v: 1000 }, new_ai_model: { t: 'b', v: true } })
  assert.equal((await load(sealedSession).authenticate()).flags.getBooleanFlag('new_ai_model', false), true)
  // The session goes on with what it got: another refresh, by it or by its seal, is good.
  assert.deepEqual((await session.refresh()).changed, [])
  assert.equal((await session.authenticate()).flags.getBooleanFlag('new_ai_model', false), true)
})

test('a hundred refreshes at once are one', async (t) => {
  const { begin, load, asked } = await start(t)
  const { sealed } = await begin()
  const outcomes = await Promise.all(Array.from({ length: 100 }, () => load(sealed).refresh()))
  assert.equal(asked.length, 1)
  assert.deepEqual(new Set(outcomes.map(({ refreshed }) => refreshed)), new Set([true]))
  assert.equal(new Set(outcomes.map(({ accessToken }) => accessToken)).size, 1)
  const other = await begin('bob')
  await Promise.all([load(sealed).refresh(), load(other.sealed).refresh()])
  assert.equal(asked.length, 3, 'sessions do not wait for each other, and what is over is not repeated')
})

test('an issuer that is busy or away is left alone for as long as it says, and the last token stays in use', async (t) => {
  const { begin, load, asked, network } = await start(t)
  const { sealed } = await begin()
  const begun = Date.now()
  let passed = 0
  t.mock.method(Date, 'now', () => begun + passed)
  for (const [answer, seconds] of [
    [() => new Response('{}', { status: 429, headers: { 'retry-after': '17' } }), 17],
    [() => new Response('<html>', { status: 502 }), 5],
    [() => Promise.reject(new TypeError('fetch failed')), 5],
  ]) {
    network.answer = answer
    const before = asked.length
    const kept = await load(sealed).refresh()
    assert.deepEqual([kept.authenticated, kept.refreshed, kept.code, kept.retryAfter], [true, false, 'ISSUER_UNAVAILABLE', seconds])
    assert.deepEqual([kept.sealedSession, kept.changed], [sealed, []])
    assert.equal(kept.flags.getIntegerFlag('ai_token_limit', 1), 1000)
    passed += seconds * 1000 - 1000
    assert.equal((await load(sealed).refresh()).retryAfter, 1)
    assert.equal(asked.length, before + 1, 'it is asked once until then')
    passed += 1000
  }
  network.answer = undefined
  assert.equal((await load(sealed).refresh()).refreshed, true)
})

test('with the server down a session lives until its token expires, and goes on when the server is back', async (t) => {
  const { server, begin, load } = await start(t)
  const { sealed } = await begin()
  assert.equal((await load(sealed).authenticate()).authenticated, true)
  await server.kill()
  const kept = await load(sealed).refresh()
  assert.deepEqual([kept.authenticated, kept.code], [true, 'ISSUER_UNAVAILABLE'])
  const { now } = Date
  const later = t.mock.method(Date, 'now', () => now() + 600_000)
  const expired = await load(sealed).refresh()
  assert.deepEqual([expired.authenticated, expired.refreshed, expired.featureFlags, expired.sealedSession], [false, false, null, sealed])
  assert.equal((await load(sealed).authenticate()).code, 'TOKEN_EXPIRED')
  later.mock.restore()
  await server.startAgain()
  // A clock that was set back does not stretch the pause that the failure brought.
  assert.equal((await load(sealed).refresh()).refreshed, true)
})

test('without the keys that its successor would be read with no refresh token is spent', async (t) => {
  const sent = []
  let reachable = false
  const onlyTokens = async (url, init) => {
    sent.push(init.method ?? 'GET')
    return reachable || init.method === 'POST' ? fetch(url, init) : Promise.reject(new TypeError('fetch failed'))
  }
  const { begin, load, flagbearer } = await start(t, undefined, { fetch: onlyTokens })
  const tokens = await begin()
  await assert.rejects(load(tokens.sealed).refresh(), { code: 'KEYS_UNAVAILABLE' })
  await assert.rejects(flagbearer.refreshTokens(tokens), { code: 'KEYS_UNAVAILABLE' })
  assert.deepEqual(sent, ['GET'])
  reachable = true
  const { now } = Date
  t.mock.method(Date, 'now', () => now() + 31_000)
  assert.equal((await load(tokens.sealed).refresh()).refreshed, true)
  assert.deepEqual(sent, ['GET', 'GET', 'POST'])
})

test('a session that was revoked is over', async (t) => {
  const { server, begin, load, flagbearer } = await start(t)
  for (const end of [({ id }) => server.call('DELETE', `/sessions/${id}`), async (tokens) => assert.equal(await flagbearer.revoke(tokens), true)]) {
    const session = await begin()
    await end(session)
    const { message, ...over } = await load(session.sealed).refresh()
    assert.deepEqual(over, { authenticated: false, refreshed: false, code: 'GRANT_REFUSED', sealedSession: null, featureFlags: null, changed: [] })
  }
})

test('a wrong secret of the application ends no session', async (t) => {
  const { begin, load, flagbearer, server, clientId } = await start(t, { public: false })
  const { sealed } = await begin()
  const wrong = new Flagbearer({ issuer: server.url, audience: clientId, clientSecret: 'wrong' })
  const kept = await wrong.loadSealedSession({ sessionData: sealed, cookiePassword }).refresh()
  assert.deepEqual([kept.authenticated, kept.refreshed, kept.code, kept.sealedSession], [true, false, 'CLIENT_REFUSED', sealed])
  assert.match(kept.message, /invalid_client/)
  assert.equal((await load(sealed).refresh()).refreshed, true, 'with the right one it goes on')
  assert.ok(flagbearer)
})

test('a refresh goes on in another organization, if the user is a member', async (t) => {
  const { begin, load } = await start(t)
  await begin('alice', 'org_b')
  const { sealed } = await begin('alice', 'org_a')
  assert.equal((await load(sealed).refresh({ organization: 'org_b' })).organization, 'org_b')
  const stranger = await begin('bob', 'org_a')
  const kept = await load(stranger.sealed).refresh({ organization: 'org_b' })
  assert.deepEqual([kept.refreshed, kept.code, kept.organization], [false, 'CLIENT_REFUSED', 'org_a'])
})

test("an application of WorkOS's profile is refreshed at WorkOS's endpoint, one of Kinde's at its own", async (t) => {
  for (const [profile, path, on] of [
    ['workos', '/user_management/authenticate', ['new_ai_model']],
    ['kinde', '/oauth2/token', { ai_token_limit: { t: 'i', v: 1000 }, new_ai_model: { t: 'b', v: true } }],
  ]) {
    const { server, begin, load, asked } = await start(t, {}, { profile })
    const { sealed } = await begin()
    await set(server, 'new_ai_model', true)
    const { refreshed, featureFlags, changed } = await load(sealed).refresh()
    assert.deepEqual([refreshed, featureFlags, changed], [true, on, ['new_ai_model']])
    assert.deepEqual(asked, [server.url + path])
  }
})

test('a cookie that a browser would drop is refused with its size, and never answered', async (t) => {
  const { server, begin, load, flagbearer } = await start(t)
  const { id, sealed, ...tokens } = await begin()
  const note = 'x'.repeat(3000)
  const large = () => flagbearer.sealSession({ ...tokens, note }, { cookiePassword })
  const [, bytes] = /would have (\d+) bytes/.exec(assertThrows(large, 'COOKIE_TOO_LARGE').message)
  assert.ok(bytes > 4096)
  // The name counts, as it does for browsers.
  const room = 4096 - sealed.length
  const named = (cookieName) => flagbearer.sealSession({ ...tokens, user: { id: 'alice' } }, { cookiePassword, cookieName })
  assert.equal(named('n'.repeat(room)).length + room, 4096)
  assertThrows(() => named('n'.repeat(room + 1)), 'COOKIE_TOO_LARGE')

  await server.call('POST', '/flags', { key: 'config', type: 'json', default_value: { text: 'x'.repeat(3000) } })
  await assert.rejects(load(sealed).refresh(), { code: 'COOKIE_TOO_LARGE' })
})

function assertThrows(work, code) {
  try {
    work()
  } catch (error) {
    assert.ok(error instanceof FlagbearerError, error.stack)
    assert.equal(error.code, code)
    return error
  }
  assert.fail(`it does not throw ${code}`)
}

test('a password is replaced without anybody being signed out', async (t) => {
  const { begin, load } = await start(t)
  const { sealed } = await begin()
  const both = { 1: cookiePassword, 2: randomBytes(32).toString('hex') }
  const { sealedSession } = await load(sealed, { cookiePassword: both }).refresh()
  assert.match(sealedSession, /^Fe26\.2\*2\*/)
  assert.equal((await load(sealedSession, { cookiePassword: { 2: both[2] } }).authenticate()).authenticated, true)
  const gone = await load(sealedSession).authenticate()
  assert.deepEqual([gone.authenticated, gone.code], [false, 'SEALED_SESSION_INVALID'])
})

test('whatever is not a session is none, and what is not a password is refused', async (t) => {
  const flagbearer = new Flagbearer({ issuer: 'https://flags.example.com', audience: 'api' })
  const { seal } = await import('iron-webcrypto').then((iron) => ({
    seal: async (value) => `${await iron.seal(value, { id: '1', secret: cookiePassword }, { ...iron.defaults, encode: JSON.stringify })}~2`,
  }))
  const none = [undefined, null, '', 1, {}, 'garbage', 'x'.repeat(1 << 20), '\ud800', await seal([]), await seal({}), await seal({ accessToken: 1 })]
  for (const sessionData of none) {
    const session = flagbearer.loadSealedSession({ sessionData, cookiePassword })
    for (const outcome of [await session.authenticate(), await session.refresh()]) {
      assert.deepEqual([outcome.authenticated, outcome.code], [false, 'SEALED_SESSION_INVALID'], String(sessionData))
    }
  }
  for (const bad of [undefined, null, '', 'short', 1, {}, { a: cookiePassword }, { 1: 1 }, { 0: cookiePassword }, ['x'.repeat(64)]]) {
    assertThrows(() => flagbearer.loadSealedSession({ sessionData: '', cookiePassword: bad }), 'CONFIGURATION_INVALID')
  }
  const circle = { accessToken: 'a', refreshToken: 'r' }
  circle.circle = circle
  for (const session of [undefined, null, {}, 'text', { accessToken: 'a' }, () => {}, circle]) {
    assertThrows(() => flagbearer.sealSession(session, { cookiePassword }), 'SEALED_SESSION_INVALID')
  }
  assertThrows(() => flagbearer.sealSession({ accessToken: 'a', refreshToken: 'r' }, null), 'CONFIGURATION_INVALID')
  assertThrows(() => flagbearer.loadSealedSession({ sessionData: '', cookiePassword, cookieName: 5 }), 'CONFIGURATION_INVALID')
})

test('what is not a token, a code or an option is refused with its name, and nothing is asked for it', async () => {
  const fetch = () => assert.fail('nothing is to be asked')
  const issuer = new TestIssuer()
  const flagbearer = issuer.flagbearer({ fetch })
  const accessToken = issuer.token()
  const sessionData = flagbearer.sealSession({ accessToken, refreshToken: 'r' }, { cookiePassword })
  const session = flagbearer.loadSealedSession({ sessionData, cookiePassword })
  for (const [asked, code, message] of [
    ...[undefined, null, {}, { accessToken: 5 }].flatMap((tokens) => [
      [flagbearer.refreshTokens(tokens), 'TOKEN_MALFORMED', /`accessToken`/],
      [flagbearer.revoke(tokens), 'TOKEN_MALFORMED', /`accessToken`/],
    ]),
    [flagbearer.refreshTokens({ accessToken: 'garbage', refreshToken: 'r' }), 'TOKEN_MALFORMED', /three parts/],
    [flagbearer.refreshTokens({ accessToken }), 'TOKEN_MALFORMED', /`refreshToken`/],
    [flagbearer.refreshTokens({ accessToken, refreshToken: 'r' }, { organization: 5 }), 'CONFIGURATION_INVALID', /`organization`/],
    [session.refresh({ organization: 5 }), 'CONFIGURATION_INVALID', /`organization`/],
    [flagbearer.exchangeCode(), 'CONFIGURATION_INVALID', /`clientId`/],
    [flagbearer.exchangeCode({ clientId: 'app', code: 'c', codeVerifier: 'v', redirectUri: 'https://app.example.com' }), 'CONFIGURATION_INVALID', /`nonce`/],
  ]) {
    await assert.rejects(asked, (error) => {
      assert.ok(error instanceof FlagbearerError, error.stack)
      assert.equal(error.code, code)
      assert.match(error.message, message)
      assert.doesNotMatch(error.message, /rust/i)
      return true
    })
  }
})

test('iron opens our seals and we open those of iron', async (t) => {
  const iron = await import('iron-webcrypto')
  const { begin, load } = await start(t)
  const { sealed, accessToken, refreshToken } = await begin()
  const opened = await iron.unseal(sealed.slice(0, -2), { 1: cookiePassword }, iron.defaults)
  assert.deepEqual(opened, { accessToken, refreshToken, user: { id: 'alice' } })
  for (const ttl of [0, 60_000]) {
    const theirs = await iron.seal({ ...opened, note: 'Grüße 🚀' }, { id: '1', secret: cookiePassword }, { ...iron.defaults, ttl })
    for (const suffix of ['', '~2']) assert.equal((await load(theirs + suffix).authenticate()).accessToken, accessToken)
  }
})
