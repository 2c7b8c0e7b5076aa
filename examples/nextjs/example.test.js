// The example as it is delivered: built, started, and in a real browser, against a real server.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { startFlagbearer } from '../hono/flagbearer.js'
import { FOLDER, enter, freePort, run, startBrowser, startNext } from './harness.js'
import { ALICE, ALICE_ID, ORGANIZATION, fill } from './sample.js'

let server
let site
let application
let next
let scratch
let browser
let page

/** Moves the application's clock ahead of everybody else's. */
const clockAhead = (seconds) => writeFileSync(join(scratch, 'ahead'), String(seconds))

/** Starts the application with a clock that can be moved. */
const startExample = (port, settings) =>
  startNext(port, {
    NODE_OPTIONS: `--require ${FOLDER}clock.cjs`,
    CLOCK_AHEAD: join(scratch, 'ahead'),
    FLAGBEARER_ISSUER: server.url,
    FLAGBEARER_FOLLOW_WATERMARK: 'true',
    ...settings,
  })

before(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'flagbearer-nextjs-'))
  server = await startFlagbearer()
  const port = await freePort()
  site = `http://localhost:${port}`
  application = await fill(server, site)
  application.FLAGBEARER_COOKIE_PASSWORD = randomBytes(32).toString('hex')
  next = await startExample(port, application)
  browser = await startBrowser()
  page = await browser.newPage()
  page.setDefaultTimeout(30_000)
})

beforeEach(() => clockAhead(0))

after(async () => {
  await browser?.close()
  await next?.end()
  await server?.stop()
  rmSync(scratch, { recursive: true, force: true })
})

const dashboard = () => page.goto(`${site}/dashboard`)
const text = () => page.locator('body').innerText()
const seen = async () => JSON.parse(await page.locator('#seen').innerText())
const isAtIssuer = () => new URL(page.url()).origin === server.url
const override = (flag, value) => server.call('PUT', `/flags/${flag}/organizations/${ORGANIZATION}?environment=production&confirm=claim-budget`, { value })

async function signIn() {
  assert.ok(isAtIssuer(), page.url())
  await enter(page)
  await page.waitForURL(`${site}/**`)
}

/** Calls a route from the page that the browser shows. */
const call = (path, body) =>
  page.evaluate(
    async ([path, body]) => {
      const response = await fetch(path, { method: 'POST', body: body && JSON.stringify(body) })
      return { status: response.status, body: await response.json() }
    },
    [path, body],
  )

/** The application's cookies, by what they are. */
async function cookies() {
  const all = (await page.context().cookies(site)).filter(({ name }) => name.startsWith('flagbearer-'))
  return { all, token: all.filter(({ name }) => name.startsWith('flagbearer-token.')).map(({ value }) => value).join('') }
}

/** Presses the button, and waits for what it says. */
async function refresh() {
  const said = page.waitForResponse(`${site}/api/auth/refresh`)
  await page.getByRole('button', { name: 'Refresh' }).click()
  return (await said).json()
}

test('the dashboard leads to the sign-in page, and back', async () => {
  await page.goto(site)
  assert.match(await text(), /Nobody is signed in/)
  await page.getByRole('link', { name: 'Dashboard' }).click()
  await page.waitForURL(`${server.url}/**`)
  await signIn()
  assert.equal(page.url(), `${site}/dashboard`)
  const shown = await text()
  assert.match(shown, /Signed in as alice@example.com/)
  assert.match(shown, /Token limit: 1000/)
  assert.doesNotMatch(shown, /New AI model/)
})

test('the browser reads the flags that were meant for it, of every type, and none of the cookies', async () => {
  assert.deepEqual(await seen(), {
    user: ALICE.email, boolean: false, integer: 1000, string: 'control', json: 0.7, kept: 'stays on the server',
  })
  assert.doesNotMatch(await page.content(), /ai_prompt_strategy/)
  assert.equal(await page.evaluate(() => document.cookie), '')
  const { all } = await cookies()
  assert.deepEqual(all.map(({ name }) => name).sort(), ['flagbearer-session', 'flagbearer-token.0'])
  for (const { httpOnly, sameSite, path, domain } of all) assert.deepEqual([httpOnly, sameSite, path, domain], [true, 'Lax', '/', 'localhost'])
})

