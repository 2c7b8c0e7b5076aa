/** Settings of a reader: which tokens it accepts, and where their issuer's keys are. */
export type FlagbearerOptions = ReaderOptions &
  (
    | {
        /** What the tokens' `aud` must contain. */
        audience: string
        profile?: 'flagbearer'
        clientId?: undefined
      }
    | {
        /** The application whose tokens are accepted. */
        clientId: string
        profile: 'kinde' | 'workos'
        audience?: undefined
      }
  )

export interface ReaderOptions {
  /** Equal to the tokens' `iss`, byte for byte. */
  issuer: string
  /** How far clocks may disagree, in seconds, from 0 to 60. Default: 5. */
  leeway?: number
  /** Where the keys are. Default: `<issuer>/.well-known/jwks.json`. */
  jwksUri?: string
  /** Whether to look for the keys' address in `<issuer>/.well-known/openid-configuration` instead. */
  discovery?: boolean
  /**
   * Whether to follow the issuer's watermark: killed flags then answer their off value within a second, whatever older tokens
   * say. Reading never waits for it. Default: `false`.
   */
  followWatermark?: boolean
  /** The application's secret, where it keeps one: what tokens are refreshed with. Reading needs none. */
  clientSecret?: string
  /**
   * Told of each read of a flag, by any getter: the details, and the set that was read. What it throws goes no further, and is told
   * once, as a warning of the process.
   */
  onRead?: OnRead
  /** Used instead of the global `fetch`. A stream that it has open may keep the process from ending until `close()`. */
  fetch?: typeof globalThis.fetch
}

/** Why a token was refused. When several hold, the first of this list is told. */
export type TokenErrorCode =
  | 'TOKEN_MALFORMED'
  | 'ALGORITHM_UNSUPPORTED'
  | 'KEY_UNKNOWN'
  | 'SIGNATURE_INVALID'
  | 'TYPE_INVALID'
  | 'CLAIM_MISSING'
  | 'ISSUER_MISMATCH'
  | 'AUDIENCE_MISMATCH'
  | 'TOKEN_EXPIRED'
  | 'TOKEN_NOT_YET_VALID'
  | 'FLAGS_MALFORMED'

/** Why there is no session, or none that can be kept. */
export type SessionErrorCode =
  /** Not sealed with this password, altered or expired. */
  | 'SEALED_SESSION_INVALID'
  /** A browser, or the next server on the way, would drop it. The message has the size. */
  | 'COOKIE_TOO_LARGE'
  /** The session has ended, or the code was used: sign in again. */
  | 'GRANT_REFUSED'
  /** The issuer does not take the request from this application: wrong secret, or no member of the organization. */
  | 'CLIENT_REFUSED'
  /** The issuer is away or busy: go on with the last token. */
  | 'ISSUER_UNAVAILABLE'

export type ErrorCode = TokenErrorCode | SessionErrorCode | 'KEYS_UNAVAILABLE' | 'CONFIGURATION_INVALID'

/** What is known of the present: all of it; that this token is too old and to be refreshed; nothing newer than half a minute ago. */
export type ReaderState = 'fresh' | 'stale' | 'disconnected'

/** Why a read answered the default. */
export type ReadErrorCode = 'FLAG_NOT_FOUND' | 'TYPE_MISMATCH' | 'PARSE_ERROR'

export class FlagbearerError extends Error {
  readonly name: 'FlagbearerError'
  readonly code: ErrorCode
  /** Of a document that a test gave: where in it the fault is, as a JSON pointer. */
  readonly pointer?: string
  /** With `ISSUER_UNAVAILABLE`: in how many seconds to ask again. */
  readonly retryAfter?: number
  constructor(code: ErrorCode, message?: string, options?: ErrorOptions)
}

/** A type's name, or its letter in the claim. */
export type FlagTypeName = 'boolean' | 'string' | 'integer' | 'json' | 'b' | 's' | 'i' | 'j'

