import type { ReactElement, ReactNode } from 'react'
import type { FlagDetails, FlagTypeName, PickedFlag } from '../index.js'
import type { FlagbearerUser } from './index.js'

/** What the server hands to the browser; made by `getClientSession`. */
export interface ClientSession {
  isAuthenticated: boolean
  user: FlagbearerUser | null
  organization: string | null
  flags: PickedFlag[]
}

/** What a refresh came to. The code is `APPLICATION_UNAVAILABLE` where there is no network, or the application itself has failed. */
export type RefreshOutcome =
  | { refreshed: true; /** Whether any flag has. */ changed: boolean }
  | { refreshed: false; code: string; message: string; /** Seconds. */ retryAfter?: number }

export interface FlagbearerClient {
  isAuthenticated: boolean
  user: FlagbearerUser | null
  organization: string | null
  getBooleanFlag(key: string, defaultValue: boolean): boolean
  getStringFlag(key: string, defaultValue: string): string
  getIntegerFlag(key: string, defaultValue: number): number
  getFlag<T>(key: string, defaultValue: T, type?: FlagTypeName): FlagDetails<T>
  /** Asks for a new token, and has the page rendered with it. Never rejects. */
  refresh(): Promise<RefreshOutcome>
}

/** Gives components below it the session; in the layout. */
export function FlagbearerProvider(props: {
  session: ClientSession
  /** Where the routes are. Default: `/api/auth`. */
  authPath?: string
  children?: ReactNode
}): ReactElement

/** The session in a client component. Throws outside of a `FlagbearerProvider`. */
export function useFlagbearer(): FlagbearerClient
