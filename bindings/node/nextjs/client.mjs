'use client'

// What components in the browser read: the flags that the server has picked for them. They are found again there whenever the
// page is rendered anew; nothing is decided here.

import { createContext, createElement, useCallback, useContext, useMemo } from 'react'
import { useRouter } from 'next/navigation'

const Context = createContext(undefined)

const LETTERS = { __proto__: null, b: 'boolean', s: 'string', i: 'integer', j: 'json' }

function readers(entries) {
  const flags = new Map(entries)
  const typed = (type) => (key, defaultValue) => {
    const flag = flags.get(key)
    return flag?.type === type ? flag.value : defaultValue
  }
  return {
    getBooleanFlag: typed('boolean'),
    getStringFlag: typed('string'),
    getIntegerFlag: typed('integer'),
    getFlag: (key, defaultValue, type) => {
      const asked = LETTERS[type] ?? type
      const flag = flags.get(key)
      const details = { code: key, type: asked ?? flag?.type, value: defaultValue, defaultValue, is_default: true, reason: 'ERROR' }
      if (flag === undefined) return { ...details, errorCode: 'FLAG_NOT_FOUND' }
      if (asked !== undefined && asked !== flag.type) return { ...details, errorCode: 'TYPE_MISMATCH' }
      return { ...details, value: flag.value, is_default: false, reason: flag.reason }
    },
  }
}

export function FlagbearerProvider({ session, authPath = '/api/auth', children }) {
  const router = useRouter()
  const refresh = useCallback(async () => {
    const response = await fetch(`${authPath}/refresh`, { method: 'POST' })
    const outcome = await response.json()
    // The server renders with the new token, or without one.
    if (outcome.refreshed || response.status === 401) router.refresh()
    return outcome
  }, [authPath, router])
  const { flags, ...who } = session
  // The session is another object with each rendering on the server, and the same between them.
  const value = useMemo(() => ({ ...who, ...readers(flags), refresh }), [session, refresh])
  return createElement(Context.Provider, { value }, children)
}

export function useFlagbearer() {
  const value = useContext(Context)
  if (value === undefined) throw new Error('`useFlagbearer` is for components within a `FlagbearerProvider`')
  return value
}