export interface FlagDetails<T> {
  /** The flag's key, as asked for. */
  code: string
  /** The type asked for; the flag's own when none was. */
  type: 'boolean' | 'string' | 'integer' | 'json' | undefined
  value: T
  defaultValue: T
  is_default: boolean
  /**
   * `CACHED`: the token's value. `DISABLED`: the off value, since the flag was killed after the token was made. `STALE`: the
   * token's value, but the token is to be refreshed. `ERROR`: the default; `errorCode` says why.
   */
  reason: 'CACHED' | 'DISABLED' | 'STALE' | 'ERROR'
  errorCode?: ReadErrorCode
}

/**
 * What a browser is given of a flag, or why it cannot be read: entries rather than members, since a flag may be called
 * `__proto__`.
 */
export type PickedFlag = [
  key: string,
  flag: { type: 'boolean' | 'string' | 'integer' | 'json'; value: unknown; reason: 'CACHED' | 'DISABLED' | 'STALE' } | { errorCode: 'PARSE_ERROR' },
]

export type OnRead = (details: FlagDetails<unknown>, flags: FlagSet) => void | Promise<void>

/** The flags of one verified token. Reads are look-ups: they never throw, convert nothing and ask nobody. */
export class FlagSet {
  private constructor()
  /**
   * A set of these flags without a token, for unit tests. Types are those of the values. Throws for what cannot be a flag;
   * `pointer` then says which.
   */
  static of(flags: Readonly<Record<string, unknown>>): FlagSet
  /** The flag if it is there and boolean, otherwise the default. */
  getBooleanFlag(key: string, defaultValue: boolean): boolean
  /** The flag if it is there and a string, otherwise the default. */
  getStringFlag(key: string, defaultValue: string): string
  /** The flag if it is there and a whole number within ±(2^53 − 1), otherwise the default. */
  getIntegerFlag(key: string, defaultValue: number): number
  /** The flag if it is there with that type, or with any when none is given, otherwise the default; and why. JSON values are frozen. */
  getFlag<T>(key: string, defaultValue: T, type?: FlagTypeName): FlagDetails<T>
  /** Every flag that can be read. The object has no prototype. */
  getAllFlags(): Record<string, unknown>
  /**
   * These flags as a browser is given them, as JSON: whatever is named here reaches it, and `'all'` is for tokens that hold nothing
   * that a user may not see. That a flag was picked is not told to `onRead`.
   */
  pick(keys: readonly string[] | 'all'): PickedFlag[]
  /** The keys of the flags that differ from those of an older set: added, taken away or changed, as the tokens carry them. Sorted. */
  changedFrom(older: FlagSet): string[]
  /** All the token's claims, frozen. */
  readonly claims: Readonly<Record<string, unknown>>
  /** The organization that the token was issued in. */
  readonly organization: string | null
  /** The revision that was evaluated. */
  readonly flagsRevision: number | null
  /** What is known since this token was made; `undefined` where the watermark is not followed. */
  readonly state: ReaderState | undefined
}

export interface Tokens {
  accessToken: string
  refreshToken: string
}

export interface RefreshedTokens extends Tokens {
  /** Of the new access token. */
  flags: FlagSet
  /** The keys of the flags that differ from those of the last token. */
  changed: string[]
}

/** `feature_flags` as it stands in the token: typed, or the keys of those that are on. */
export type FeatureFlagsClaim = Readonly<Record<string, { t: 'b' | 's' | 'i' | 'j'; v: unknown }>> | readonly string[]

/**
 * One password of at least 32 random characters, or several by their number: the highest seals, and every one opens. That is
 * how a password is replaced.
 */
export type CookiePassword = string | Readonly<Record<number, string>>

/** What is sealed: the tokens, and whatever the application keeps beside them. */
export interface Session extends Tokens {
  user?: unknown
  [member: string]: unknown
}

export interface SealOptions {
  cookiePassword: CookiePassword
  /** What the cookie will be called, since its size counts. Default: `flagbearer-session`. */
  cookieName?: string
}

