// Both incidents of a public bug report about flags in access tokens, played against a real server.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { createApp } from './app.js'
import { startFlagbearer } from './flagbearer.js'

const FLAG = 'snippet-synthesis'
const CARRIED = { t: 'b', v: true }

let flagbearer
before(async () => {
  flagbearer = await startFlagbearer()
  await flagbearer.call('POST', '/flags', { key: FLAG, type: 'boolean', default_value: false })
})
after(() => flagbearer?.stop())

/** Asks the backend with the access token of these tokens, and answers the status. */
async function status(app, { access_token }) {
  const response = await app.request('/api/snippets', { headers: { authorization: `Bearer ${access_token}` } })
  return response.status
}

test('widening from one organization to all never takes the flag from the first', async () => {
  const application = await flagbearer.application('production')
  const app = createApp(application)
  const target = (who) => flagbearer.target(FLAG, 'production', who)
  const steps = [
    { audience: 'some', organizations: ['org_x'] },
    { audience: 'some', organizations: ['org_x', 'org_y'] },
    { audience: 'some', organizations: ['org_x', 'org_y'], users: ['user_z'] },
    { audience: 'all' },
  ]
  await target(steps[0])
  let first = await flagbearer.startSession(application, 'user_x', 'org_x')
  let other = await flagbearer.startSession(application, 'user_q', 'org_q')
  assert.equal(await status(app, first), 200)
  assert.equal(await status(app, other), 403)

  // The first organization refreshes all the while, in four sessions.
  const sessions = [first]
  for (let i = 0; i < 3; i++) sessions.push(await flagbearer.startSession(application, `user_x${i}`, 'org_x'))
  let widening = true
  let refreshes = 0
  const refreshing = sessions.map(async (tokens) => {
    while (widening) {
      tokens = await flagbearer.refresh(application, tokens)
      refreshes++
      assert.deepEqual(tokens.feature_flags[FLAG], CARRIED, `lost at revision ${tokens.flags_rev}`)
      assert.equal(await status(app, tokens), 200)
    }
    return tokens
  })
  const widenings = (async () => {
    try {
      // At least so many times, and until there were hundreds of refreshes meanwhile.
      for (let round = 0; round < 10 || refreshes < 400; round++) {
        for (const step of steps.slice(1)) assert.equal((await target(step)).effect, 'widened')
        // Back to the first organization alone, which it covers as well.
        assert.equal((await target(steps[0])).effect, 'narrowed')
      }
      assert.equal((await target({ audience: 'all' })).effect, 'widened')
    } finally {
      widening = false
    }
  })()
  const [, ...refreshed] = await Promise.all([widenings, ...refreshing])
  assert.ok(refreshes >= 400, `${refreshes} refreshes`)

  first = await flagbearer.refresh(application, refreshed[0])
  other = await flagbearer.refresh(application, other)
  assert.equal(await status(app, first), 200)
  assert.equal(await status(app, other), 200)
})

test('one user in production and everybody in staging do not get mixed up', async () => {
  const production = await flagbearer.application('production')
  const staging = await flagbearer.application('staging')
  await flagbearer.target(FLAG, 'production', { audience: 'some', users: ['user_one'] })
  await flagbearer.target(FLAG, 'staging', { audience: 'all' })
  const apps = { production: createApp(production), staging: createApp(staging) }

  const seen = async (app, application, user) => status(app, await flagbearer.startSession(application, user, 'org_x'))
  assert.equal(await seen(apps.production, production, 'user_one'), 200)
  assert.equal(await seen(apps.production, production, 'user_two'), 403)
  assert.equal(await seen(apps.staging, staging, 'user_one'), 200)
  assert.equal(await seen(apps.staging, staging, 'user_two'), 200)
  // A token of one environment means nothing in the other.
  assert.equal(await seen(apps.production, staging, 'user_one'), 401)
})

test('without a good token there are no flags, and no answer', async () => {
  const app = createApp(await flagbearer.application('production'))
  assert.equal((await app.request('/api/snippets')).status, 401)
  assert.equal(await status(app, { access_token: 'garbage' }), 401)
})

test('where the example cannot start, its server does not outlive it', { timeout: 60_000 }, async (t) => {
  const listener = createServer().listen(0, '127.0.0.1')
  t.after(() => listener.close())
  await once(listener, 'listening')
  const { PATH, FLAGBEARER_BINARY = '' } = process.env
  const env = { PATH, FLAGBEARER_BINARY, PORT: String(listener.address().port) }
  // The server writes where the example does, so that this goes on once both have ended.
  await assert.rejects(promisify(execFile)(process.execPath, ['start.js'], { cwd: import.meta.dirname, env }), /EADDRINUSE/)
})
