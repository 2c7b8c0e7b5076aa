'use client'

// What components in the browser read: the flags that the server has picked for them. They are found again there whenever the
// page is rendered anew; nothing is decided here.

import { createContext, createElement, useCallback, useContext, useMemo } from 'react'
import { useRouter } from 'next/navigation'
import { readPicked } from '../picked.mjs'

const Context = createContext(undefined)

/** Asks for a refresh. Without a network, or where the application itself fails, there is no answer to read. */
async function ask(address) {
  try {
    const response = await fetch(address, { method: 'POST' })
    return { status: response.status, outcome: await response.json() }
  } catch {
    return { outcome: { refreshed: false, code: 'APPLICATION_UNAVAILABLE', message: 'the application gave no answer; try again shortly' } }
  }
}

export function FlagbearerProvider({ session, authPath = '/api/auth', children }) {
  const router = useRouter()
  const refresh = useCallback(async () => {
    const { status, outcome } = await ask(`${authPath}/refresh`)
    // The server renders with the new token, or without one.
    if (outcome.refreshed || status === 401) router.refresh()
    return outcome
  }, [authPath, router])
  const { flags, ...who } = session
  // The session is another object with each rendering on the server, and the same between them.
  const value = useMemo(() => ({ ...who, ...readPicked(flags), refresh }), [session, refresh])
  return createElement(Context.Provider, { value }, children)
}

export function useFlagbearer() {
  const value = useContext(Context)
  if (value === undefined) throw new Error('`useFlagbearer` is for components within a `FlagbearerProvider`')
  return value
}
