// The code samples that people arrive with: WorkOS's guide, and both incidents of issue 431.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createApp as createGuide } from './guide.js'
import { createApp as createBackend } from './incidents.js'
import { COOKIE_PASSWORD, FLAG, REDIRECT_URI, install, signedInCode } from './installation.js'
import { SDKS } from './sdks.js'

let server
before(async () => {
  process.env.WORKOS_COOKIE_PASSWORD = COOKIE_PASSWORD
  server = await install()
  await server.flag(FLAG)
})
after(() => server?.stop())

/** An application with its client for WorkOS's API, and how its users sign in. */
async function applicationOf({ WorkOS }, environment = 'production') {
  const application = await server.application(environment)
  const workos = new WorkOS(application.apiKey, { clientId: application.clientId, ...server.place })
  return {
    workos,
    jwksUri: workos.userManagement.getJwksUrl(application.clientId),
    async signIn(user) {
      const url = workos.userManagement.getAuthorizationUrl({ provider: 'authkit', redirectUri: REDIRECT_URI })
      const { code } = await signedInCode(url, user)
      return workos.userManagement.authenticateWithCode({ code, session: { sealSession: true, cookiePassword: COOKIE_PASSWORD } })
    },
    refresh: ({ refreshToken }) =>
      workos.userManagement.authenticateWithRefreshToken({ refreshToken, clientId: application.clientId }),
  }
}

for (const sdk of SDKS) {
  test(`the guide's code shows a change with ${sdk.version}`, async () => {
    await server.target(FLAG, { audience: 'none' })
    const { workos, signIn } = await applicationOf(sdk)
    const user = await server.user(`user_guide${sdk.major}`, [`org_guide${sdk.major}`])
    let { sealedSession: cookie } = await signIn(user)
    const listener = createGuide(workos).listen(0)
    const ask = async () => {
      const response = await fetch(`http://127.0.0.1:${listener.address().port}/api/feature-flags`, { headers: { cookie: `wos-session=${encodeURIComponent(cookie)}` } })
      assert.equal(response.status, 200)
      const [set] = response.headers.getSetCookie()
      assert.match(set, /; HttpOnly; Secure; SameSite=Lax$/)
      cookie = decodeURIComponent(/^wos-session=([^;]+)/.exec(set)[1])
      return (await response.json()).featureFlags
    }
    try {
      assert.deepEqual(await ask(), [])
      await server.target(FLAG, { audience: 'some', organizations: [`org_guide${sdk.major}`] })
      assert.deepEqual(await ask(), [FLAG])
      await server.target(FLAG, { audience: 'none' })
      assert.deepEqual(await ask(), [])
    } finally {
      listener.close()
    }
  })
}

/** What the reporter's backend says to the bearer of a token. */
async function visible({ jwksUri }, { accessToken }) {
  const response = await createBackend(jwksUri).request('/snippets', { headers: { authorization: `Bearer ${accessToken}` } })
  assert.equal(response.status, 200)
  return (await response.json()).visible
}

test('incident 2: from one organization to all, and the first never loses the flag', async () => {
  const production = await applicationOf(SDKS[1])
  await server.target(FLAG, { audience: 'some', organizations: ['org_x'] })
  let ours = await production.signIn(await server.user('user_x', ['org_x']))
  let others = await production.signIn(await server.user('user_y', ['org_y']))
  assert.deepEqual([await visible(production, ours), await visible(production, others)], [true, false])

  let widening = true
  let refreshes = 0
  const refreshing = (async () => {
    while (widening) {
      ours = await production.refresh(ours)
      refreshes += 1
      assert.equal(await visible(production, ours), true, `lost by refresh ${refreshes}`)
    }
  })()
  try {
    for (let round = 0; round < 5 || refreshes < 20; round += 1) {
      assert.equal((await server.target(FLAG, { audience: 'some', organizations: ['org_x', 'org_z'] })).effect, 'widened')
      assert.equal((await server.target(FLAG, { audience: 'all' })).effect, 'widened')
      assert.equal((await server.target(FLAG, { audience: 'some', organizations: ['org_x'] })).effect, 'narrowed')
    }
    await server.target(FLAG, { audience: 'all' })
  } finally {
    widening = false
    await refreshing
  }
  ;[ours, others] = [await production.refresh(ours), await production.refresh(others)]
  assert.deepEqual([await visible(production, ours), await visible(production, others)], [true, true])
})

test('incident 1: one user in production, everybody in staging', async () => {
  const production = await applicationOf(SDKS[1])
  const staging = await applicationOf(SDKS[1], 'staging')
  const [one, two] = [await server.user('user_one'), await server.user('user_two')]
  await server.target(FLAG, { audience: 'some', users: [one.id] }, 'production')
  await server.target(FLAG, { audience: 'all' }, 'staging')
  const seen = async (place, user) => visible(place, await place.signIn(user))
  assert.deepEqual([await seen(production, one), await seen(production, two)], [true, false])
  assert.deepEqual([await seen(staging, one), await seen(staging, two)], [true, true])
  // A token of one environment means nothing to the other's backend.
  const token = await staging.signIn(one)
  const response = await createBackend(production.jwksUri).request('/snippets', { headers: { authorization: `Bearer ${token.accessToken}` } })
  assert.equal(response.status, 401)
})
