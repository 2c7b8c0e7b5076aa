// `workos.userManagement` of each version: signing in at the page, the sealed session, refreshing, and what goes wrong on the way.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import { Browser } from '../sign_in.js'
import { COOKIE_PASSWORD, FLAG, PASSWORD, REDIRECT_URI, install, signedInCode } from './installation.js'
import { lossy } from './lossy.js'
import { SDKS } from './sdks.js'

/** What a browser carries through: `authkit` seals its state, several hundred characters with `*` and `~` in them. */
const STATE = `Fe26.2*1*${'0123456789abcdef'.repeat(16)}*é&=+ %2A**~2`

/** What the server says when it cannot answer just now. */
const temporarily = { error: 'temporarily_unavailable', error_description: 'try again in a moment' }
const BUSY = [
  { what: 'too many requests', status: 429, body: temporarily, reason: 'rate_limit_exceeded' },
  { what: 'a database that is away', status: 503, body: temporarily, reason: 'server_error' },
  { what: 'a fault of the server', status: 500, body: { ...temporarily, error: 'server_error' }, reason: 'server_error' },
]

let server
let application
before(async () => {
  server = await install()
  application = await server.application()
  await server.flag(FLAG)
  await server.flag('everybody', { default_value: true })
  await server.call('POST', '/flags', { key: 'text', type: 'string', default_value: 'true' })
})
after(() => server?.stop())

