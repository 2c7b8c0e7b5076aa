// What the tests of this folder start: the application, as it was built, and a browser.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { ALICE } from './sample.js'

export const FOLDER = fileURLToPath(new URL('.', import.meta.url))
export const NEXT = `${FOLDER}node_modules/next/dist/bin/next`

export async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address()
  listener.close()
  return String(port)
}

/** Runs a program of a folder until it is ready; answers how to end it, and what it has said. */
export async function run(args, env, cwd = FOLDER) {
  const child = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const running = { output: '' }
  const ended = once(child, 'exit')
  running.end = async () => {
    child.kill('SIGTERM')
    return (await ended)[0]
  }
  await new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        running.output += chunk
        if (/Ready in/.test(running.output)) resolve()
      })
    }
    ended.then(() => reject(new Error(`it has ended:\n${running.output}`)))
  })
  return running
}

/** Starts the application that was built in a folder. */
export const startNext = (port, settings, cwd) =>
  run(
    [NEXT, 'start', '--port', port],
    {
      PATH: process.env.PATH,
      NEXT_TELEMETRY_DISABLED: '1',
      FLAGBEARER_SITE_URL: `http://localhost:${port}`,
      FLAGBEARER_COOKIE_PASSWORD: randomBytes(32).toString('hex'),
      ...settings,
    },
    cwd,
  )

export const startBrowser = (...args) =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-background-networking', ...args],
  })

/** Signs Alice in at the issuer's page. */
export async function enter(page) {
  await page.locator('input[name=email]').fill(ALICE.email)
  await page.locator('input[name=password]').fill(ALICE.password)
  await page.locator('input[name=password]').press('Enter')
}
