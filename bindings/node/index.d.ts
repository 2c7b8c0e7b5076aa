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

export type ErrorCode = TokenErrorCode | 'KEYS_UNAVAILABLE' | 'CONFIGURATION_INVALID'

/** What is known of the present: all of it; that this token is too old and to be refreshed; nothing newer than half a minute ago. */
export type ReaderState = 'fresh' | 'stale' | 'disconnected'

/** Why a read answered the default. */
export type ReadErrorCode = 'FLAG_NOT_FOUND' | 'TYPE_MISMATCH' | 'PARSE_ERROR'

export class FlagbearerError extends Error {
  readonly name: 'FlagbearerError'
  readonly code: ErrorCode
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

/** The flags of one verified token. Reads are look-ups: they never throw, convert nothing and ask nobody. */
export class FlagSet {
  private constructor()
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

/** Verifies one issuer's tokens. Make one and keep it: it holds the issuer's keys. */
export class Flagbearer {
  /** Throws `CONFIGURATION_INVALID`. */
  constructor(options: FlagbearerOptions)
  /** Rejects with a {@link FlagbearerError}. Whatever is not a string, is empty or missing is `TOKEN_MALFORMED`. */
  verify(token: string | null | undefined): Promise<FlagSet>
  /** Whether the watermark is heard; `undefined` where it is not followed. */
  readonly state: 'fresh' | 'disconnected' | undefined
  /** Ends following. What was heard last goes on to hold. */
  close(): void
}
