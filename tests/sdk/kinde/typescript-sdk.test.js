// @kinde-oss/kinde-typescript-sdk: signing in by code with PKCE and with a secret, machines, flags, refreshing, refusals.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { GrantType, createKindeServerClient } from '@kinde-oss/kinde-typescript-sdk'
import { ALICE_ID, LOGOUT_URL, ORGANIZATION, REDIRECT_URL, install, signIn } from './installation.js'

let installation
before(async () => {
  installation = await install()
})
after(() => installation?.stop())

/** What the SDK keeps of one browser's session. */
function sessionManager() {
  const items = new Map()
  return {
    items,
    getSessionItem: async (key) => items.get(key),
    setSessionItem: async (key, value) => void items.set(key, value),
    removeSessionItem: async (key) => void items.delete(key),
    destroySession: async () => items.clear(),
  }
}

const client = (grant, application, more) =>
  createKindeServerClient(grant, {
    authDomain: installation.issuer,
    redirectURL: REDIRECT_URL,
    logoutRedirectURL: LOGOUT_URL,
    ...application,
    ...more,
  })

const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'))

/** Makes a token look expired to who only decodes it, as time would. */
const expired = (token) => {
  const [header, , signature] = token.split('.')
  const payload = Buffer.from(JSON.stringify({ ...claims(token), exp: 1 })).toString('base64url')
  return [header, payload, signature].join('.')
}

