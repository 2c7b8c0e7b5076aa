// Resource servers that know nothing of Flagbearer but its keys' address: jose and hono/jwk on tokens signed with RS256. The
// keys of our own algorithm stand beside those in the same set.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Hono } from 'hono'
import { jwk } from 'hono/jwk'
import { createRemoteJWKSet, jwtVerify } from 'jose'

import { install } from './installation.js'

let flagbearer
let keys

before(async () => {
  flagbearer = await install()
  keys = `${flagbearer.issuer}/.well-known/jwks.json`
  const published = await (await fetch(keys)).json()
  assert.deepEqual(new Set(published.keys.map(({ alg }) => alg)), new Set(['EdDSA', 'ES256', 'RS256']))
})
after(() => flagbearer.stop())

/** The token response of a session that a backend starts. */
async function tokens(more) {
  const { id } = await flagbearer.application({ public: true, ...more })
  const started = await flagbearer.call('POST', '/sessions', { application: id, user: 'alice', organization: 'org_xyz789' })
  return { id, ...started }
}

const checked = (token, { id, ...more }) =>
  jwtVerify(token, createRemoteJWKSet(new URL(keys)), { issuer: flagbearer.issuer, algorithms: ['RS256'], ...more })

test('jose accepts our own profile, as an access token and for its audience', async () => {
  const { id, access_token } = await tokens({ algorithm: 'RS256' })
  const { payload } = await checked(access_token, { audience: id, typ: 'at+jwt' })
  assert.deepEqual(payload.feature_flags, { new_ai_model: { t: 'b', v: false } })
  await assert.rejects(checked(access_token, { audience: 'another' }), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' })
  const [header, claims, signature] = access_token.split('.')
  const forged = Buffer.from(JSON.stringify({ ...payload, sub: 'mallory' })).toString('base64url')
  await assert.rejects(checked([header, forged, signature].join('.'), {}), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' })
  assert.equal(claims.length > 0, true)
})

test('jose takes no ID token for an access token of our profile', async () => {
  const { id_token } = await tokens({ profile: 'kinde' })
  await checked(id_token, {})
  await assert.rejects(checked(id_token, { typ: 'at+jwt' }), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' })
})

for (const [profile, expected] of [
  ['kinde', { new_ai_model: { t: 'b', v: false } }],
  ['workos', []],
]) {
  test(`hono/jwk and jose accept profile ${profile}`, async () => {
    const { access_token } = await tokens({ profile })
    assert.deepEqual((await checked(access_token, { typ: 'JWT' })).payload.feature_flags, expected)
    const app = new Hono()
    app.use('*', jwk({ jwks_uri: keys, alg: ['RS256'] }))
    app.get('/', (c) => c.json(c.get('jwtPayload').feature_flags ?? 'none'))
    const ask = (token) => app.request('/', { headers: { authorization: `Bearer ${token}` } })
    const answer = await ask(access_token)
    assert.equal(answer.status, 200)
    assert.deepEqual(await answer.json(), expected)
    assert.equal((await ask(`${access_token.slice(0, -6)}AAAAAA`)).status, 401)
  })
}