export interface SealedSessionOptions extends SealOptions {
  /** The cookie's value. */
  sessionData: string | null | undefined
}

/** Somebody who is signed in. */
export interface Authenticated {
  authenticated: true
  flags: FlagSet
  featureFlags: FeatureFlagsClaim | null
  organization: string | null
  /** As it was sealed. */
  user: unknown
  accessToken: string
}

export interface NotAuthenticated {
  authenticated: false
  code: TokenErrorCode | SessionErrorCode
  message: string
}

/** New tokens. */
export interface SessionRefreshed extends Authenticated {
  refreshed: true
  /** To be set as the cookie's new value. */
  sealedSession: string
  /** The keys of the flags that have changed. */
  changed: string[]
}

/** The last token stays in use, for as long as it is good: the issuer could not be asked, or refused the application. */
export type SessionKept = (Authenticated | (NotAuthenticated & { featureFlags: null })) & {
  refreshed: false
  /** What it was. */
  sealedSession: string
  changed: string[]
  code: 'ISSUER_UNAVAILABLE' | 'CLIENT_REFUSED'
  message: string
  /** Seconds. */
  retryAfter?: number
}

/** The session is over. */
export interface SessionEnded extends NotAuthenticated {
  refreshed: false
  sealedSession: null
  featureFlags: null
  changed: readonly string[]
}

/** A session out of a cookie, as {@link Flagbearer.loadSealedSession} answers it. */
export interface SealedSession {
  /** Opens the session and verifies its access token. Rejects with `KEYS_UNAVAILABLE`, which says nothing about either. */
  authenticate(): Promise<Authenticated | NotAuthenticated>
  /**
   * Asks for new tokens, with flags as they are now; several requests that do so at once are one. Rejects with
   * `COOKIE_TOO_LARGE`, and with `KEYS_UNAVAILABLE` before anything is asked: the session is as good as it was.
   */
  refresh(options?: { organization?: string }): Promise<SessionRefreshed | SessionKept | SessionEnded>
}

/** Verifies one issuer's tokens. Make one and keep it: it holds the issuer's keys. */
export class Flagbearer {
  /** Throws `CONFIGURATION_INVALID`. */
  constructor(options: FlagbearerOptions)
  /**
   * Rejects with a {@link FlagbearerError}. Whatever is not a string, is empty or missing is `TOKEN_MALFORMED`. The same token again
   * answers the same set, as long as it is good: the last ones are remembered.
   */
  verify(token: string | null | undefined): Promise<FlagSet>
  /** Seals tokens for a cookie. Throws `COOKIE_TOO_LARGE` with the measured size: what browsers drop is not sealed. */
  sealSession(session: Session, options: SealOptions): string
  /** A session out of a cookie. Throws `CONFIGURATION_INVALID` for a password that will not do. */
  loadSealedSession(options: SealedSessionOptions): SealedSession
  /**
   * New tokens, with flags as they are now. Several that ask with the same refresh token at once are one. `organization` goes
   * on in another one. Rejects with `GRANT_REFUSED`, `CLIENT_REFUSED` or `ISSUER_UNAVAILABLE`; with `KEYS_UNAVAILABLE` before the
   * refresh token is spent.
   */
  refreshTokens(tokens: Tokens, options?: { organization?: string }): Promise<RefreshedTokens>
  /** Tokens for the code that came back from the sign-in page, and the verified claims of the ID token that came with them. */
  exchangeCode(answer: {
    clientId: string
    code: string
    codeVerifier: string
    redirectUri: string
    /** As it was sent to the sign-in page. */
    nonce: string
  }): Promise<Tokens & { flags: FlagSet; user: Readonly<Record<string, unknown>> }>
  /** Ends a session at the issuer. Answers whether it was told. */
  revoke(tokens: Tokens): Promise<boolean>
  /** Whether the watermark is heard; `undefined` where it is not followed. */
  readonly state: 'fresh' | 'disconnected' | undefined
  /** Ends following. What was heard last goes on to hold. */
  close(): void
}
