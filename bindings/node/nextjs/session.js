'use strict'

// What pages and routes read: the session of the request that they answer.

const { cookies, headers } = require('next/headers')
const native = require('@flagbearer/native')
const { FlagSet } = require('../index.js')
const { readSession } = require('./cookies.js')
const { settings } = require('./settings.js')

/** In which the proxy says why the last token is still in use. Never taken from a browser. */
const KEPT_HEADER = 'x-flagbearer-kept'

/** Of somebody who is not signed in: every getter answers the default. */
const noFlags = () => new FlagSet(native.flagSetOfClaim('{}'))

/** The flag set of a token, or nothing for one that is not good. */
async function verified(flagbearer, accessToken) {
  try {
    return await flagbearer.verify(accessToken)
  } catch (error) {
    // Then nothing is known of the token, and nobody is to be sent to the sign-in page for it.
    if (error.name !== 'FlagbearerError' || error.code === 'KEYS_UNAVAILABLE') throw error
    return undefined
  }
}

async function read() {
  // First of all, so that Next.js knows that this page depends on the request.
  const jar = new Map((await cookies()).getAll().map(({ name, value }) => [name, value]))
  const { flagbearer, ...rest } = settings()
  const session = readSession(rest, jar)
  const flags = session && (await verified(flagbearer, session.accessToken))
  return flags ? { ...session, flags, signedIn: true } : { flags: noFlags(), signedIn: false }
}

function getFlagbearerSession() {
  let reading
  const session = () => (reading ??= read())
  const flags = async () => (await session()).flags
  const claim = async (name) => (await flags()).claims[name]
  return {
    isAuthenticated: async () => (await session()).signedIn,
    getUser: async () => (await session()).user ?? null,
    getOrganization: async () => (await flags()).organization,
    getRoles: async () => (await claim('roles')) ?? [],
    getPermissions: async () => (await claim('permissions')) ?? [],
    getBooleanFlag: async (key, defaultValue) => (await flags()).getBooleanFlag(key, defaultValue),
    getStringFlag: async (key, defaultValue) => (await flags()).getStringFlag(key, defaultValue),
    getIntegerFlag: async (key, defaultValue) => (await flags()).getIntegerFlag(key, defaultValue),
    getFlag: async (key, defaultValue, type) => (await flags()).getFlag(key, defaultValue, type),
    getFlagSet: flags,
    getAccessToken: async () => (await session()).accessToken ?? null,
    getKeptReason: async () => (await headers()).get(KEPT_HEADER),
    getClientSession: async (options) => clientSession(await session(), options?.flags),
  }
}

/** What the provider in the browser is given. */
function clientSession({ signedIn, user, flags }, wanted) {
  return { isAuthenticated: signedIn, user: user ?? null, organization: flags.organization, flags: flags.pick(wanted) }
}

module.exports = { getFlagbearerSession, verified, KEPT_HEADER }
