'use strict'

// The routes of signing in and out: `GET sign-in`, `GET callback`, `POST refresh`, `POST sign-out`. Users come to the first two
// by links; the other two change something and are posted by the application's own pages alone.

const { createHash, randomBytes } = require('node:crypto')
const { NextResponse } = require('next/server')
const { drop, dropSession, jarOf, readSession, readSignIn, signInCookie, writeSession, writeSignIn } = require('./cookies.js')
const { refresh, warn } = require('./refresh.js')
const { settings } = require('./settings.js')

const random = () => randomBytes(32).toString('base64url')

/** What an application may add to a sign-in: another organization, a form to begin with, an address to fill in. */
const PASSED_ON = ['organization_id', 'prompt', 'login_hint', 'screen_hint']

/** The longest address that somebody is led back to, since it travels in a cookie. */
const MAX_RETURN_TO = 2048

/** An address within this application, whatever was asked for. */
function within({ origin }, address) {
  let url
  try {
    url = new URL(address ?? '/', origin)
  } catch {
    return '/'
  }
  const path = `${url.pathname}${url.search}${url.hash}`
  return url.origin === origin && path.length <= MAX_RETURN_TO ? path : '/'
}

/** An answer that nobody keeps, with these cookies. */
function answered(response, cookies) {
  for (const cookie of cookies) response.cookies.set(cookie)
  response.headers.set('cache-control', 'no-store')
  return response
}

const redirect = (address, cookies) => answered(NextResponse.redirect(address, 303), cookies)

function signIn(request, settled) {
  const { clientId, issuer, origin, redirectUri } = settled
  const { searchParams } = new URL(request.url)
  const begun = { state: random(), nonce: random(), codeVerifier: random(), returnTo: within(settled, searchParams.get('return_to')) }
  const target = new URL(`${issuer}/oauth2/auth`)
  target.search = new URLSearchParams({
    response_type: 'code',
    client_id: clientId,
    redirect_uri: redirectUri,
    scope: 'openid profile email offline_access',
    state: begun.state,
    nonce: begun.nonce,
    code_challenge: createHash('sha256').update(begun.codeVerifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...Object.fromEntries(PASSED_ON.filter((name) => searchParams.has(name)).map((name) => [name, searchParams.get(name)])),
  })
  return redirect(target, writeSignIn(settled, jarOf(request.headers), begun))
}

async function callback(request, settled) {
  const { clientId, flagbearer, issuer, origin, redirectUri } = settled
  const { searchParams } = new URL(request.url)
  const jar = jarOf(request.headers)
  const state = searchParams.get('state') ?? ''
  const begun = readSignIn(settled, jar, state)
  if (begun === undefined) return failed(settled, 400, 'STATE_UNKNOWN', 'this sign-in was not begun in this browser, or too long ago')
  const done = drop(settled, [signInCookie(settled, state)])
  // An answer of another issuer must not be taken for one of ours (RFC 9207).
  if (searchParams.get('iss') !== issuer) return failed(settled, 400, 'ISSUER_MISMATCH', 'the answer is not of the issuer that was asked', done)
  const code = searchParams.get('code')
  if (code === null) return failed(settled, 400, 'SIGN_IN_REFUSED', 'the issuer signs nobody in this time', done)
  try {
    const { nonce, codeVerifier, returnTo } = begun
    const { user, ...tokens } = await flagbearer.exchangeCode({ clientId, code, codeVerifier, redirectUri, nonce })
    const cookies = writeSession(settled, jar, { ...tokens, user: described(user) })
    return redirect(new URL(`${origin}${returnTo}`), [...cookies, ...done])
  } catch (error) {
    const { code, message, retryAfter } = error
    if (code === 'GRANT_REFUSED') return failed(settled, 400, code, 'this sign-in was finished before, or too long ago', done)
    // Everything else is for whoever runs the application to see.
    if (code !== 'ISSUER_UNAVAILABLE' && code !== 'KEYS_UNAVAILABLE') throw error
    warn(settled, code, message, retryAfter)
    return failed(settled, 503, code, 'nobody can be signed in at the moment; try again shortly', done)
  }
}

/** What an ID token says of its user. */
function described({ sub, email, name, given_name, family_name, picture }) {
  const given = { id: sub, email, name, given_name, family_name, picture }
  return Object.fromEntries(Object.entries(given).map(([member, value]) => [member, value ?? null]))
}

/** A page for somebody whose sign-in went wrong. Nothing on it comes from the request. */
function failed({ authPath }, status, code, message, cookies = []) {
  const page = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>Not signed in</title>
<h1>You are not signed in</h1><p>${code}: ${message}.</p><p><a href="${authPath}/sign-in">Sign in again</a></p></html>`
  const headers = { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': "default-src 'none'" }
  return answered(new NextResponse(page, { status, headers }), cookies)
}

/** Whether a page of this application has posted this. */
function isOurs({ headers }, { origin }) {
  const from = headers.get('sec-fetch-site')
  return from === null ? headers.get('origin') === origin : from === 'same-origin'
}

const json = (body, status, cookies, headers) => answered(NextResponse.json(body, { status, headers }), cookies)

async function refreshed(request, settled) {
  const jar = jarOf(request.headers)
  const session = readSession(settled, jar)
  if (session === undefined) return json({ refreshed: false, code: 'SEALED_SESSION_INVALID', message: 'nobody is signed in' }, 401, dropSession(settled, jar))
  const { cookies, changed, code, message, retryAfter, over } = await refresh(settled, jar, session)
  if (code === undefined) return json({ refreshed: true, changed }, 200, cookies)
  const headers = retryAfter && { 'retry-after': String(retryAfter) }
  return json({ refreshed: false, code, message, retryAfter }, over ? 401 : 503, cookies, headers)
}

async function signOut(request, settled) {
  const { clientId, flagbearer, issuer, origin } = settled
  const jar = jarOf(request.headers)
  const session = readSession(settled, jar)
  const told = session === undefined || (await flagbearer.revoke(session))
  const leave = new URL(`${issuer}/logout`)
  leave.search = new URLSearchParams({ client_id: clientId, post_logout_redirect_uri: origin })
  // Where the issuer is away, its page would be the last that the user sees.
  return redirect(told ? leave : new URL('/', origin), dropSession(settled, jar))
}

const ROUTES = {
  GET: { 'sign-in': signIn, callback },
  POST: { refresh: refreshed, 'sign-out': signOut },
}

function handler(method) {
  return async (request) => {
    const settled = settings()
    // As Next.js tells it: with a slash behind it under `trailingSlash`, and without the `basePath`.
    const pathname = new URL(request.url).pathname.replace(/\/$/, '')
    const action = pathname.slice(pathname.lastIndexOf('/') + 1)
    const route = Object.hasOwn(ROUTES[method], action) && ROUTES[method][action]
    if (!route || !`${settled.authPath}/${action}`.endsWith(pathname)) {
      const message = `the routes are GET sign-in, GET callback, POST refresh and POST sign-out, below ${settled.authPath}`
      return json({ code: 'ROUTE_UNKNOWN', message }, 404, [])
    }
    if (method === 'POST' && !isOurs(request, settled)) {
      return json({ code: 'REQUEST_FOREIGN', message: 'this is for pages of the application itself' }, 403, [])
    }
    return route(request, settled)
  }
}

function handleAuth() {
  return { GET: handler('GET'), POST: handler('POST') }
}

module.exports = { handleAuth }
