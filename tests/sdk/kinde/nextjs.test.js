// @kinde-oss/kinde-auth-nextjs: the article's dashboard and its AI routes, as printed, in a Next.js application that
// was built and started, with a real browser before it.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { after, before, test } from 'node:test'
import { chromium } from 'playwright-core'
import { ALICE, ALICE_ID, ORGANIZATION, install } from './installation.js'

const FOLDER = fileURLToPath(new URL('nextjs/', import.meta.url))

let installation
let site
let next
let output = ''
let browser
let page

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}

/** Starts the application that `next build` made, as a user would: by its variables. */
async function startNext(application) {
  const { port } = new URL(site)
  next = spawn(process.execPath, ['node_modules/next/dist/bin/next', 'start', '--port', port], {
    cwd: FOLDER,
    env: {
      PATH: process.env.PATH,
      NEXT_TELEMETRY_DISABLED: '1',
      KINDE_ISSUER_URL: installation.issuer,
      KINDE_CLIENT_ID: application.clientId,
      KINDE_CLIENT_SECRET: application.clientSecret,
      KINDE_SITE_URL: site,
      KINDE_POST_LOGIN_REDIRECT_URL: `${site}/dashboard`,
      KINDE_POST_LOGOUT_REDIRECT_URL: site,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  for (const stream of [next.stdout, next.stderr]) stream.on('data', (chunk) => void (output += chunk))
  const deadline = Date.now() + 30_000
  while (!(await fetch(site).catch(() => null))?.ok) {
    if (Date.now() > deadline || next.exitCode !== null) throw new Error(`next does not answer at ${site}:\n${output}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

before(async () => {
  installation = await install()
  site = `http://localhost:${await freePort()}`
  const application = await installation.application({
    redirect_uris: [`${site}/api/auth/kinde_callback`],
    logout_uris: [site],
    allowed_origins: [site],
  })
  await startNext(application)
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-background-networking'],
  })
  page = await browser.newPage()
  page.setDefaultTimeout(15_000)
})

after(async () => {
  await browser?.close()
  if (next?.exitCode === null) {
    next.kill()
    await once(next, 'exit')
  }
  await installation?.stop()
})

const text = () => page.locator('body').innerText()

/** Calls the application from the page that the browser shows. */
const call = (path, method, body) =>
  page.evaluate(
    async ([path, method, body]) => {
      const response = await fetch(path, { method, ...(body && { body: JSON.stringify(body) }) })
      return { status: response.status, body: await response.json() }
    },
    [path, method, body],
  )

const refresh = () => call('/api/refresh', 'POST')

async function fillSignInPage() {
  await page.locator('input[name=email]').fill(ALICE.email)
  await page.locator('input[name=password]').fill(ALICE.password)
  await page.locator('input[name=password]').press('Enter')
}

test('the dashboard leads to the sign-in page, and back', async () => {
  await page.goto(`${site}/dashboard`)
  assert.equal(new URL(page.url()).origin, installation.issuer)
  await fillSignInPage()
  await page.waitForURL(`${site}/dashboard`)
  const shown = await text()
  assert.match(shown, /Token limit: 1000/)
  assert.doesNotMatch(shown, /New AI Model/)
})

test('the session is read on the server, with falsy, absent and mistyped flags', async () => {
  const { status, body } = await call('/api/session', 'GET')
  assert.equal(status, 200)
  assert.equal(body.isAuthenticated, true)
  assert.deepEqual(
    [body.user.id, body.user.email, body.user.given_name, body.user.family_name],
    [ALICE_ID, ALICE.email, 'Alice', 'Adams'],
  )
  assert.equal(body.organization.orgCode, ORGANIZATION)
  assert.deepEqual(body.permissions.permissions, ['reports:view'])
  const { zero, empty, json, absent, mistyped, thrown } = body.flags
  assert.deepEqual([zero, empty, absent, mistyped], [0, '', true, true])
  assert.deepEqual([json.value, json.is_default], [{ temperature: 0.7, max_tokens: 500 }, false])
  assert.match(thrown, /Flag absent was not found, and no default value has been provided/)
})

test('the AI routes of the article use the flags', async () => {
  for (const path of ['chat', 'generate']) {
    assert.equal((await fetch(`${site}/api/ai/${path}`, { method: 'POST', body: '{}' })).status, 401)
    const { status, body } = await call(`/api/ai/${path}`, 'POST', { message: 'Hello' })
    assert.deepEqual([status, body.response], [200, 'AI response placeholder'])
  }
  assert.match(output, /Calling AI with strategy: standard/)
  assert.match(output, /Using model: gpt-4o, temp: 0.7, max_tokens: 500/)
})

/** What the AI is called with by a route that keeps to the user's limit, when so many tokens are asked for. */
const limited = async (max_tokens) => {
  const { status, body } = await call('/api/ai/limited', 'POST', { message: 'Hello', max_tokens })
  assert.equal(status, 200)
  return body.response.max_tokens
}

test('no more tokens are used than the limit of the user allows', async () => {
  assert.equal((await fetch(`${site}/api/ai/limited`, { method: 'POST', body: '{}' })).status, 401)
  assert.deepEqual([await limited(), await limited(1000)], [500, 1000])
  assert.doesNotMatch(output, /capped/)
  assert.equal(await limited(4000), 1000)
  assert.match(output, /User requested 4000 tokens, capped to 1000/)
})

test('the browser hook reads flags of every type', async () => {
  await page.goto(`${site}/browser`)
  assert.deepEqual(JSON.parse(await page.locator('#seen').innerText()), {
    isAuthenticated: true,
    user: ALICE.email,
    organization: ORGANIZATION,
    permission: true,
    boolean: false,
    integer: 1000,
    string: 'control',
    zero: 0,
    empty: '',
    json: {
      code: 'model_config',
      type: 'json',
      value: { temperature: 0.7, max_tokens: 500 },
      is_default: false,
      defaultValue: {},
    },
    absent: true,
    missing: { thrown: 'Flag absent was not found, and no default value has been provided' },
    mistyped: { thrown: 'Flag new_ai_model is of type boolean - requested type string' },
  })
})

test('a page of an allowed origin may call the issuer, and one of another may not', async () => {
  // As Kinde's browser packages call: with cookies, and with a header of their own.
  const ask = (path, options) =>
    page.evaluate(
      ([url, options]) =>
        fetch(url, { credentials: 'include', ...options }).then(
          ({ status }) => status,
          (error) => error.message,
        ),
      [installation.issuer + path, options],
    )
  const calls = [
    ['/oauth2/token', { method: 'POST', headers: { 'kinde-sdk': 'React/1' }, body: 'grant_type=refresh_token' }, 400],
    ['/account_api/v1/feature_flags', { headers: { authorization: 'Bearer nonsense' } }, 401],
  ]
  for (const [path, options, status] of calls) assert.equal(await ask(path, options), status)
  await page.goto(site.replace('localhost', '127.0.0.1'))
  for (const [path, options] of calls) assert.equal(await ask(path, options), 'Failed to fetch')
})

test('changed rules are seen after a refresh, on the server and in the browser', async () => {
  await installation.override('new_ai_model', true)
  await installation.override('ai_token_limit', 5000)
  await installation.override('prompt_variant', 'few_shot')
  await installation.override('ai_prompt_strategy', 'chain_of_thought')
  await installation.override('ai_model_config', { model: 'gpt-5', temperature: 0, max_tokens: 900, system_prompt: '' })
  await page.goto(`${site}/dashboard`)
  assert.match(await text(), /Token limit: 1000/)

  assert.deepEqual(await refresh(), { status: 200, body: { refreshed: true } })
  await page.goto(`${site}/dashboard`)
  const shown = await text()
  assert.match(shown, /New AI Model \(Beta\)/)
  assert.match(shown, /Token limit: 5000 \| Variant: few_shot/)
  for (const path of ['chat', 'generate']) await call(`/api/ai/${path}`, 'POST', { message: 'Hello' })
  assert.match(output, /Calling AI with strategy: chain_of_thought/)
  assert.match(output, /Using model: gpt-5, temp: 0, max_tokens: 900/)
  assert.deepEqual([await limited(4000), await limited(6000)], [4000, 5000])
  assert.match(output, /User requested 6000 tokens, capped to 5000/)
  await page.goto(`${site}/browser`)
  const seen = JSON.parse(await page.locator('#seen').innerText())
  assert.deepEqual([seen.boolean, seen.integer, seen.string], [true, 5000, 'few_shot'])
})

test('a server that cannot write just now does not sign the user out', async () => {
  assert.deepEqual(await installation.whileBusy(refresh), { status: 200, body: { refreshed: false } })
  await page.goto(`${site}/dashboard`)
  assert.match(await text(), /Token limit: 5000/)
  assert.deepEqual(await refresh(), { status: 200, body: { refreshed: true } })
})

test('a session that was ended cannot be refreshed, and its user signs in again', async () => {
  await installation.endSessions()
  assert.deepEqual(await refresh(), { status: 200, body: { refreshed: false } })
  await page.goto(`${site}/dashboard`)
  assert.equal(new URL(page.url()).origin, installation.issuer)
  await fillSignInPage()
  await page.waitForURL(`${site}/dashboard`)
  assert.match(await text(), /Token limit: 5000/)
})

test('an application that has forgotten its user is told again, without a password', async () => {
  await page.context().clearCookies({ domain: 'localhost' })
  await page.goto(`${site}/dashboard`)
  await page.waitForURL(`${site}/dashboard`)
  assert.match(await text(), /Token limit: 5000/)
})

test('logging out ends it in the application and at the issuer', async () => {
  await page.goto(`${site}/api/auth/logout`)
  await page.waitForURL(`${site}/`)
  assert.match(await text(), /Signed out/)
  const query = `user=${ALICE_ID}&environment=production`
  assert.deepEqual((await installation.call('GET', `/sessions?${query}`)).data, [])
  await page.goto(`${site}/dashboard`)
  assert.equal(new URL(page.url()).origin, installation.issuer)
  assert.equal(await page.locator('input[name=password]').count(), 1)
})
