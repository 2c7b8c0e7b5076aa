// Resource servers that know nothing of Flagbearer but its keys' address: jose and hono/jwk on tokens signed with RS256, of users
// who signed in at the page. The keys of our own algorithm stand beside those in the same set.

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { Hono } from 'hono'
import { jwk } from 'hono/jwk'
import { createRemoteJWKSet, jwtVerify } from 'jose'

import { Browser } from '../../sdk/sign_in.js'
import { ALICE, FLAGS, REDIRECT_URI, install } from './installation.js'

let flagbearer
let keys

before(async () => {
  flagbearer = await install()
  keys = `${flagbearer.issuer}/.well-known/jwks.json`
  const published = await (await fetch(keys)).json()
  assert.deepEqual(new Set(published.keys.map(({ alg }) => alg)), new Set(['EdDSA', 'ES256', 'RS256']))
})
after(() => flagbearer?.stop())

/** By profile: where a browser is sent, where tokens come from, and what `feature_flags` says of values by their keys. */
const typed = (values) =>
  Object.fromEntries(Object.entries(values).map(([key, v]) => [key, { t: FLAGS[key].type[0], v }]))
const OAUTH = {
  authorize: '/oauth2/auth',
  token: '/oauth2/token',
  encode: (grant) => ({ body: new URLSearchParams({ redirect_uri: REDIRECT_URI, ...grant }) }),
  claim: typed,
  more: { scope: 'openid offline' },
}
const PROFILES = {
  // hono/jwk knows no `typ` but `JWT`.
  flagbearer: { ...OAUTH, typ: 'at+jwt' },
  kinde: { ...OAUTH, typ: 'JWT' },
  workos: {
    authorize: '/user_management/authorize',
    token: '/user_management/authenticate',
    encode: (grant) => ({ headers: { 'content-type': 'application/json' }, body: JSON.stringify(grant) }),
    claim: (values) => Object.keys(values).filter((key) => values[key] === true),
    more: { provider: 'authkit' },
    typ: 'JWT',
  },
}

/** Signs Alice in at the page, to a new application of a profile. */
async function signedIn(profile) {
  const { authorize, token, encode, more } = PROFILES[profile]
  const { id } = await flagbearer.application({ public: true, profile, ...(profile === 'flagbearer' && { algorithm: 'RS256' }) })
  const verifier = randomBytes(32).toString('base64url')
  const parameters = new URLSearchParams({
    client_id: id,
    redirect_uri: REDIRECT_URI,
    response_type: 'code',
    state: 's-1',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...more,
  })
  const back = new URL(await new Browser().signIn(`${flagbearer.issuer}${authorize}?${parameters}`, ALICE))
  const ask = async (grant) => {
    const response = await fetch(flagbearer.issuer + token, { method: 'POST', ...encode({ client_id: id, ...grant }) })
    const answer = await response.json()
    assert.equal(response.status, 200, JSON.stringify(answer))
    return answer
  }
  const code = back.searchParams.get('code')
  const tokens = await ask({ grant_type: 'authorization_code', code, code_verifier: verifier })
  return { id, tokens, refresh: () => ask({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token }) }
}

const checked = (token, more) =>
  jwtVerify(token, createRemoteJWKSet(new URL(keys)), { issuer: flagbearer.issuer, algorithms: ['RS256'], ...more })

const resources = () => {
  const app = new Hono()
  app.use('*', jwk({ jwks_uri: keys, alg: ['RS256'] }))
  app.get('/', (c) => c.json(c.get('jwtPayload').feature_flags))
  return (token) => app.request('/', { headers: { authorization: `Bearer ${token}` } })
}

const values = (which) => Object.fromEntries(Object.entries(FLAGS).map(([key, flag]) => [key, flag[which]]))

/** Gives Alice's organization the other values by a rule, or takes the rule away. */
async function change(rules) {
  for (const [key, { after: value }] of Object.entries(FLAGS)) {
    const rule = { audience: { type: 'some', organizations: ['org_xyz789'] }, serve: { value } }
    await flagbearer.call('PUT', `/flags/${key}/environments/production`, { enabled: true, rules: rules ? [rule] : [] })
  }
}

for (const [profile, { claim, typ }] of Object.entries(PROFILES)) {
  const readers = typ === 'JWT' ? 'jose and hono/jwk read' : 'jose reads'
  test(`${readers} flags of every type in profile ${profile}, and changed rules after a refresh`, async () => {
    const ask = resources()
    const reads = async (token, which) => {
      const { payload } = await checked(token, { typ })
      assert.deepEqual(payload.feature_flags, claim(values(which)))
      if (typ !== 'JWT') return
      const answer = await ask(token)
      assert.equal(answer.status, 200)
      assert.deepEqual(await answer.json(), claim(values(which)))
    }
    const { tokens, refresh } = await signedIn(profile)
    await reads(tokens.access_token, 'before')
    await change(true)
    try {
      await reads(tokens.access_token, 'before')
      await reads((await refresh()).access_token, 'after')
    } finally {
      await change(false)
    }
  })
}

test('a token of which a single thing was changed is refused by both', async () => {
  const { tokens } = await signedIn('kinde')
  const token = tokens.access_token
  const { payload } = await checked(token, {})
  assert.equal((await resources()(token)).status, 200)
  const [header, , signature] = token.split('.')
  const claims = Buffer.from(JSON.stringify({ ...payload, sub: 'mallory' })).toString('base64url')
  for (const forged of [[header, claims, signature].join('.'), `${token.slice(0, -6)}AAAAAA`]) {
    await assert.rejects(checked(forged, {}), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' })
    assert.equal((await resources()(forged)).status, 401)
  }
})

test('jose keeps to the audience of our own profile', async () => {
  const { id, tokens } = await signedIn('flagbearer')
  await checked(tokens.access_token, { audience: id })
  await assert.rejects(checked(tokens.access_token, { audience: 'another' }), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' })
})

test('jose takes no ID token for an access token of our profile', async () => {
  const { tokens } = await signedIn('kinde')
  await checked(tokens.id_token, {})
  await assert.rejects(checked(tokens.id_token, { typ: 'at+jwt' }), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' })
})