for (const { version, major, WorkOS } of SDKS) {
  describe(`@workos-inc/node ${version}`, () => {
    const client = (place = server.place) => new WorkOS(application.apiKey, { clientId: application.clientId, ...place })
    const seal = { sealSession: true, cookiePassword: COOKIE_PASSWORD }

    /** Signs a new user in, and answers the sealed session. */
    async function signedIn(name, organizations = [], answers) {
      const user = await server.user(`user_${name}${major}`, organizations)
      const { userManagement } = client()
      const url = userManagement.getAuthorizationUrl({ provider: 'authkit', redirectUri: REDIRECT_URI, state: STATE })
      const { code, state } = await signedInCode(url, user, answers)
      assert.equal(state, STATE, 'the state comes back as it was')
      const answer = await userManagement.authenticateWithCode({ code, session: seal })
      return { user, ...answer }
    }
    const load = (sessionData, workos = client()) =>
      workos.userManagement.loadSealedSession({ sessionData, cookiePassword: COOKIE_PASSWORD })

    test('a user signs in, and reads the flags that are on; a changed rule is seen by the next refresh', async () => {
      const organization = `org_first${major}`
      await server.target(FLAG, { audience: 'none' })
      const { user, sealedSession, accessToken, refreshToken, authenticationMethod, organizationId, ...answer } = await signedIn('first', [organization])
      assert.deepEqual(
        [answer.user?.id ?? user.id, authenticationMethod, organizationId],
        [user.id, 'Password', organization],
      )
      assert.ok(accessToken && refreshToken)

      const session = load(sealedSession)
      const before = await session.authenticate()
      assert.equal(before.authenticated, true)
      assert.deepEqual(before.featureFlags, ['everybody'])
      assert.deepEqual(
        [before.organizationId, before.role, before.permissions, before.user.email, before.user.firstName, before.user.lastName],
        [organization, 'admin', ['reports:view'], user.email, 'Ada King', 'Lovelace'],
      )

      await server.target(FLAG, { audience: 'some', organizations: [organization] })
      assert.deepEqual((await session.authenticate()).featureFlags, ['everybody'], 'an issued token keeps its flags')
      const refreshed = await session.refresh()
      assert.equal(refreshed.authenticated, true)
      assert.deepEqual(refreshed.featureFlags, ['everybody', FLAG])
      assert.equal(refreshed.sessionId, before.sessionId)
      assert.deepEqual((await load(refreshed.sealedSession).authenticate()).featureFlags, ['everybody', FLAG])

      await server.target(FLAG, { audience: 'none' })
      assert.deepEqual((await session.refresh()).featureFlags, ['everybody'])
    })

    test('public and confidential clients prove themselves by PKCE', async () => {
      const user = await server.user(`user_pkce${major}`)
      const confidential = client()
      const pkce = await confidential.userManagement.getAuthorizationUrlWithPKCE({ provider: 'authkit', redirectUri: REDIRECT_URI })
      const { code, state } = await signedInCode(pkce.url, user)
      assert.equal(state, pkce.state)
      const answer = await confidential.userManagement.authenticateWithCode({ code, codeVerifier: pkce.codeVerifier })
      assert.equal(answer.user.id, user.id)

      const spa = await server.application('production', { public: true })
      const open = new WorkOS({ clientId: spa.clientId, ...server.place })
      const asked = await open.userManagement.getAuthorizationUrlWithPKCE({ provider: 'authkit', redirectUri: REDIRECT_URI, clientId: spa.clientId })
      const given = await signedInCode(asked.url, user)
      const wrong = open.userManagement.authenticateWithCode({ code: given.code, codeVerifier: pkce.codeVerifier, clientId: spa.clientId })
      await assert.rejects(wrong, ({ status, error }) => status === 400 && error === 'invalid_grant')
      const again = await signedInCode(asked.url, user)
      const tokens = await open.userManagement.authenticateWithCode({ code: again.code, codeVerifier: asked.codeVerifier, clientId: spa.clientId })
      const refreshed = await open.userManagement.authenticateWithRefreshToken({ refreshToken: tokens.refreshToken, clientId: spa.clientId })
      assert.notEqual(refreshed.refreshToken, tokens.refreshToken)
    })

    test('tokens are signed with RS256, and any JOSE library checks them', async () => {
      const { accessToken } = await signedIn('jwks')
      const jwks = client().userManagement.getJwksUrl(application.clientId)
      assert.deepEqual(decodeProtectedHeader(accessToken).alg, 'RS256')
      const { payload } = await jwtVerify(accessToken, createRemoteJWKSet(new URL(jwks)), { issuer: server.url, algorithms: ['RS256'] })
      assert.deepEqual(payload.feature_flags, ['everybody'])
    })

    test('a user of several organizations chooses one at the page, and switches by a refresh', async () => {
      const [ours, other] = [`org_ours${major}`, `org_other${major}`]
      await server.target(FLAG, { audience: 'some', organizations: [other] })
      const { sealedSession } = await signedIn('switching', [ours, other], { organization: ours })
      const session = load(sealedSession)
      const before = await session.authenticate()
      assert.deepEqual([before.organizationId, before.featureFlags], [ours, ['everybody']])
      const switched = await session.refresh({ organizationId: other })
      assert.deepEqual([switched.organizationId, switched.featureFlags], [other, ['everybody', FLAG]])
      const kept = await load(switched.sealedSession).refresh()
      assert.deepEqual([kept.organizationId, kept.featureFlags], [other, ['everybody', FLAG]])

      await server.user(`user_owner${major}`, [`org_foreign${major}`])
      const refused = await load(kept.sealedSession)
        .refresh({ organizationId: `org_foreign${major}` })
        .catch((error) => error)
      assert.ok(refused instanceof Error || refused.authenticated === false, 'nothing is issued for a stranger')
      assert.equal(refused.sealedSession, undefined)
      assert.equal((await load(kept.sealedSession).refresh()).authenticated, true, 'and nothing is used up')
    })

    test('sessions are listed, and a revoked one is a typed failure', async () => {
      const { user, sealedSession } = await signedIn('revoked')
      const { userManagement } = client()
      const session = load(sealedSession)
      const { sessionId } = await session.authenticate()
      const { data } = await userManagement.listSessions(user.id)
      assert.deepEqual(data.map(({ id, userId, status, authMethod }) => [id, userId, status, authMethod]), [[sessionId, user.id, 'active', 'password']])
      assert.equal((await userManagement.getUser(user.id)).email, user.email)

      await userManagement.revokeSession({ sessionId })
      const refused = await session.refresh()
      assert.deepEqual([refused.authenticated, refused.reason], [false, 'invalid_grant'])
      if (major > 8) assert.equal(refused.retryable, false)
      assert.equal((await userManagement.listSessions(user.id)).data.length, 0)
    })

    test('a used refresh token that comes again after others ends the session, as a typed failure', async () => {
      const { sealedSession } = await signedIn('reused')
      const first = await load(sealedSession).refresh()
      const second = await load(first.sealedSession).refresh()
      const thief = await load(sealedSession).refresh()
      assert.deepEqual([thief.authenticated, thief.reason], [false, 'invalid_grant'])
      const victim = await load(second.sealedSession).refresh()
      assert.deepEqual([victim.authenticated, victim.reason], [false, 'invalid_grant'])
    })

    test('requests in parallel refresh the same session, and all of them stay signed in', async () => {
      const { sealedSession } = await signedIn('parallel')
      const refreshed = await Promise.all(Array.from({ length: 8 }, () => load(sealedSession).refresh()))
      assert.deepEqual(refreshed.map(({ authenticated }) => authenticated), Array(8).fill(true))
      const next = await Promise.all(refreshed.slice(0, 3).map((one) => load(one.sealedSession).refresh()))
      assert.deepEqual(next.map(({ authenticated }) => authenticated), Array(3).fill(true))
    })

    for (const { what, status, body, reason } of BUSY) {
      test(`${what} at a refresh does not sign the user out`, async () => {
        const { sealedSession } = await signedIn(`busy${status}`)
        const network = await lossy(server.url)
        const failing = { status, headers: { 'content-type': 'application/json', 'retry-after': '0' }, body: JSON.stringify(body) }
        try {
          // More often than any version tries: it gives up, and the session stays what it was.
          network.failing = Array(4).fill(failing)
          const session = load(sealedSession, client(network.place))
          const refreshed = await session.refresh().catch((error) => error)
          assert.equal(network.keys.length, major === 8 ? 1 : 4)
          if (major === 8) assert.equal(refreshed.status, status)
          else assert.deepEqual([refreshed.authenticated, refreshed.reason, refreshed.retryable], [false, reason, true])
          assert.equal((await session.authenticate()).authenticated, true)

          network.failing = major === 8 ? [] : [failing]
          const again = await session.refresh()
          assert.equal(again.authenticated, true)
          assert.equal((await load(again.sealedSession).refresh()).authenticated, true)
        } finally {
          await network.stop()
        }
      })
    }

    test('an answer that is lost does not sign the user out', async () => {
      const { sealedSession } = await signedIn('lossy')
      const network = await lossy(server.url)
      try {
        network.losing = 1
        const session = load(sealedSession, client(network.place))
        let refreshed = await session.refresh().catch((error) => error)
        assert.equal(network.lost, 1)
        if (major === 8) {
          // It tries nothing by itself, and throws; the application's own next attempt succeeds.
          assert.ok(refreshed instanceof Error)
          refreshed = await session.refresh()
        } else {
          assert.deepEqual([network.keys.length, new Set(network.keys).size], [2, 1], 'a retry has the key of what it retries')
          assert.ok(network.keys[0])
        }
        assert.equal(refreshed.authenticated, true)
        assert.equal((await load(refreshed.sealedSession).refresh()).authenticated, true)
      } finally {
        await network.stop()
      }
    })

    test('a wrong API key is an exception, and so is a code that was used', async () => {
      const user = await server.user(`user_wrong${major}`)
      const url = client().userManagement.getAuthorizationUrl({ provider: 'authkit', redirectUri: REDIRECT_URI })
      const { code } = await signedInCode(url, user)
      const wrong = new WorkOS('fb_production_wrong', { clientId: application.clientId, ...server.place })
      await assert.rejects(wrong.userManagement.authenticateWithCode({ code }), ({ name, status }) => name === 'UnauthorizedException' && status === 401)
      const tokens = await client().userManagement.authenticateWithCode({ code })
      await assert.rejects(client().userManagement.authenticateWithCode({ code }), ({ status, error }) => status === 400 && error === 'invalid_grant')
      const ended = client().userManagement.authenticateWithRefreshToken({ refreshToken: tokens.refreshToken, clientId: application.clientId })
      await assert.rejects(ended, ({ error }) => error === 'invalid_grant', 'what the first use began has ended')
    })

    test('email and password sign in without a page, and an organization is chosen by the application', async () => {
      const { userManagement } = client()
      const ours = `org_p${major}`
      const user = await server.user(`user_password${major}`, [ours])
      const tokens = await userManagement.authenticateWithPassword({ email: user.email, password: PASSWORD })
      assert.deepEqual([tokens.user.id, tokens.organizationId, tokens.authenticationMethod], [user.id, ours, 'Password'])
      const wrong = userManagement.authenticateWithPassword({ email: user.email, password: 'wrong' })
      await assert.rejects(wrong, ({ status, error }) => status === 400 && error === 'invalid_grant')

      const other = `org_q${major}`
      const member = await server.user(`user_chooser${major}`, [ours, other])
      const pending = await userManagement.authenticateWithPassword({ email: member.email, password: PASSWORD }).catch((error) => error)
      const said = pending.rawData
      assert.equal(said.code, 'organization_selection_required')
      assert.deepEqual(said.organizations.map(({ id }) => id), [ours, other])
      const chosen = await userManagement.authenticateWithOrganizationSelection({
        pendingAuthenticationToken: said.pending_authentication_token,
        organizationId: other,
      })
      assert.deepEqual([chosen.user.id, chosen.organizationId], [member.id, other])

      const code = userManagement.authenticateWithMagicAuth({ code: '123456', email: member.email })
      await assert.rejects(code, ({ status, error }) => status === 400 && error === 'unsupported_grant_type')
    })

    test('signing out ends the session and leads to an address of the application alone', async () => {
      const home = 'http://localhost:3000/goodbye'
      await server.call('PATCH', `/applications/${application.clientId}`, { logout_uris: [home] })
      const { sealedSession } = await signedIn('leaving')
      const session = load(sealedSession)
      const url = await session.getLogoutUrl({ returnTo: home })
      assert.equal((await new Browser().visit(url)).left, home)
      const refused = await session.refresh()
      assert.deepEqual([refused.authenticated, refused.reason], [false, 'invalid_grant'])
      const { sealedSession: next } = await signedIn('leaving-again')
      const elsewhere = await load(next).getLogoutUrl({ returnTo: 'http://evil.example/' })
      assert.equal((await new Browser().visit(elsewhere)).left, undefined)
    })
  })
}
