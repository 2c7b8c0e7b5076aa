'use strict'

// The session in cookies: the refresh token and the user sealed in one, the access token as it is in as many as it takes. The
// token is signed, and its user may read it; sealed it would be a third longer.

const native = require('@flagbearer/native')
const { called } = require('../session.js')

/** The longest that browsers keep a cookie, in seconds. How long a session lives is for the server to say. */
const KEPT = 400 * 24 * 60 * 60
/** How long somebody may stay at the sign-in page, in seconds. */
const SIGNING_IN = 60 * 60
/** How much the sign-ins that are under way in one browser may keep there: some five, as they usually are. */
const MAX_SIGN_IN_BYTES = 4096

/** `secure` and the rest of what every cookie has. Lax, since users come back from the sign-in page by a link. */
function attributes({ secure }, maxAge) {
  return { httpOnly: true, sameSite: 'lax', secure, path: '/', maxAge }
}

/** The cookies of a request as they stand in its header, by name; ours need no decoding. */
function jarOf(headers) {
  const pairs = (headers.get('cookie') ?? '').split(';').map((pair) => pair.trim().split(/=(.*)/s))
  return new Map(pairs.filter(([name, value]) => name && value !== undefined))
}

/**
 * The session in a request's cookies, `{ accessToken, refreshToken, user, refreshAt }`, or nothing. `jar` is a Map of their
 * values.
 */
function readSession({ cookies, seal }, jar) {
  const sealed = jar.get(cookies.session)
  if (sealed === undefined) return undefined
  let kept
  try {
    kept = seal.unseal(sealed)
  } catch {
    return undefined
  }
  const { refreshToken, user, chunks } = kept
  if (typeof refreshToken !== 'string' || !Number.isInteger(chunks)) return undefined
  const parts = Array.from({ length: chunks }, (_, i) => jar.get(`${cookies.token}.${i}`))
  if (parts.includes(undefined)) return undefined
  const accessToken = parts.join('')
  try {
    return { accessToken, refreshToken, user, refreshAt: native.unverified(accessToken).refreshAt }
  } catch {
    return undefined
  }
}

/** The names of a session's cookies in a request. */
function sessionCookies({ cookies }, jar) {
  return [...jar.keys()].filter((name) => name === cookies.session || name.startsWith(`${cookies.token}.`))
}

/**
 * What has to be set to keep a session, as `{ name, value, ...attributes }`. Throws `COOKIE_TOO_LARGE` for what a browser would
 * drop, and for what no server would take any more from then on.
 */
function writeSession(settings, jar, { accessToken, refreshToken, user }) {
  const { cookies, seal } = settings
  const chunks = native.splitCookie(cookies.token, accessToken)
  const session = { name: cookies.session, value: seal.seal({ refreshToken, user, chunks: chunks.length }) }
  const written = [session, ...chunks]
  const names = new Set(written.map(({ name }) => name))
  const dropped = sessionCookies(settings, jar).filter((name) => !names.has(name))
  return change(settings, jar, written, dropped, KEPT)
}

/**
 * What has to be set so that these cookies come and those go. Where it would be too much, sign-ins under way go first: links to them
 * may come from anywhere, and are to shut nobody out. Throws `COOKIE_TOO_LARGE`: see {@link writeSession}.
 */
function change(settings, jar, written, dropped, maxAge) {
  for (const { name, value } of written) called(() => native.measureCookie(name, value), 'COOKIE_TOO_LARGE')
  const kept = [...jar].map(([name, value]) => ({ name, value })).filter(({ name }) => !dropped.includes(name))
  const others = kept.filter(({ name }) => !written.some((cookie) => cookie.name === name))
  const signIns = others.map(({ name }) => name).filter((name) => isSignIn(settings, name))
  try {
    called(() => native.measureCookies([...others, ...written]), 'COOKIE_TOO_LARGE')
  } catch (error) {
    if (signIns.length === 0) throw error
    return change(settings, jar, written, [...dropped, ...signIns], maxAge)
  }
  return [...written.map((cookie) => ({ ...cookie, ...attributes(settings, maxAge) })), ...drop(settings, dropped)]
}

/** What has to be set so that these cookies go. */
function drop(settings, names) {
  return names.map((name) => ({ name, value: '', ...attributes(settings, 0) }))
}

/** What has to be set so that a session goes. */
function dropSession(settings, jar) {
  return drop(settings, sessionCookies(settings, jar))
}

/** A sign-in has a cookie of its own, so that those in several tabs do not get into each other's way. */
function signInCookie({ cookies }, state) {
  return `${cookies.signIn}.${state.slice(0, 8)}`
}

function isSignIn({ cookies }, name) {
  return name.startsWith(`${cookies.signIn}.`)
}

/** What has to be set to remember a sign-in until it comes back. Throws `COOKIE_TOO_LARGE`. */
function writeSignIn(settings, jar, signIn) {
  const value = settings.seal.seal({ ...signIn, until: Date.now() + SIGNING_IN * 1000 })
  const written = { name: signInCookie(settings, signIn.state), value }
  const begun = [...jar].filter(([name]) => isSignIn(settings, name))
  const bytes = begun.reduce((sum, [, value]) => sum + value.length, value.length)
  const forgotten = bytes <= MAX_SIGN_IN_BYTES ? [] : begun.map(([name]) => name)
  return change(settings, jar, [written], forgotten, SIGNING_IN)
}

/** The sign-in that began in this browser with this state, or nothing. */
function readSignIn(settings, jar, state) {
  let signIn
  try {
    signIn = settings.seal.unseal(jar.get(signInCookie(settings, state)))
  } catch {
    return undefined
  }
  return signIn.state === state && signIn.until > Date.now() ? signIn : undefined
}

module.exports = { jarOf, readSession, writeSession, dropSession, readSignIn, writeSignIn, signInCookie, drop }
