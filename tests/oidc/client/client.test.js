// openid-client, unmodified: everything that a certified relying party does, from discovery to the way out. It checks by
// itself what it is answered: state, nonce, `iss` of the authorization response, and the ID token's claims and signature.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as openid from 'openid-client'

import { Browser } from '../../sdk/sign_in.js'
import { ALICE, LOGOUT_URI, REDIRECT_URI, install } from './installation.js'

let flagbearer

before(async () => {
  flagbearer = await install()
})
after(() => flagbearer.stop())

/** What openid-client finds out of an issuer, for one application. */
const configured = ({ id, secret }, authentication, algorithm = 'EdDSA', issuer = flagbearer.issuer) =>
  openid.discovery(
    new URL(issuer),
    id,
    { client_secret: secret, id_token_signed_response_alg: algorithm },
    secret ? authentication(secret) : openid.None(),
    // The server of the tests speaks http. Without the second, signatures of ID tokens are not looked at.
    { execute: [openid.allowInsecureRequests, openid.enableNonRepudiationChecks] },
  )

/** Signs Alice in at the page: the tokens, and the browser that she is signed in in. */
async function signedIn(config, { scope = 'openid profile email', change = (callback) => callback } = {}) {
  const [verifier, state, nonce] = [openid.randomPKCECodeVerifier(), openid.randomState(), openid.randomNonce()]
  const url = openid.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT_URI,
    scope,
    state,
    nonce,
    code_challenge: await openid.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  })
  const browser = new Browser()
  const callback = change(new URL(await browser.signIn(url, ALICE)))
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true }
  return { browser, tokens: await openid.authorizationCodeGrant(config, callback, checks) }
}

const refused = (error) => (thrown) => {
  assert.equal(thrown.error, error, thrown.message)
  return true
}

for (const [how, authentication] of [
  ['secret in the header', openid.ClientSecretBasic],
  ['secret in the form', openid.ClientSecretPost],
  ['no secret', undefined],
]) {
  describe(`an application with ${how}`, () => {
    let config

    before(async () => {
      config = await configured(await flagbearer.application({ public: !authentication }), authentication)
    })

    test('signs in, and reads who it is and the flags', async () => {
      const { tokens } = await signedIn(config)
      const { sub, email, name, aud } = tokens.claims()
      assert.deepEqual([sub, email, name, aud], ['alice', ALICE.email, 'Alice Adams', [config.clientMetadata().client_id]])
      assert.equal(tokens.token_type, 'bearer')
      assert.equal(tokens.expiresIn() > 200, true)
      assert.deepEqual(tokens.feature_flags.new_ai_model, { t: 'b', v: false })
      const told = await openid.fetchUserInfo(config, tokens.access_token, 'alice')
      assert.deepEqual([told.email, told.given_name, told.family_name], [ALICE.email, 'Alice', 'Adams'])
    })

    test('refreshes, and sees what was changed', async () => {
      const { tokens } = await signedIn(config)
      await flagbearer.call('PUT', '/flags/new_ai_model/organizations/org_xyz789?environment=production', { value: true })
      const refreshed = await openid.refreshTokenGrant(config, tokens.refresh_token)
      assert.equal(refreshed.feature_flags.new_ai_model.v, true)
      assert.equal(refreshed.claims().sub, 'alice')
      assert.notEqual(refreshed.refresh_token, tokens.refresh_token)
      await flagbearer.call('DELETE', '/flags/new_ai_model/organizations/org_xyz789?environment=production')
    })

    test('gives its tokens up', async () => {
      const { tokens } = await signedIn(config)
      await openid.tokenRevocation(config, tokens.refresh_token)
      await assert.rejects(openid.refreshTokenGrant(config, tokens.refresh_token), refused('invalid_grant'))
      await assert.rejects(openid.fetchUserInfo(config, tokens.access_token, 'alice'))
    })

    test('sends the browser out, and its session with it', async () => {
      const { browser, tokens } = await signedIn(config)
      const parameters = { post_logout_redirect_uri: LOGOUT_URI, state: 's-1', id_token_hint: tokens.id_token }
      const { left } = await browser.visit(openid.buildEndSessionUrl(config, parameters))
      assert.equal(left, `${LOGOUT_URI}?state=s-1`)
      await assert.rejects(openid.refreshTokenGrant(config, tokens.refresh_token), refused('invalid_grant'))
    })

    test('notices an answer of another issuer', async () => {
      for (const iss of ['https://evil.example.com', `${flagbearer.issuer}/`, undefined]) {
        const change = (callback) => {
          callback.searchParams.delete('iss')
          if (iss) callback.searchParams.set('iss', iss)
          return callback
        }
        await assert.rejects(signedIn(config, { change }), ({ cause, message }) => /"iss"/.test(cause?.message ?? message))
      }
    })
  })
}

test('a server asks about tokens, and gets one of its own', async () => {
  const application = await flagbearer.application({ permissions: ['jobs:run'] })
  const config = await configured(application, openid.ClientSecretBasic)
  const { tokens } = await signedIn(config)
  const told = await openid.tokenIntrospection(config, tokens.access_token)
  assert.deepEqual([told.active, told.sub, told.scope], [true, 'alice', 'openid profile email'])
  assert.equal((await openid.tokenIntrospection(config, tokens.refresh_token)).active, true)
  assert.deepEqual(await openid.tokenIntrospection(config, tokens.id_token), { active: false })
  await openid.tokenRevocation(config, tokens.access_token)
  assert.deepEqual(await openid.tokenIntrospection(config, tokens.access_token), { active: false })

  const machine = await openid.clientCredentialsGrant(config, { scope: 'jobs:run' })
  assert.deepEqual([machine.scope, machine.refresh_token], ['jobs:run', undefined])
  assert.equal((await openid.tokenIntrospection(config, machine.access_token)).sub, application.id)
  await assert.rejects(openid.clientCredentialsGrant(config, { scope: 'jobs:delete' }), refused('invalid_scope'))
})

for (const algorithm of ['EdDSA', 'ES256', 'RS256']) {
  test(`ID tokens signed with ${algorithm} are checked by the published keys`, async () => {
    const config = await configured(await flagbearer.application({ public: true, algorithm }), undefined, algorithm)
    const { tokens } = await signedIn(config)
    assert.equal(tokens.claims().sub, 'alice')
  })
}

test('each environment is an issuer of its own', async () => {
  const issuer = `${flagbearer.issuer}/env/staging`
  const application = await flagbearer.application({ public: true, environment: 'staging' })
  for (const algorithm of ['oidc', 'oauth2']) {
    const options = { algorithm, execute: [openid.allowInsecureRequests] }
    const found = await openid.discovery(new URL(issuer), application.id, undefined, openid.None(), options)
    assert.equal(found.serverMetadata().issuer, issuer)
  }
  const { tokens } = await signedIn(await configured(application, undefined, 'EdDSA', issuer))
  assert.equal(tokens.claims().iss, issuer)
})