test('the AI routes go by the flags, and are for those who are signed in', async () => {
  for (const path of ['chat', 'generate']) assert.equal((await fetch(`${site}/api/ai/${path}`, { method: 'POST', body: '{}' })).status, 401)
  const chat = await call('/api/ai/chat', { message: 'Hello', max_tokens: 3000 })
  assert.deepEqual([chat.status, chat.body.variant, chat.body.maxTokens], [200, 'standard', 1000])
  const { status, body } = await call('/api/ai/generate', { message: 'Hello' })
  assert.deepEqual([status, body.variant, body.maxTokens], [200, 'gpt-4o', 500])
})

test('changed rules are seen after a refresh, on the server and in the browser', async () => {
  await override('new_ai_model', true)
  await override('ai_token_limit', 5000)
  await override('prompt_variant', 'few_shot')
  await override('model_config', { temperature: 0, max_tokens: 1 })
  await override('ai_prompt_strategy', 'chain_of_thought')
  await override('ai_model_config', { model: 'gpt-5', temperature: 0, max_tokens: 900, system_prompt: '' })
  await dashboard()
  assert.match(await text(), /Token limit: 1000/)

  assert.deepEqual(await refresh(), { refreshed: true, changed: true })
  await page.getByText('Token limit: 5000 | Variant: few_shot | Temperature: 0').waitFor()
  await page.getByText('Flags have changed').waitFor()
  assert.deepEqual(await seen(), { user: ALICE.email, boolean: true, integer: 5000, string: 'few_shot', json: 0, kept: 'stays on the server' })
  const { body } = await call('/api/ai/chat', { message: 'Hello', max_tokens: 3000 })
  assert.deepEqual([body.variant, body.maxTokens], ['chain_of_thought', 3000])
  assert.equal((await call('/api/ai/generate', { message: 'Hello' })).body.variant, 'gpt-5')
  assert.deepEqual(await refresh(), { refreshed: true, changed: false })
})

test('a token is refreshed on the way to a page once a minute is left of it, and not before', async () => {
  await override('ai_token_limit', 6000)
  const { token } = await cookies()
  clockAhead(200)
  await dashboard()
  assert.equal((await cookies()).token, token)
  clockAhead(245)
  await dashboard()
  assert.notEqual((await cookies()).token, token)
  assert.match(await text(), /Token limit: 6000/, 'the very page that it was refreshed for has it')
})

test('pages that are asked for side by side with a token to refresh are all answered, and the session goes on', async () => {
  clockAhead(245)
  const statuses = await page.evaluate(() => Promise.all(Array.from({ length: 20 }, () => fetch('/dashboard').then(({ url, status }) => `${status} ${new URL(url).pathname}`))))
  assert.deepEqual(new Set(statuses), new Set(['200 /dashboard']))
  clockAhead(0)
  assert.equal((await refresh()).refreshed, true)
})

test('a killed flag is off at once, and a token that is too old is refreshed on the way', async () => {
  const limit = () => dashboard().then(text)
  await server.call('POST', '/flags/new_ai_model/environments/production/kill')
  while (/New AI model/.test(await limit()));
  await server.call('DELETE', '/flags/new_ai_model/environments/production/kill')
  await override('ai_token_limit', 7000)
  const { token } = await cookies()
  await server.call('POST', '/environments/production/min-revision')
  while (!/Token limit: 7000/.test(await limit()));
  assert.notEqual((await cookies()).token, token)
})

