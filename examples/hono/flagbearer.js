// A Flagbearer server of our own, on an empty database that goes with it, and the few calls that the example makes of it.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

function binary() {
  const built = (profile) => fileURLToPath(new URL(`../../target/${profile}/flagbearer`, import.meta.url))
  const found = [process.env.FLAGBEARER_BINARY, built('release'), built('debug')].find((path) => path && existsSync(path))
  if (!found) throw new Error('there is no flagbearer binary: run `cargo build --release` first, or set FLAGBEARER_BINARY')
  return found
}

export async function startFlagbearer() {
  const folder = mkdtempSync(join(tmpdir(), 'flagbearer-example-'))
  const key = randomBytes(32).toString('hex')
  const child = spawn(binary(), ['serve', '--listen', '127.0.0.1:0'], {
    cwd: folder,
    env: { PATH: process.env.PATH, FLAGBEARER_ADMIN_KEY: key, FLAGBEARER_LOG: 'warn' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const url = await new Promise((resolve, reject) => {
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
      const [, address] = /listens on (\S+)/.exec(output) ?? []
      if (address) resolve(address)
    })
    child.once('error', reject)
    ended.then((code) => reject(new Error(`flagbearer ended with ${code} before it listened`)))
  })
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
  return { ...api(url, key), url, key, stop }
}

/** The admin API and the token endpoint of a server. */
export function api(url, key) {
  const answer = async (response) => {
    const body = await response.json()
    if (!response.ok) throw new Error(`${response.status} ${body.code ?? body.error}: ${body.detail ?? body.error_description}`)
    return body
  }
  const call = async (method, path, body) =>
    answer(
      await fetch(`${url}/v1${path}`, {
        method,
        headers: { authorization: `Bearer ${key}`, ...(body && { 'content-type': 'application/json' }) },
        body: body && JSON.stringify(body),
      }),
    )
  return {
    call,

    /** Creates an application; answers what a backend and a client have to know about it. */
    async application(environment) {
      const { client_id: clientId } = await call('POST', '/applications', { name: 'Hono example', environment, public: true })
      const { issuer } = await call('GET', `/environments/${environment}`)
      return { clientId, issuer, audience: clientId }
    },

    startSession: ({ clientId }, user, organization) => call('POST', '/sessions', { application: clientId, user, organization }),

    /** What a client does when its access token is about to expire. The refresh token is good for one use. */
    async refresh({ clientId, issuer }, { refresh_token }) {
      const form = new URLSearchParams({ grant_type: 'refresh_token', client_id: clientId, refresh_token })
      return answer(await fetch(`${issuer}/oauth2/token`, { method: 'POST', body: form }))
    },

    /** Who gets a flag: `{ audience: 'none' }`, `{ audience: 'some', organizations: [...], users: [...] }`, `{ audience: 'all' }`. */
    target: (flag, environment, who) => call('PUT', `/flags/${flag}/environments/${environment}/targeting`, who),
  }
}
