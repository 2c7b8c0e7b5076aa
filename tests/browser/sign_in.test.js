// The sign-in pages in a real Chromium: what no client without a screen can tell is whether a browser goes along with the
// content security policy, the cookies and the redirects, and what a page looks like. With SCREENSHOTS=<folder> it leaves
// pictures there for people to look at.

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { chromium } from 'playwright-core'
import { startFlagbearer } from '../../examples/hono/flagbearer.js'

const PASSWORD = 'planted-password-of-a-user'
const { SCREENSHOTS, CHROMIUM = '/usr/bin/chromium' } = process.env

let server, browser, application, home, callback
const arrived = []

const listening = (handler) =>
  new Promise((resolve) => {
    const listener = createServer(handler).listen(0, '127.0.0.1', () => resolve(listener))
  })

before(async () => {
  server = await startFlagbearer()
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-background-networking'] })
  // The application takes the code at one address and shows itself at another, as many do.
  home = await listening((_, response) => response.end('the application'))
  callback = await listening((request, response) => {
    arrived.push(new URL(request.url, 'http://127.0.0.1'))
    response.writeHead(302, { location: `http://localhost:${home.address().port}/` }).end()
  })
  const redirect = `http://127.0.0.1:${callback.address().port}/callback`
  const { client_id } = await server.call('POST', '/applications', {
    name: 'Scribe',
    environment: 'production',
    public: true,
    redirect_uris: ['http://127.0.0.1/callback'],
    logout_uris: [redirect],
    branding: { name: 'Scribe for Teams', colour: '#0b7a5c' },
  })
  application = { client_id, redirect_uri: redirect }
  for (const id of ['org_a', 'org_b']) await server.call('POST', '/organizations', { id, name: `Organization ${id.slice(-1)}` })
  for (const [user, organizations] of [['alice', []], ['bob', ['org_a', 'org_b']]]) {
    await server.call('POST', '/users', { id: user, email: `${user}@example.com`, password: PASSWORD })
    for (const organization of organizations) await server.call('PUT', `/organizations/${organization}/members/${user}`, {})
  }
  await server.call('PATCH', '/environments/production', { sign_up: true })
})

after(async () => {
  await browser?.close()
  home?.close()
  callback?.close()
  await server?.stop()
})

function authorization(more = {}) {
  const verifier = randomBytes(32).toString('base64url')
  const parameters = {
    ...application,
    response_type: 'code',
    state: 'Fe26.2*1~x',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...more,
  }
  return { verifier, url: `${server.url}/oauth2/auth?${new URLSearchParams(parameters)}` }
}

/** A page of a new profile, and what its console complained of. */
async function opened(options = {}) {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  const complaints = []
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()))
  return { context, page, complaints }
}

async function fill(page, fields) {
  for (const [label, value] of Object.entries(fields)) await page.getByLabel(label).fill(value)
}

async function redeem(verifier) {
  const code = arrived.at(-1).searchParams.get('code')
  const form = { ...application, grant_type: 'authorization_code', code, code_verifier: verifier }
  const response = await fetch(`${server.url}/oauth2/token`, { method: 'POST', body: new URLSearchParams(form) })
  return response.json()
}

test('a user signs in with the keyboard alone, without JavaScript, and is on in the application', async () => {
  const { page, complaints, context } = await opened({ javaScriptEnabled: false })
  const { url, verifier } = authorization()
  await page.goto(url)
  assert.equal(await page.title(), 'Sign in to Scribe for Teams')
  await page.keyboard.type('alice@example.com')
  await page.keyboard.press('Tab')
  await page.keyboard.type(PASSWORD)
  await page.keyboard.press('Enter')
  await page.waitForURL(`http://localhost:${home.address().port}/`)
  assert.equal(arrived.at(-1).searchParams.get('state'), 'Fe26.2*1~x')
  const tokens = await redeem(verifier)
  assert.ok(tokens.access_token, JSON.stringify(tokens))
  assert.deepEqual(complaints, [])

  // Signed in once, the next application asks nothing.
  const count = arrived.length
  await page.goto(authorization().url)
  assert.equal(page.url(), `http://localhost:${home.address().port}/`)
  assert.equal(arrived.length, count + 1)

  await page.goto(`${server.url}/logout?redirect=${encodeURIComponent(application.redirect_uri)}`)
  await page.goto(authorization().url)
  assert.equal(new URL(page.url()).pathname, '/sign-in')
  await context.close()
})