for (const [grant, isPublic] of [
  [GrantType.PKCE, true],
  [GrantType.AUTHORIZATION_CODE, false],
]) {
  describe(`GrantType.${grant}`, () => {
    let kinde
    let application
    const session = sessionManager()

    before(async () => {
      application = await installation.application({ public: isPublic })
      kinde = client(grant, application)
      if (!isPublic) assert.match(application.clientSecret, /^[a-zA-Z0-9]{50}$/)
    })

    test('signs in through the page, and holds all three tokens', async () => {
      assert.equal(await kinde.isAuthenticated(session), false)
      await assert.rejects(kinde.getBooleanFlag(session, 'new_ai_model', false), /no authentication credential found/)
      const callback = await signIn(await kinde.login(session))
      assert.equal(callback.origin + callback.pathname, REDIRECT_URL)
      await kinde.handleRedirectToApp(session, callback)
      assert.equal(await kinde.isAuthenticated(session), true)
      for (const token of ['access_token', 'id_token', 'refresh_token']) assert.ok(session.items.get(token), token)
    })

    test('the access token is the one that the article prints', () => {
      const { sub, email, feature_flags, permissions, org_code, ...rest } = claims(session.items.get('access_token'))
      assert.deepEqual({ sub, email, permissions, org_code }, {
        sub: ALICE_ID,
        email: 'alice@example.com',
        permissions: ['reports:view'],
        org_code: ORGANIZATION,
      })
      const { new_ai_model, ai_token_limit, prompt_variant, model_config } = feature_flags
      assert.deepEqual({ new_ai_model, ai_token_limit, prompt_variant, model_config }, {
        new_ai_model: { t: 'b', v: false },
        ai_token_limit: { t: 'i', v: 1000 },
        prompt_variant: { t: 's', v: 'control' },
        model_config: { t: 'j', v: { temperature: 0.7, max_tokens: 500 } },
      })
      assert.equal(rest.iss, installation.issuer)
      assert.equal(rest.azp, application.clientId)
      assert.deepEqual(rest.roles, [{ id: 'admin', key: 'admin', name: 'admin' }])
      assert.deepEqual(rest.scp, ['openid', 'profile', 'email', 'offline'])
      assert.ok(Array.isArray(rest.aud) && !rest.aud.includes(application.clientId))
    })

    test('says who the user is', async () => {
      const user = await kinde.getUser(session)
      assert.deepEqual(
        { id: user.id, email: user.email, given_name: user.given_name, family_name: user.family_name },
        { id: ALICE_ID, email: 'alice@example.com', given_name: 'Alice', family_name: 'Adams' },
      )
      const profile = await kinde.getUserProfile(session)
      assert.deepEqual(
        { sub: profile.sub, id: profile.id, email: profile.email, given_name: profile.given_name, family_name: profile.family_name },
        { sub: ALICE_ID, id: ALICE_ID, email: 'alice@example.com', given_name: 'Alice', family_name: 'Adams' },
      )
      assert.deepEqual(await kinde.getOrganization(session), { orgCode: ORGANIZATION })
      assert.deepEqual(await kinde.getUserOrganizations(session), { orgCodes: [ORGANIZATION] })
      assert.deepEqual(await kinde.getPermission(session, 'reports:view'), { orgCode: ORGANIZATION, isGranted: true })
      assert.deepEqual(await kinde.getPermission(session, 'reports:edit'), { orgCode: ORGANIZATION, isGranted: false })
      assert.equal((await kinde.getClaim(session, 'email')).value, 'alice@example.com')
    })

    test('reads flags of every type, falsy ones too', async () => {
      assert.equal(await kinde.getBooleanFlag(session, 'new_ai_model', true), false)
      assert.equal(await kinde.getIntegerFlag(session, 'ai_token_limit', 1), 1000)
      assert.equal(await kinde.getIntegerFlag(session, 'zero', 1), 0)
      assert.equal(await kinde.getStringFlag(session, 'prompt_variant', 'x'), 'control')
      assert.equal(await kinde.getStringFlag(session, 'empty', 'x'), '')
      assert.deepEqual(await kinde.getFlag(session, 'ai_token_limit', 1, 'i'), {
        code: 'ai_token_limit',
        type: 'number',
        value: 1000,
        is_default: false,
      })
      const json = await kinde.getFlag(session, 'model_config')
      assert.deepEqual([json.value, json.is_default], [{ temperature: 0.7, max_tokens: 500 }, false])
      assert.deepEqual((await kinde.getFlag(session, 'nothing')).value, {})
    })

    test('answers the default for a flag that is not there, and throws for a mistyped one', async () => {
      assert.equal(await kinde.getBooleanFlag(session, 'absent', true), true)
      assert.deepEqual(await kinde.getFlag(session, 'absent', 'x', 's'), { code: 'absent', value: 'x', is_default: true })
      await assert.rejects(kinde.getFlag(session, 'absent'), /Flag absent was not found, and no default value has been provided/)
      await assert.rejects(kinde.getStringFlag(session, 'new_ai_model', 'x'), /is of type boolean, expected type is string/)
      await assert.rejects(kinde.getBooleanFlag(session, 'ai_token_limit', true), /is of type number, expected type is boolean/)
    })

    test('sees a change of a rule once it has refreshed', async () => {
      const values = { new_ai_model: true, ai_token_limit: 5000, prompt_variant: 'few_shot', model_config: { temperature: 0 } }
      for (const [flag, value] of Object.entries(values)) await installation.override(flag, value)
      assert.equal(await kinde.getBooleanFlag(session, 'new_ai_model'), false)
      const before = session.items.get('refresh_token')
      await kinde.refreshTokens(session)
      assert.notEqual(session.items.get('refresh_token'), before)
      for (const [flag, value] of Object.entries(values)) assert.deepEqual((await kinde.getFlag(session, flag)).value, value)
      for (const flag of Object.keys(values)) {
        await installation.call('DELETE', `/flags/${flag}/organizations/${ORGANIZATION}?environment=production`)
      }
    })

    test('refreshes by itself what has expired', async () => {
      session.items.set('access_token', expired(session.items.get('access_token')))
      assert.equal(await kinde.isAuthenticated(session), true)
      assert.ok(claims(session.items.get('access_token')).exp > Date.now() / 1000)
      assert.equal(await kinde.getBooleanFlag(session, 'new_ai_model'), false)
    })

    test('a server that cannot write just now does not sign the user out', async () => {
      const before = new Map(session.items)
      const { clientId: client_id, clientSecret: client_secret } = application
      const refresh_token = before.get('refresh_token')
      const form = { grant_type: 'refresh_token', client_id, refresh_token, ...(client_secret && { client_secret }) }
      const [response] = await installation.whileBusy(() =>
        Promise.all([
          fetch(`${installation.issuer}/oauth2/token`, { method: 'POST', body: new URLSearchParams(form) }),
          assert.rejects(kinde.refreshTokens(session), SyntaxError),
        ]),
      )
      assert.equal(response.status, 503)
      assert.equal((await response.json()).error, 'temporarily_unavailable', 'other clients are told by a word')
      assert.ok(response.headers.get('retry-after'))
      assert.deepEqual(session.items, before)
      await kinde.refreshTokens(session)
      assert.notEqual(session.items.get('refresh_token'), refresh_token)
      assert.equal(await kinde.isAuthenticated(session), true)
    })

    test('a bad grant is an error with its reason, and signs out', async () => {
      await installation.endSessions()
      await assert.rejects(kinde.refreshTokens(session), /sign in again/)
      assert.equal(session.items.size, 0)
      assert.equal(await kinde.isAuthenticated(session), false)
    })

    test('an organization can be asked for, and one of others is refused', async () => {
      const other = sessionManager()
      await kinde.handleRedirectToApp(other, await signIn(await kinde.login(other, { org_code: ORGANIZATION })))
      assert.deepEqual(await kinde.getOrganization(other), { orgCode: ORGANIZATION })
      const refused = await signIn(await kinde.login(sessionManager(), { org_code: 'org_others' }))
      await assert.rejects(kinde.handleRedirectToApp(sessionManager(), refused), /Authorization server reported an error: access_denied/)
    })

    test('an audience that is asked for changes nothing of who the token is for', async () => {
      const audience = ['https://reports.example.com', `${installation.issuer}/api`]
      const asking = client(grant, application, { audience })
      const other = sessionManager()
      await asking.handleRedirectToApp(other, await signIn(await asking.login(other)))
      assert.deepEqual(claims(other.items.get('access_token')).aud, [])
    })

    test('logging out leads back to the application', async () => {
      const logout = await kinde.logout(session)
      const response = await fetch(logout, { redirect: 'manual' })
      assert.equal(response.headers.get('location'), LOGOUT_URL)
    })
  })
}

describe('GrantType.CLIENT_CREDENTIALS', () => {
  test('a machine reads flags without a user', async () => {
    const application = await installation.application({ permissions: ['read:reports'] })
    const audience = `${installation.issuer}/api`
    const kinde = client(GrantType.CLIENT_CREDENTIALS, application, { audience })
    const session = sessionManager()
    assert.equal(await kinde.isAuthenticated(session), true)
    const token = claims(await kinde.getToken(session))
    assert.deepEqual([token.aud, token.sub, token.azp], [[audience], application.clientId, application.clientId])
    assert.deepEqual(token.permissions, ['read:reports'])
    assert.equal(await kinde.getIntegerFlag(session, 'ai_token_limit', 1), 1000)
    assert.equal(await kinde.getBooleanFlag(session, 'new_ai_model', true), false)
  })

  test('a wrong secret is refused', async () => {
    const { clientId } = await installation.application()
    const kinde = client(GrantType.CLIENT_CREDENTIALS, { clientId, clientSecret: 'x'.repeat(50) })
    await assert.rejects(kinde.getToken(sessionManager()), /client/)
  })
})
