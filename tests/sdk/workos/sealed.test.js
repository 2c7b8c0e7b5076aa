// One cookie, two packages: what WorkOS's SDK has sealed ours opens and refreshes, and the other way round. Whoever changes over
// signs nobody out.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Flagbearer } from '../../../bindings/node/index.js'
import { COOKIE_PASSWORD, FLAG, REDIRECT_URI, install, signedInCode } from './installation.js'
import { SDKS } from './sdks.js'

let server
let application
before(async () => {
  server = await install()
  application = await server.application()
  await server.flag(FLAG)
})
after(() => server?.stop())

for (const { version, major, WorkOS } of SDKS) {
  test(`@workos-inc/node ${version} and @flagbearer/node hand a session to and fro`, async () => {
    const { clientId, apiKey } = application
    const { userManagement } = new WorkOS(apiKey, { clientId, ...server.place })
    const flagbearer = new Flagbearer({ issuer: server.url, clientId, clientSecret: apiKey, profile: 'workos' })
    const theirs = (sessionData) => userManagement.loadSealedSession({ sessionData, cookiePassword: COOKIE_PASSWORD })
    const ours = (sessionData) => flagbearer.loadSealedSession({ sessionData, cookiePassword: COOKIE_PASSWORD })

    await server.target(FLAG, { audience: 'none' })
    const user = await server.user(`user_sealed${major}`)
    const url = userManagement.getAuthorizationUrl({ provider: 'authkit', redirectUri: REDIRECT_URI })
    const { code } = await signedInCode(url, user)
    const seal = { sealSession: true, cookiePassword: COOKIE_PASSWORD }
    const { sealedSession: first } = await userManagement.authenticateWithCode({ code, session: seal })

    const opened = await ours(first).authenticate()
    assert.deepEqual([opened.authenticated, opened.featureFlags, opened.user.email], [true, [], user.email])
    await server.target(FLAG, { audience: 'all' })
    const { sealedSession: second, featureFlags, changed } = await ours(first).refresh()
    assert.deepEqual([featureFlags, changed], [[FLAG], [FLAG]])

    const read = await theirs(second).authenticate()
    assert.deepEqual([read.authenticated, read.featureFlags, read.user.email], [true, [FLAG], user.email])
    await server.target(FLAG, { audience: 'none' })
    const { authenticated, sealedSession: third } = await theirs(second).refresh()
    assert.equal(authenticated, true)
    assert.deepEqual((await ours(third).authenticate()).featureFlags, [])

    const other = new WorkOS(apiKey, { clientId, ...server.place }).userManagement
    const wrong = other.loadSealedSession({ sessionData: third, cookiePassword: `another ${COOKIE_PASSWORD}` })
    assert.equal((await wrong.authenticate()).authenticated, false)
  })
}
