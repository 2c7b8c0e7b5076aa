import type { Flagbearer, FlagSet, ReaderOptions } from './index.js'

/**
 * Mints tokens as the server does, with a key of its own, so that code that verifies tokens is tested with real ones:
 *
 *     const issuer = new TestIssuer()
 *     const flagbearer = issuer.flagbearer()
 *     const flags = await flagbearer.verify(issuer.token({ flags: { new_ai_model: true }, organization: 'org_a' }))
 */
export class TestIssuer {
  /** Defaults: `https://flags.example.com`, `app`, `flagbearer`. Throws `CONFIGURATION_INVALID`. */
  constructor(options?: { issuer?: string; clientId?: string; profile?: 'flagbearer' | 'kinde' | 'workos' })
  /** A token that carries these flags. Throws for what no server would mint; `pointer` then says what of the facts that is. */
  token(facts?: {
    /** A value for each key; types are those of the values. */
    flags?: Readonly<Record<string, unknown>>
    /** Default: `user_1`. */
    user?: string
    /** Default: none. */
    organization?: string
    /** Default: 1. */
    flagsRevision?: number
    /** Whole seconds; a token of 0 or less has expired. Default: 300. */
    expiresIn?: number
  }): string
  /** Its public keys, as a JWK set in JSON text: for readers that get keys in a way of their own. */
  jwks(): string
  /** A reader of its tokens, which asks no server. */
  flagbearer(options?: Pick<ReaderOptions, 'leeway' | 'onRead'>): Flagbearer
}

/** The flag set of a `feature_flags` claim, given as JSON text. */
export function flagSetOfClaim(claim: string): FlagSet
/** The claim of flags that are sorted by key. */
export function encodeClaim(dialect: 'typed' | 'keys', flags: { key: string; type: string; value: unknown }[]): string
/** The ids of the usable keys of a JWK set, given as JSON text. */
export function usableKeys(jwks: string): string[]
/** Whether a signature is that of the only key of a JWK set. */
export function signatureValid(jwks: string, input: Uint8Array, signature: Uint8Array): boolean
/** A reader that was told watermarks (at seconds since 1970): the code that each was refused with, and flag sets read under it. */
export function followWatermarks(document: {
  issuer: string
  jwks: object
  watermarks: { at: number; watermark: string }[]
}): { outcomes: (string | null)[]; flagSet(claims: object): FlagSet }
/** The seal of a text with the password of the highest id, and these 80 bytes instead of random ones. */
export function sealWith(passwords: Record<string, string>, text: string, random: Uint8Array): string
/** What a seal holds, opened at a second since 1970. */
export function unsealAt(passwords: Record<string, string>, sealed: string, now: number): string
/** What an answer to a request for tokens means. */
export function tokenAnswer(
  status: number | null,
  retryAfter: string | undefined,
  body: string,
): { access_token: string; refresh_token: string; id_token?: string } | { code: string; retry_seconds: number }
/** Every code that a reader answers. */
export function errorCodes(): string[]
/** What each flag is for a context, and why; a refusal has the `pointer` to the member at fault. */
export function evaluateJson(document: object): Record<string, unknown>
/** The buckets of a subject: `{ rollout, split }`. */
export function bucketsJson(document: { salt: string; subject: string }): { rollout: number; split: number }
/** How a change alters who is served what: `{ effect, holdouts }`. */
export function effectJson(document: object): { effect: string; holdouts: object[] }