test('with the server gone the last token stays in use, the page says so, and nobody is signed out', async () => {
  await dashboard()
  const { token } = await cookies()
  await server.kill()
  clockAhead(250)
  await dashboard()
  assert.match(await text(), /Token limit: 7000/)
  assert.match(await text(), /The flags may be old: ISSUER_UNAVAILABLE/)
  const { code, retryAfter } = await refresh()
  assert.equal(code, 'ISSUER_UNAVAILABLE')
  assert.ok(retryAfter >= 1 && retryAfter <= 5)
  assert.equal((await cookies()).token, token)
  assert.match(next.output, /flagbearer: ISSUER_UNAVAILABLE/)

  // Whoever comes back from the sign-in page now is told so.
  const begun = await fetch(`${site}/api/auth/sign-in`, { redirect: 'manual' })
  const [signIn] = begun.headers.getSetCookie()[0].split(';')
  const state = new URL(begun.headers.get('location')).searchParams.get('state')
  const returned = await fetch(`${site}/api/auth/callback?${new URLSearchParams({ code: 'x', state, iss: server.url })}`, { headers: { cookie: signIn } })
  assert.equal(returned.status, 503)
  assert.match(await returned.text(), /<p>ISSUER_UNAVAILABLE: nobody can be signed in at the moment/)

  // A process that was only just started has no keys: what reads no flags is there, with a token to refresh and without.
  const { all } = await cookies()
  const cookie = all.map(({ name, value }) => `${name}=${value}`).join('; ')
  const late = await freePort()
  const fresh = await startExample(late, application)
  try {
    for (const seconds of [0, 250]) {
      clockAhead(seconds)
      assert.equal((await fetch(`http://localhost:${late}/api/edge`, { headers: { cookie } })).status, 401)
      assert.equal((await fetch(`http://localhost:${late}/dashboard`, { headers: { cookie } })).status, 500)
    }
    assert.match(fresh.output, /flagbearer: KEYS_UNAVAILABLE/)
  } finally {
    await fresh.end()
  }

  // After its end it is good for nothing any more, but the session is not forgotten.
  clockAhead(400)
  const { status, url } = await page.evaluate(() => fetch('/dashboard', { redirect: 'manual' }).then(({ status, type }) => ({ status, url: type })))
  assert.deepEqual([status, url], [0, 'opaqueredirect'])
  await server.startAgain()
  clockAhead(0)
  await dashboard()
  assert.equal((await refresh()).refreshed, true)
  assert.match(await text(), /Token limit: 7000/)
})

test('a claim beyond one cookie is kept in several, and one beyond all limits is refused loudly', async () => {
  const large = (length) => override('ai_model_config', { model: 'x'.repeat(length), temperature: 0, max_tokens: 900, system_prompt: '' })
  await large(6000)
  assert.equal((await refresh()).refreshed, true)
  assert.equal((await call('/api/ai/generate', { message: 'Hello' })).body.variant.length, 6000)
  const { all } = await cookies()
  assert.deepEqual(all.map(({ name }) => name).sort(), ['flagbearer-session', 'flagbearer-token.0', 'flagbearer-token.1', 'flagbearer-token.2'])
  for (const { name, value } of all) assert.ok(name.length + value.length <= 4096)

  // As much as the limit leaves room for: base64 makes four bytes of three, and the flag has its key and the cookie its name.
  const sent = (all) => all.map(({ name, value }) => `${name}=${value}`).join('; ').length
  const room = Math.floor(((14 * 1024 - sent(all) - '; flagbearer-token.3='.length) * 3) / 4) - ',"more":{"t":"s","v":""}'.length - 10
  await server.call('POST', '/flags?confirm=claim-budget', { key: 'more', type: 'string', default_value: 'x'.repeat(room) })
  assert.equal((await refresh()).refreshed, true)
  const { all: full, token: last } = await cookies()
  assert.ok(sent(full) > 14 * 1024 - 100, `${sent(full)} bytes`)
  assert.equal((await dashboard()).status(), 200, 'the server takes all that is let through')
  assert.equal((await fetch(site, { headers: { cookie: 'a='.padEnd(16 * 1024, 'x') } })).status, 431, 'and why there is a limit')

  await server.call('PATCH', '/flags/more?confirm=claim-budget', { default_value: 'x'.repeat(room + 100) })
  assert.equal(await page.evaluate(() => fetch('/api/auth/refresh', { method: 'POST' }).then(({ status }) => status)), 500)
  await page.getByRole('button', { name: 'Refresh' }).click()
  await page.getByText('APPLICATION_UNAVAILABLE').waitFor()
  assert.match(next.output, /COOKIE_TOO_LARGE/)
  assert.match(next.output, /the cookies of this site would have \d{5} bytes together/)
  assert.equal((await cookies()).token, last, 'nothing was set')

  await server.call('DELETE', '/flags/more?confirm=more')
  await large(10)
  assert.equal((await refresh()).refreshed, true)
  assert.deepEqual((await cookies()).all.map(({ name }) => name).sort(), ['flagbearer-session', 'flagbearer-token.0'], 'what is not needed goes')
})

