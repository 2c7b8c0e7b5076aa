// `npm start`: the application against a real Flagbearer server. Without settings it starts one of its own to play with.

import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { startFlagbearer } from '../hono/flagbearer.js'
import { ALICE, fill } from './sample.js'

const folder = fileURLToPath(new URL('.', import.meta.url))
const next = (...args) => [process.execPath, [`${folder}node_modules/next/dist/bin/next`, ...args], { cwd: folder, stdio: 'inherit' }]
const { PORT = '3000' } = process.env

if (!existsSync(`${folder}.next/BUILD_ID`) && spawnSync(...next('build')).status !== 0) process.exit(1)

const settings = { FLAGBEARER_SITE_URL: `http://localhost:${PORT}`, FLAGBEARER_COOKIE_PASSWORD: randomBytes(32).toString('hex') }
let flagbearer
if (!process.env.FLAGBEARER_ISSUER) {
  flagbearer = await startFlagbearer()
  Object.assign(settings, { FLAGBEARER_ISSUER: flagbearer.url, ...(await fill(flagbearer, settings.FLAGBEARER_SITE_URL)) })
  console.log(`
Open ${settings.FLAGBEARER_SITE_URL}/dashboard and sign in as ${ALICE.email} with the password \`${ALICE.password}\`.
Then change a flag, and press Refresh on the page:

  curl -X PUT ${flagbearer.url}/v1/flags/new_ai_model/organizations/org_xyz789?environment=production \\
    -H 'authorization: Bearer ${flagbearer.key}' -H 'content-type: application/json' -d '{"value": true}'
`)
}

const [command, args, options] = next('start', '--port', PORT)
const child = spawn(command, args, { ...options, env: { ...settings, ...process.env } })
let asked = false
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    asked = true
    child.kill(signal)
  })
}
child.once('exit', async (code) => {
  await flagbearer?.stop()
  process.exit(asked ? 0 : code)
})
