'use strict'

// What an application says by its variables, checked once, and what is made of it. One for the whole process: Next.js puts this
// file into several of its bundles, which have to share keys, refreshes and watermark.

const { Flagbearer } = require('../index.js')
const { FlagbearerError } = require('../error.js')
const { Seal } = require('../session.js')

const SHARED = Symbol.for('@flagbearer/node/nextjs')

function invalid(message) {
  return new FlagbearerError('CONFIGURATION_INVALID', message)
}

function required(name, what) {
  const value = process.env[name]
  if (!value) throw invalid(`the variable ${name} is required: ${what}`)
  return value
}

/** Browsers treat these as they treat https. */
const LOCAL = new Set(['localhost', '127.0.0.1', '[::1]'])

function site() {
  const text = required('FLAGBEARER_SITE_URL', 'where browsers find this application, such as https://app.example.com')
  let url
  try {
    url = new URL(text)
  } catch (cause) {
    throw invalid(`FLAGBEARER_SITE_URL is \`${text}\`, which is not a URL`)
  }
  const secure = url.protocol === 'https:'
  if (!secure && !(url.protocol === 'http:' && LOCAL.has(url.hostname))) {
    throw invalid(`FLAGBEARER_SITE_URL is \`${text}\`: sessions need https, or http on localhost`)
  }
  if (url.pathname !== '/' || url.search || url.hash) throw invalid(`FLAGBEARER_SITE_URL is \`${text}\`, and has to be an origin, without a path`)
  return { origin: url.origin, secure }
}

/** A password, or several by their number as JSON. */
function cookiePassword() {
  const text = required('FLAGBEARER_COOKIE_PASSWORD', 'what sessions are sealed with; make it with `openssl rand -hex 32`')
  if (!text.startsWith('{')) return text
  try {
    return JSON.parse(text)
  } catch {
    throw invalid('FLAGBEARER_COOKIE_PASSWORD begins like JSON, and is none')
  }
}

/** Compared byte for byte with what tokens and answers say; a server's never ends in a slash. */
function issuerUrl() {
  const issuer = required('FLAGBEARER_ISSUER', "the issuer of the application's environment")
  if (issuer.endsWith('/')) throw invalid(`FLAGBEARER_ISSUER is \`${issuer}\`: leave out the slash at its end`)
  return issuer
}

/** A switch that was misspelt must not be off without a word. */
function followWatermark() {
  const text = process.env.FLAGBEARER_FOLLOW_WATERMARK || 'false'
  if (text !== 'true' && text !== 'false') throw invalid(`FLAGBEARER_FOLLOW_WATERMARK is \`${text}\`, and has to be \`true\` or \`false\``)
  return text === 'true'
}

function read() {
  const { origin, secure } = site()
  const issuer = issuerUrl()
  const clientId = required('FLAGBEARER_CLIENT_ID', "the application's client id")
  const { FLAGBEARER_CLIENT_SECRET, FLAGBEARER_AUDIENCE, FLAGBEARER_AUTH_PATH } = process.env
  const authPath = FLAGBEARER_AUTH_PATH || '/api/auth'
  if (!/^(\/[\w.~-]+)+$/.test(authPath)) throw invalid(`FLAGBEARER_AUTH_PATH is \`${authPath}\`, and has to be a path like /api/auth`)
  const prefix = secure ? '__Host-' : ''
  return {
    origin,
    secure,
    issuer,
    clientId,
    authPath,
    redirectUri: `${origin}${authPath}/callback`,
    cookies: {
      session: `${prefix}flagbearer-session`,
      token: `${prefix}flagbearer-token`,
      signIn: `${prefix}flagbearer-sign-in`,
    },
    seal: new Seal(cookiePassword()),
    /** Until when what is wrong with the issuer has been told, in milliseconds since 1970. */
    warnedUntil: 0,
    flagbearer: new Flagbearer({
      issuer,
      audience: FLAGBEARER_AUDIENCE || clientId,
      clientSecret: FLAGBEARER_CLIENT_SECRET || undefined,
      followWatermark: followWatermark(),
    }),
  }
}

/** Throws `CONFIGURATION_INVALID`, which names the variable. */
function settings() {
  return (globalThis[SHARED] ??= read())
}

module.exports = { settings }
