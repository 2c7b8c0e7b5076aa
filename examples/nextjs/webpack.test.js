// The example built with webpack instead of Turbopack, behind a proxy that speaks https, on a name that browsers do not treat as
// localhost; with one page more, which hands every flag to the browser, and with slashes behind all of its addresses.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:https'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { startFlagbearer } from '../hono/flagbearer.js'
import { FOLDER, NEXT, enter, freePort, startBrowser, startNext } from './harness.js'
import { ALICE, ORGANIZATION, fill } from './sample.js'

const HOST = 'app.example.com'

let scratch
let server
let proxy
let site
let next
let browser
let page

/** A proxy as it stands before an application: TLS ends here, and the application is told so. */
async function startProxy(target) {
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(scratch, name))
  const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', `/CN=${HOST}`, '-keyout', key, '-out', cert]
  execFileSync('openssl', made, { stdio: 'pipe' })
  const tls = { key: readFileSync(key), cert: readFileSync(cert) }
  const listener = createServer(tls, (asked, answer) => {
    const headers = { ...asked.headers, 'x-forwarded-proto': 'https', 'x-forwarded-host': asked.headers.host }
    const passed = request({ host: 'localhost', port: target, path: asked.url, method: asked.method, headers }, (came) => {
      answer.writeHead(came.statusCode, came.rawHeaders)
      came.pipe(answer)
    })
    passed.on('error', () => answer.destroy())
    asked.pipe(passed)
  }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return listener
}

/** The application in a folder of its own, built. */
function build() {
  const folder = join(scratch, 'app')
  for (const name of ['app', 'proxy.ts', 'next.config.mjs', 'package.json', 'tsconfig.json']) {
    cpSync(FOLDER + name, join(folder, name), { recursive: true })
  }
  cpSync(`${FOLDER}test-pages`, join(folder, 'app'), { recursive: true })
  renameSync(join(folder, 'next.config.mjs'), join(folder, 'usual.config.mjs'))
  writeFileSync(join(folder, 'next.config.mjs'), "import usual from './usual.config.mjs'\nexport default { ...usual, trailingSlash: true }\n")
  symlinkSync(`${FOLDER}node_modules`, join(folder, 'node_modules'))
  const env = { PATH: process.env.PATH, NEXT_TELEMETRY_DISABLED: '1' }
  execFileSync(process.execPath, [NEXT, 'build', '--webpack'], { cwd: folder, env, stdio: 'pipe' })
  return folder
}

before(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'flagbearer-nextjs-webpack-'))
  const folder = build()
  const port = await freePort()
  server = await startFlagbearer()
  proxy = await startProxy(port)
  site = `https://${HOST}:${proxy.address().port}`
  const application = await fill(server, site)
  next = await startNext(port, { FLAGBEARER_ISSUER: server.url, FLAGBEARER_SITE_URL: site, ...application }, folder)
  browser = await startBrowser(`--host-resolver-rules=MAP ${HOST} 127.0.0.1`)
  page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage()
  page.setDefaultTimeout(30_000)
})

after(async () => {
  await browser?.close()
  await next?.end()
  proxy?.close()
  await server?.stop()
  rmSync(scratch, { recursive: true, force: true })
})

const seen = async () => JSON.parse(await page.locator('#all').innerText())
const cookies = async () => (await page.context().cookies(site)).filter(({ name }) => name.includes('flagbearer'))

test('before anybody has signed in every read in the browser answers its default', async () => {
  await page.goto(`${site}/all`)
  assert.deepEqual(await seen(), { isAuthenticated: false, organization: null, flags: {}, missing: 'the default' })
})

test('users sign in over https, with cookies that are for this host alone', async () => {
  await page.goto(`${site}/dashboard`)
  assert.equal(new URL(page.url()).origin, server.url)
  await enter(page)
  await page.waitForURL(`${site}/dashboard/`)
  await page.getByText(`Signed in as ${ALICE.email}`).waitFor()
  const set = await cookies()
  assert.deepEqual(set.map(({ name }) => name).sort(), ['__Host-flagbearer-session', '__Host-flagbearer-token.0'])
  for (const { secure, httpOnly, sameSite, path, domain } of set) {
    assert.deepEqual([secure, httpOnly, sameSite, path, domain], [true, true, 'Lax', '/', HOST])
  }
})

test('every flag of the token is read in the browser where the server hands over all', async () => {
  await page.goto(`${site}/all`)
  assert.deepEqual(await seen(), {
    isAuthenticated: true,
    organization: ORGANIZATION,
    flags: {
      new_ai_model: false,
      ai_token_limit: 1000,
      prompt_variant: 'control',
      model_config: { temperature: 0.7, max_tokens: 500 },
      ai_prompt_strategy: 'standard',
      ai_model_config: { model: 'gpt-4o', temperature: 0.7, max_tokens: 500, system_prompt: 'You are a helpful AI assistant.' },
    },
    missing: 'the default',
  })
})

test('a refresh and the end of the session replace and take those cookies', async () => {
  const value = { model: 'x'.repeat(6000), temperature: 0, max_tokens: 900, system_prompt: '' }
  await server.call('PUT', `/flags/ai_model_config/organizations/${ORGANIZATION}?environment=production&confirm=claim-budget`, { value })
  await page.goto(`${site}/dashboard`)
  await page.getByRole('button', { name: 'Refresh' }).click()
  await page.getByText('Flags have changed').waitFor()
  const chunks = [0, 1, 2].map((number) => `__Host-flagbearer-token.${number}`)
  assert.deepEqual((await cookies()).map(({ name }) => name).sort(), ['__Host-flagbearer-session', ...chunks])
  await page.goto(`${site}/all`)
  assert.deepEqual((await seen()).flags.ai_model_config, value)

  await page.goto(`${site}/dashboard`)
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.waitForURL(`${site}/`)
  await page.getByText('Nobody is signed in').waitFor()
  assert.deepEqual(await cookies(), [])
})
