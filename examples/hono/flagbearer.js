// A Flagbearer server of our own, on an empty database that goes with it, and the few calls that the example makes of it.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

function binary() {
  const built = (profile) => fileURLToPath(new URL(`../../target/${profile}/flagbearer`, import.meta.url))
  const found = [process.env.FLAGBEARER_BINARY, built('release'), built('debug')].find((path) => path && existsSync(path))
  if (!found) throw new Error('there is no flagbearer binary: run `cargo build --release` first, or set FLAGBEARER_BINARY')
  return found
}

/** Runs a server until it listens. */
async function run(folder, key, listen) {
  // The tests keep everything that is logged, and search it for secrets: this key among them, by the word it begins with.
  const logs = process.env.FLAGBEARER_TEST_LOGS
  const log = logs ? openSync(join(logs, `${basename(folder)}.log`), 'a') : 'inherit'
  const level = logs ? 'trace,hyper=info,sqlx=info,h2=info,reqwest=info' : 'warn'
  const child = spawn(binary(), ['serve', '--listen', listen], {
    cwd: folder,
    env: { PATH: process.env.PATH, FLAGBEARER_ADMIN_KEY: key, FLAGBEARER_LOG: level },
    stdio: ['ignore', 'pipe', log],
  })
  if (logs) closeSync(log)
  // Whatever ends this process, also a fault, the server is not to outlive it.
  const orphan = () => child.kill('SIGKILL')
  process.once('exit', orphan)
  const ended = new Promise((resolve) => child.once('exit', resolve)).finally(() => process.off('exit', orphan))
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
  const end = (signal) => {
    child.kill(signal)
    return ended
  }
  return { url, end }
}

export async function startFlagbearer() {
  const folder = mkdtempSync(join(tmpdir(), 'flagbearer-example-'))
  const key = `planted-${randomBytes(32).toString('hex')}`
  let running = await run(folder, key, '127.0.0.1:0')
  const { url } = running
  return {
    ...api(url, key),
    url,
    key,
    folder,

    async stop() {
      await running.end('SIGTERM')
      rmSync(folder, { recursive: true, force: true })
    },

    /** Ends the server as a power cut would. */
    kill: () => running.end('SIGKILL'),

    /** Runs it again after that, at the same address: it stays the issuer that it was. */
    async startAgain() {
      running = await run(folder, key, new URL(url).host)
    },
  }
}

/** The admin API and the token endpoint of a server. */
export function api(url, key) {
  const answer = async (response) => {
    const text = await response.text()
    const body = text && JSON.parse(text)
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
