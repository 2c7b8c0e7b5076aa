// `@workos-inc/authkit-nextjs` in an application as people deploy it (`next build`, `next start`), used in a real Chromium.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { COOKIE_PASSWORD, FLAG, PASSWORD, install } from './installation.js'

const FOLDER = fileURLToPath(new URL('nextjs', import.meta.url))
const NEXT = fileURLToPath(new URL('node_modules/next/dist/bin/next', import.meta.url))

let server
let application
let browser
let page
let home
let user
before(async () => {
  server = await install()
  const port = await freePort()
  home = `http://localhost:${port}`
  const { clientId, apiKey } = await server.application('production', {
    redirect_uris: [`${home}/callback`],
    logout_uris: [`${home}/runtime?flag=${FLAG}`],
  })
  await server.flag(FLAG)
  user = await server.user('user_ada', ['org_one', 'org_two'])
  const { apiHostname, port: apiPort, https } = server.place
  const env = {
    ...process.env,
    NODE_ENV: 'production',
    NEXT_TELEMETRY_DISABLED: '1',
    WORKOS_API_HOSTNAME: apiHostname,
    WORKOS_API_PORT: String(apiPort),
    WORKOS_API_HTTPS: String(https),
    WORKOS_API_KEY: apiKey,
    WORKOS_CLIENT_ID: clientId,
    WORKOS_COOKIE_PASSWORD: COOKIE_PASSWORD,
    NEXT_PUBLIC_WORKOS_REDIRECT_URI: `${home}/callback`,
    GOODBYE: `${home}/runtime?flag=${FLAG}`,
  }
  await run(['build'], env)
  application = await run(['start', '--port', String(port)], env, /Ready in/)
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-background-networking'],
  })
  page = await browser.newPage()
  page.setDefaultTimeout(15_000)
}, { timeout: 240_000 })
after(async () => {
  await browser?.close()
  if (application?.exitCode === null) {
    application.kill()
    await once(application, 'exit')
  }
  await server?.stop()
})

function freePort() {
  return new Promise((resolve) => {
    const listener = createServer().listen(0, () => {
      const { port } = listener.address()
      listener.close(() => resolve(port))
    })
  })
}

/** Runs `next`: to its end, or until it says something. Answers the process. */
async function run(command, env, until) {
  const child = spawn(process.execPath, [NEXT, ...command], { cwd: FOLDER, env })
  let said = ''
  const heard = new Promise((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        said += chunk
        if (until?.test(said)) resolve('heard')
      })
    }
  })
  const [end] = await Promise.race([once(child, 'exit'), heard.then((word) => [word])])
  assert.ok(end === 'heard' || (end === 0 && !until), said)
  return child
}

const flags = async (place = '#flags') => JSON.parse(await page.textContent(place))

/** Waits until a place on the page shows some flags. */
const shows = (place, expected) =>
  page.waitForFunction(([place, text]) => document.querySelector(place)?.textContent === text, [place, JSON.stringify(expected)], { timeout: 15_000 })

test('a stranger is sent to the sign-in page, and comes back signed in to the organization that was chosen', async () => {
  await page.goto(home)
  assert.equal(new URL(page.url()).origin, server.url, 'at the sign-in page')
  await page.fill('[name=email]', user.email)
  await page.fill('[name=password]', PASSWORD)
  await page.press('[name=password]', 'Enter')
  await page.click('[name=organization][value=org_one]')
  await page.waitForSelector('#user')
  assert.equal(await page.textContent('#user'), `Ada King Lovelace <${user.email}>`)
  assert.equal(await page.textContent('#place'), 'org_one admin reports:view')
  assert.deepEqual(await flags(), [])
  await shows('#browser-flags', [])
  const [{ httpOnly, value }] = (await page.context().cookies(home)).filter(({ name }) => name === 'wos-session')
  assert.equal(httpOnly, true)
  assert.ok(value.length < 4096, `${value.length} bytes`)
})

test('a changed rule is on the page after a refresh, on the server and in the browser', async () => {
  await server.target(FLAG, { audience: 'some', organizations: ['org_one'] })
  await page.reload()
  assert.deepEqual(await flags(), [], 'an issued token keeps its flags')
  // The browser's own part asks by POST as well: only once it has heard is the next answer that of the button.
  await shows('#browser-flags', [])
  // What an action answers with was rendered for the session that it was sent with; the next page has the new one.
  await Promise.all([page.waitForResponse((response) => response.request().method() === 'POST'), page.click('#refresh')])
  await page.reload()
  assert.deepEqual(await flags(), [FLAG])
  await server.target(FLAG, { audience: 'none' })
  await page.click('#browser-refresh')
  await shows('#browser-flags', [])
  await page.reload()
  assert.deepEqual(await flags(), [])
})

test('switching the organization evaluates anew', async () => {
  await server.target(FLAG, { audience: 'some', organizations: ['org_two'] })
  await page.fill('main [name=organization]', 'org_two')
  await page.click('#switch')
  await shows('#flags', [FLAG])
  assert.equal(await page.textContent('#place'), 'org_two admin reports:view')
})

test('the runtime client answers without a token', async () => {
  const ask = async (query) => (await fetch(`${home}/runtime?flag=${FLAG}&${query}`)).json()
  assert.equal(await ask('organizationId=org_two'), true)
  assert.equal(await ask('organizationId=org_one'), false)
})

test('signing out ends the session at the server too, and leads back to the sign-in', async () => {
  const { data } = await server.call('GET', `/sessions?user=${user.id}&environment=production`)
  await page.click('#leave')
  await page.waitForURL(`${home}/runtime?flag=${FLAG}`)
  const { data: left } = await server.call('GET', `/sessions?user=${user.id}&environment=production`)
  assert.deepEqual([data.length, left.length], [1, 0])
  await page.goto(home)
  assert.equal(new URL(page.url()).origin, server.url, 'signed out here and at the server')
  await page.waitForSelector('[name=password]')
})