test('who entered something wrong is told what, where, and can go on', async () => {
  const { page, complaints, context } = await opened()
  await page.goto(authorization().url)
  await fill(page, { Email: 'alice@example.com', Password: 'planted-wrong-password' })
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('alert').waitFor()
  assert.match(await page.title(), /^Error: /)
  assert.equal(await page.getByLabel('Email').inputValue(), 'alice@example.com')
  assert.equal(await page.getByLabel('Password').inputValue(), '')
  assert.equal(await page.evaluate(() => document.activeElement.id), 'password')
  await fill(page, { Password: PASSWORD })
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL(`http://localhost:${home.address().port}/`)
  assert.deepEqual(complaints.filter((text) => !text.includes('422')), [])
  await context.close()
})

test('a user of several organizations chooses one', async () => {
  const { page, complaints, context } = await opened()
  const { url, verifier } = authorization()
  await page.goto(url)
  await fill(page, { Email: 'bob@example.com', Password: PASSWORD })
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('button', { name: 'Organization b' }).click()
  await page.waitForURL(`http://localhost:${home.address().port}/`)
  const { access_token: token } = await redeem(verifier)
  assert.equal(JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).org_id, 'org_b')
  assert.deepEqual(complaints, [])
  await context.close()
})

test('a new user makes an account', async () => {
  const { page, complaints, context } = await opened()
  const { url, verifier } = authorization()
  await page.goto(url)
  await page.getByRole('link', { name: 'Create one' }).click()
  await fill(page, { 'Name (optional)': 'Carol', Email: 'carol@example.com', Password: PASSWORD })
  await page.getByRole('button', { name: 'Create account' }).click()
  await page.waitForURL(`http://localhost:${home.address().port}/`)
  assert.ok((await redeem(verifier)).access_token)
  assert.deepEqual(complaints, [])
  await context.close()
})

/** Relative luminance and contrast (WCAG 2.2). */
const contrast = (one, other) => {
  const luminance = (colour) => {
    const [r, g, b] = colour.match(/[\d.]+/g).map((value) => {
      const share = value / 255
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a)
  return (high + 0.05) / (low + 0.05)
}

test('every page can be read, light and dark, wide and narrow, and nothing sticks out', async () => {
  const { url: link } = await server.call('POST', '/users/alice/password-reset', {})
  for (const colorScheme of ['light', 'dark']) {
    for (const [width, viewport] of [['wide', { width: 1280, height: 800 }], ['narrow', { width: 320, height: 640 }]]) {
      const { page, context } = await opened({ colorScheme, viewport })
      const seen = async (name) => {
        if (SCREENSHOTS) await page.screenshot({ path: join(SCREENSHOTS, `${name}-${width}-${colorScheme}.png`) })
        const facts = await page.evaluate(() => ({
          sticksOut: document.documentElement.scrollWidth > document.documentElement.clientWidth,
          texts: Array.from(document.querySelectorAll('h1, p, label, a, button, .problem p'), (element) => {
            let behind = element
            while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement
            return [element.textContent, getComputedStyle(element).color, getComputedStyle(behind).backgroundColor]
          }),
        }))
        assert.ok(!facts.sticksOut, `${name} ${width}`)
        for (const [text, colour, ground] of facts.texts) {
          assert.ok(contrast(colour, ground) >= 4.5, `${name} ${colorScheme}: \`${text}\` is ${colour} on ${ground}`)
        }
      }
      await page.goto(authorization().url)
      await seen('sign-in')
      await fill(page, { Email: 'alice@example.com', Password: 'planted-wrong-password' })
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByRole('alert').waitFor()
      await seen('sign-in-refused')
      await page.getByRole('link', { name: 'Create one' }).click()
      await seen('sign-up')
      await page.goto(authorization().url)
      await fill(page, { Email: 'bob@example.com', Password: PASSWORD })
      await page.getByRole('button', { name: 'Sign in' }).click()
      await seen('organization')
      await page.goto(link)
      await seen('reset-password')
      await page.goto(`${server.url}/oauth2/auth?client_id=unknown`)
      await seen('error')
      await page.goto(`${server.url}/logout`)
      await seen('signed-out')
      await context.close()
    }
  }
})