test('what changes something is for pages of the application itself', async () => {
  const { all } = await cookies()
  const cookie = all.map(({ name, value }) => `${name}=${value}`).join('; ')
  for (const path of ['refresh', 'sign-out']) {
    const post = (headers) => fetch(`${site}/api/auth/${path}`, { method: 'POST', redirect: 'manual', headers: { cookie, ...headers } })
    for (const headers of [{}, { origin: 'https://evil.example' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site', origin: site }, { 'sec-fetch-site': 'same-site' }]) {
      const response = await post(headers)
      assert.deepEqual([response.status, (await response.json()).code], [403, 'REQUEST_FOREIGN'])
      assert.deepEqual(response.headers.getSetCookie(), [])
    }
    assert.equal((await fetch(`${site}/api/auth/${path}`)).status, 404, 'and not for links')
  }
  assert.equal((await fetch(`${site}/api/auth/constructor`)).status, 404)
})

test('a sign-in leads to no other site, and is finished by nobody but the browser that began it', async () => {
  const begin = async (query = '') => {
    const response = await fetch(`${site}/api/auth/sign-in${query}`, { redirect: 'manual' })
    const [cookie] = response.headers.getSetCookie()[0].split(';')
    return { cookie, target: new URL(response.headers.get('location')) }
  }
  const { cookie, target } = await begin()
  assert.equal(target.origin + target.pathname, `${server.url}/oauth2/auth`)
  assert.equal(target.searchParams.get('code_challenge_method'), 'S256')
  const state = target.searchParams.get('state')
  const answer = async (query, cookie) => {
    const response = await fetch(`${site}/api/auth/callback?${new URLSearchParams(query)}`, { redirect: 'manual', headers: { cookie } })
    assert.equal(response.headers.getSetCookie().some((line) => /^flagbearer-(session|token)/.test(line)), false)
    return [response.status, /<p>([A-Z_]+)/.exec(await response.text())?.[1]]
  }
  const iss = server.url
  const other = await begin()
  assert.deepEqual(await answer({ code: 'x', state, iss }, ''), [400, 'STATE_UNKNOWN'])
  assert.deepEqual(await answer({ code: 'x', state, iss }, other.cookie), [400, 'STATE_UNKNOWN'])
  assert.deepEqual(await answer({ code: 'x', state: state.slice(0, 8), iss }, cookie), [400, 'STATE_UNKNOWN'])
  assert.deepEqual(await answer({ code: 'x', iss }, cookie), [400, 'STATE_UNKNOWN'])
  assert.deepEqual(await answer({ code: 'x', state }, cookie), [400, 'ISSUER_MISMATCH'])
  assert.deepEqual(await answer({ code: 'x', state, iss: 'https://evil.example' }, cookie), [400, 'ISSUER_MISMATCH'])
  assert.deepEqual(await answer({ error: 'access_denied', state, iss }, cookie), [400, 'SIGN_IN_REFUSED'])
  assert.deepEqual(await answer({ code: 'x', state, iss }, cookie), [400, 'GRANT_REFUSED'])
  clockAhead(3601)
  assert.deepEqual(await answer({ code: 'x', state, iss }, cookie), [400, 'STATE_UNKNOWN'])
  clockAhead(0)

  // Alice is signed in at the issuer, and comes straight back: to where, is the question.
  for (const [asked, path] of [
    ['/dashboard?a=1#b', '/dashboard?a=1#b'],
    ['https://evil.example/', '/'],
    ['//evil.example/', '/'],
    ['/\\evil.example/', '/'],
    [`${site}//evil.example/x`, '//evil.example/x'],
    [`${site}@evil.example/`, '/'],
    ['javascript:alert(1)', '/'],
    ['\t//evil.example', '/'],
    [`/${'x'.repeat(5000)}`, '/'],
  ]) {
    const back = page.waitForResponse((response) => response.url().startsWith(`${site}/api/auth/callback?`))
    await page.goto(`${site}/api/auth/sign-in?return_to=${encodeURIComponent(asked)}`)
    const left = (await back).headers().location
    assert.equal(new URL(page.url()).origin, site, asked)
    assert.equal(left, site + path, asked)
  }
})

test('no number of links to the sign-in shuts anybody out, however long their addresses', async () => {
  const jar = new Map((await cookies()).all.map(({ name, value }) => [name, value]))
  const header = () => [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
  const ask = async (address, init) => {
    const response = await fetch(address, { redirect: 'manual', ...init, headers: { cookie: header(), ...init?.headers } })
    for (const line of response.headers.getSetCookie()) {
      const [name, value] = line.split(';')[0].split(/=(.*)/s)
      if (/Max-Age=0/.test(line)) jar.delete(name)
      else jar.set(name, value)
    }
    return response
  }
  const begin = async (length) => {
    const response = await ask(`${site}/api/auth/sign-in?return_to=/${'x'.repeat(length)}`)
    assert.equal(response.status, 303)
    return new URL(response.headers.get('location')).searchParams.get('state')
  }
  for (const length of [2000, 2000, 2000, 2000, 2000, 10, 10, 10, 5000]) await begin(length)
  const signIns = () => [...jar].filter(([name]) => name.startsWith('flagbearer-sign-in.'))
  const bytes = signIns().reduce((sum, [, value]) => sum + value.length, 0)
  assert.ok(signIns().length > 1 && bytes <= 4096, `${signIns().length} sign-ins of ${bytes} bytes`)

  // Where cookies are short of room the session comes first.
  await begin(2000)
  jar.set('other', 'x'.repeat(14 * 1024 - header().length - '; other='.length))
  assert.equal(header().length, 14 * 1024)
  const value = { model: 'x'.repeat(500), temperature: 0, max_tokens: 900, system_prompt: '' }
  await override('ai_model_config', value)
  const response = await ask(`${site}/api/auth/refresh`, { method: 'POST', headers: { origin: site } })
  assert.deepEqual(await response.json(), { refreshed: true, changed: true })
  assert.deepEqual(signIns(), [])
  assert.ok(header().length <= 14 * 1024)
})

test('a session that was ended at the server is over with its next refresh', async () => {
  await dashboard()
  await server.call('DELETE', `/sessions?user=${ALICE_ID}&environment=production`)
  await dashboard()
  assert.equal(page.url(), `${site}/dashboard`, 'its token is good until it expires')
  clockAhead(245)
  const redirects = []
  page.on('request', (request) => redirects.push(new URL(request.url()).pathname))
  await dashboard()
  page.removeAllListeners('request')
  // The dashboard sends her to sign in; whether with her password again or not is the issuer's to say.
  assert.ok(redirects.includes('/api/auth/sign-in'), redirects.join(' '))
  clockAhead(0)
  if (isAtIssuer()) await signIn()
  await dashboard()
  assert.match(await text(), /Signed in as alice@example.com/)
})

test('a route in the Edge runtime reads the flags of a bearer token, and refuses others with the same codes', async () => {
  const session = { application: application.FLAGBEARER_CLIENT_ID, user: ALICE_ID, organization: ORGANIZATION }
  const { access_token: token, session_id: id } = await server.call('POST', '/sessions', session)
  // Her session in the browser goes on to be her only one.
  await server.call('DELETE', `/sessions/${id}`)
  const ask = async (token) => (await fetch(`${site}/api/edge`, { headers: { authorization: `Bearer ${token}` } })).json()
  const { flags } = await ask(token)
  const carried = JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).feature_flags
  assert.deepEqual(flags, Object.fromEntries(Object.entries(carried).map(([key, { v }]) => [key, v])))
  assert.equal((await ask('garbage')).code, 'TOKEN_MALFORMED')
  assert.equal((await ask(token.replace(/\.[^.]*$/, '.AAAA'))).code, 'SIGNATURE_INVALID')
})

test('signing out ends it in the application and at the issuer', async () => {
  await dashboard()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.waitForURL(`${site}/`)
  assert.match(await text(), /Nobody is signed in/)
  assert.deepEqual((await cookies()).all.filter(({ name }) => !name.includes('sign-in')), [])
  assert.deepEqual((await server.call('GET', `/sessions?user=${ALICE_ID}&environment=production`)).data, [])
  await dashboard()
  assert.ok(isAtIssuer())
  assert.equal(await page.locator('input[name=password]').count(), 1)
})

test('on a site with TLS cookies are for that host alone, and one without is refused', async () => {
  const at = async (settings) => {
    const port = await freePort()
    const other = await startExample(port, { ...application, ...settings })
    try {
      const response = await fetch(`http://localhost:${port}/api/auth/sign-in`, { redirect: 'manual' })
      return { status: response.status, cookies: response.headers.getSetCookie(), location: response.headers.get('location'), other }
    } finally {
      await other.end()
    }
  }
  const { status, cookies, location } = await at({ FLAGBEARER_SITE_URL: 'https://app.example.com', FLAGBEARER_FOLLOW_WATERMARK: '' })
  assert.equal(status, 303)
  assert.match(cookies.join(), /^__Host-flagbearer-sign-in\.[\w-]{8}=Fe26[^;]+; Path=\/; Expires=[^;]+; Max-Age=3600; Secure; HttpOnly; SameSite=lax$/)
  assert.equal(new URL(location).searchParams.get('redirect_uri'), 'https://app.example.com/api/auth/callback')
  for (const [settings, said] of [
    [{ FLAGBEARER_SITE_URL: 'http://app.example.com' }, /sessions need https, or http on localhost/],
    [{ FLAGBEARER_SITE_URL: 'https://app.example.com/below' }, /has to be an origin, without a path/],
    [{ FLAGBEARER_COOKIE_PASSWORD: 'passwordpasswordpasswordpassword' }, /it needs 32 random ones: make it with `openssl rand -hex 32`/],
    [{ FLAGBEARER_ISSUER: `${server.url}/` }, /FLAGBEARER_ISSUER is `\S+\/`: leave out the slash at its end/],
    [{ FLAGBEARER_FOLLOW_WATERMARK: 'yes' }, /FLAGBEARER_FOLLOW_WATERMARK is `yes`, and has to be `true` or `false`/],
    [{ FLAGBEARER_CLIENT_ID: '' }, /the variable FLAGBEARER_CLIENT_ID is required/],
  ]) {
    const { status, other } = await at(settings)
    assert.equal(status, 500)
    assert.match(other.output, said)
    assert.match(other.output, /CONFIGURATION_INVALID/)
  }
})

test('the routes are found as Next.js names them below a base path or with a slash behind, and nowhere else', async () => {
  Object.assign(process.env, application, {
    FLAGBEARER_ISSUER: server.url, FLAGBEARER_SITE_URL: 'https://app.example.com', FLAGBEARER_AUTH_PATH: '/shop/api/auth',
    FLAGBEARER_COOKIE_PASSWORD: randomBytes(32).toString('hex'),
  })
  const { handleAuth } = await import('@flagbearer/node/nextjs')
  const ask = (path) => handleAuth().GET(new Request(`http://localhost:3000${path}`))
  for (const path of ['/api/auth/sign-in', '/api/auth/sign-in/', '/shop/api/auth/sign-in']) {
    const response = await ask(path)
    assert.equal(response.status, 303, path)
    const target = new URL(response.headers.get('location'))
    assert.equal(target.searchParams.get('redirect_uri'), 'https://app.example.com/shop/api/auth/callback')
  }
  for (const path of ['/api/auth/', '/api/auth/constructor', '/api/auth/sign-out', '/api/auth/sign-in/more', '/other/sign-in', '/']) {
    const response = await ask(path)
    assert.deepEqual([response.status, (await response.json()).code], [404, 'ROUTE_UNKNOWN'], path)
  }
})

test('one command starts all of it', async () => {
  const port = await freePort()
  const started = await run(['start.js'], { PATH: process.env.PATH, PORT: port, FLAGBEARER_BINARY: process.env.FLAGBEARER_BINARY ?? '' })
  try {
    assert.match(started.output, /sign in as alice@example\.com/)
    const somebody = await (await browser.newContext()).newPage()
    await somebody.goto(`http://localhost:${port}/dashboard`)
    await enter(somebody)
    await somebody.getByText('Standard features').waitFor()
  } finally {
    assert.equal(await started.end(), 0)
  }
})
