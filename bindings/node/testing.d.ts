import type { FlagSet } from './index.js'

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
/** Every code that a reader answers. */
export function errorCodes(): string[]
/** What each flag is for a context, and why; a refusal has the `pointer` to the member at fault. */
export function evaluateJson(document: object): Record<string, unknown>
/** The buckets of a subject: `{ rollout, split }`. */
export function bucketsJson(document: { salt: string; subject: string }): { rollout: number; split: number }
/** How a change alters who is served what: `{ effect, holdouts }`. */
export function effectJson(document: object): { effect: string; holdouts: object[] }
