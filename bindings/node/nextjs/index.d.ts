import type { NextRequest, NextResponse } from 'next/server'
import type { FlagDetails, FlagSet, FlagTypeName } from '../index.js'
import type { ClientSession } from './client.js'

/** What the ID token said of somebody when they signed in. */
export interface FlagbearerUser {
  id: string
  email: string | null
  name: string | null
  given_name: string | null
  family_name: string | null
  picture: string | null
}

/** The session of the request that is being answered. Where nobody is signed in every getter answers the default. */
export interface FlagbearerSession {
  isAuthenticated(): Promise<boolean>
  getUser(): Promise<FlagbearerUser | null>
  getOrganization(): Promise<string | null>
  getRoles(): Promise<string[]>
  getPermissions(): Promise<string[]>
  getBooleanFlag(key: string, defaultValue: boolean): Promise<boolean>
  getStringFlag(key: string, defaultValue: string): Promise<string>
  getIntegerFlag(key: string, defaultValue: number): Promise<number>
  getFlag<T>(key: string, defaultValue: T, type?: FlagTypeName): Promise<FlagDetails<T>>
  /** All that can be read from the token. */
  getFlagSet(): Promise<FlagSet>
  /** For calls to backends of your own. */
  getAccessToken(): Promise<string | null>
  /** The code of why the last token is still in use though the proxy would have refreshed it; `null` where it is current. */
  getKeptReason(): Promise<string | null>
  /**
   * What `FlagbearerProvider` is given. Whatever is named here reaches the browser: `'all'` is for tokens that hold nothing
   * that a user may not see.
   */
  getClientSession(options: { flags: readonly string[] | 'all' }): Promise<ClientSession>
}

/** For server components, server actions and route handlers. */
export function getFlagbearerSession(): FlagbearerSession

/**
 * The routes `GET sign-in` (with `return_to`, `organization_id`, `prompt`, `login_hint`, `screen_hint`), `GET callback`,
 * `POST refresh` and `POST sign-out`, for `app/api/auth/[action]/route.ts`.
 */
export function handleAuth(): {
  GET(request: Request): Promise<Response>
  POST(request: Request): Promise<Response>
}

/** For `proxy.ts`: refreshes sessions whose tokens are about to expire, before pages are rendered. */
export function flagbearerProxy(): (request: NextRequest) => Promise<NextResponse>
