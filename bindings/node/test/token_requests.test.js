'use strict'

// Asking an issuer for tokens: what comes of a sign-in is believed only as far as it is proven, and what is sent goes to the issuer
// alone.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { randomBytes } = require('node:crypto')
const { Flagbearer } = require('@flagbearer/node')
const { Issuer } = require('./issuer.js')

const CLIENT = { clientId: 'app_1', clientSecret: 'planted-secret' }
const SIGN_IN = { clientId: CLIENT.clientId, code: 'planted-code', codeVerifier: 'v'.repeat(43), redirectUri: 'https://app.example.com/callback', nonce: 'n-1' }

async function start(t) {
  const issuer = await Issuer.start()
  t.after(() => issuer.stop())
  return { issuer, flagbearer: new Flagbearer({ issuer: issuer.url, audience: 'api', clientSecret: CLIENT.clientSecret }) }
}

test('a sign-in whose ID token is not for it is refused, although the access token is good', async (t) => {
  const { issuer, flagbearer } = await start(t)
  const { issuer: other } = await start(t)
  const idToken = (claims = {}, header = {}, by = issuer) =>
    by.token({ iss: issuer.url, aud: CLIENT.clientId, nonce: SIGN_IN.nonce, name: 'Alice', ...claims }, { typ: 'JWT', ...header })
  const signIn = async (id_token) => {
    const tokens = JSON.stringify({ access_token: await issuer.token(), refresh_token: 'r', id_token, token_type: 'Bearer', expires_in: 300 })
    issuer.answer = ({ method }, response) => response.end(method === 'POST' ? tokens : JSON.stringify(issuer.jwks))
    return flagbearer.exchangeCode(SIGN_IN)
  }
  const { user, refreshToken, flags } = await signIn(await idToken())
  assert.deepEqual([user.sub, user.name, refreshToken, flags.getBooleanFlag('new_ai_model', false)], ['user_1', 'Alice', 'r', true])

  const past = Math.floor(Date.now() / 1000) - 600
  for (const [what, token, code] of [
    ['another nonce', await idToken({ nonce: 'n-2' }), 'CLAIM_MISSING'],
    ['no nonce', await idToken({ nonce: undefined }), 'CLAIM_MISSING'],
    ["another application's", await idToken({ aud: 'app_2' }), 'AUDIENCE_MISMATCH'],
    ['another issuer', await idToken({ iss: other.url }), 'ISSUER_MISMATCH'],
    ["another issuer's key", await idToken({}, {}, other), 'KEY_UNKNOWN'],
    ["another issuer's key, named as ours", await idToken({}, { kid: issuer.key.kid }, other), 'SIGNATURE_INVALID'],
    ['expired', await idToken({ iat: past, exp: past + 300 }), 'TOKEN_EXPIRED'],
    ['an access token', await idToken({}, { typ: 'at+jwt' }), 'TYPE_INVALID'],
    ['none', undefined, 'TOKEN_MALFORMED'],
  ]) {
    await assert.rejects(signIn(token), { name: 'FlagbearerError', code }, what)
  }
})

test('secrets follow no redirect', async (t) => {
  const { issuer, flagbearer } = await start(t)
  const { issuer: elsewhere } = await start(t)
  const accessToken = await issuer.token()
  await flagbearer.verify(accessToken)
  const tokens = JSON.stringify({ access_token: accessToken, refresh_token: 'r', token_type: 'Bearer', expires_in: 300 })
  elsewhere.answer = (request, response) => response.end(tokens)
  const cookiePassword = randomBytes(32).toString('hex')
  for (const status of [301, 302, 303, 307, 308]) {
    issuer.requests = 0
    issuer.answer = ({ url }, response) => response.writeHead(status, { location: elsewhere.url + url }).end()
    const refreshToken = `planted-refresh-${status}`
    await assert.rejects(flagbearer.refreshTokens({ accessToken, refreshToken }), { code: 'ISSUER_UNAVAILABLE' })
    await assert.rejects(flagbearer.exchangeCode(SIGN_IN), { code: 'ISSUER_UNAVAILABLE' })
    assert.equal(await flagbearer.revoke({ accessToken, refreshToken }), false)
    const sealed = flagbearer.sealSession({ accessToken, refreshToken: `${refreshToken}-sealed` }, { cookiePassword })
    const kept = await flagbearer.loadSealedSession({ sessionData: sealed, cookiePassword }).refresh()
    assert.deepEqual([kept.authenticated, kept.refreshed, kept.code, kept.accessToken], [true, false, 'ISSUER_UNAVAILABLE', accessToken])
    assert.deepEqual([issuer.requests, elsewhere.requests], [4, 0], `${status}`)
  }
})
