'use strict'

// Before the pages: refreshes sessions whose tokens are about to expire, so that whatever is rendered then reads a good one.
// Pages cannot do it themselves, for they cannot set cookies.

const { NextResponse } = require('next/server')
const { jarOf, readSession } = require('./cookies.js')
const { refresh } = require('./refresh.js')
const { KEPT_HEADER, verified } = require('./session.js')
const { settings } = require('./settings.js')

/** Whether a session is to be refreshed now: its token is about to expire, or older than its issuer wants any to be. */
async function isDue({ flagbearer }, { accessToken, refreshAt }) {
  if (Date.now() >= refreshAt) return true
  if (flagbearer.state === undefined) return false
  try {
    return (await verified(flagbearer, accessToken))?.state === 'stale'
  } catch (error) {
    // Nothing is known then, and not every page reads flags: those that do say so themselves.
    if (error.code === 'KEYS_UNAVAILABLE') return false
    throw error
  }
}

function flagbearerProxy() {
  return async (request) => {
    const settled = settings()
    const headers = new Headers(request.headers)
    headers.delete(KEPT_HEADER)
    const next = () => NextResponse.next({ request: { headers } })
    const { basePath, pathname } = request.nextUrl
    // The routes do what they do by themselves.
    if (`${basePath}${pathname}`.startsWith(`${settled.authPath}/`)) return next()
    const jar = jarOf(request.headers)
    const session = readSession(settled, jar)
    if (session === undefined || !(await isDue(settled, session))) return next()

    const { cookies, code } = await refresh(settled, jar, session)
    if (cookies.length === 0) {
      headers.set(KEPT_HEADER, code)
      return next()
    }
    for (const { name, value, maxAge } of cookies) {
      if (maxAge > 0) jar.set(name, value)
      else jar.delete(name)
    }
    headers.set('cookie', [...jar].map(([name, value]) => `${name}=${value}`).join('; '))
    const response = next()
    for (const cookie of cookies) response.cookies.set(cookie)
    // No cache on the way may hand one user's cookies to another.
    response.headers.set('cache-control', 'private, no-store')
    return response
  }
}

module.exports = { flagbearerProxy }
