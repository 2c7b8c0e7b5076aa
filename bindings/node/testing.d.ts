import type { FlagSet } from './index.js'

/** The flag set of a `feature_flags` claim, given as JSON text. */
export function flagSetOfClaim(claim: string): FlagSet
/** The claim of flags that are sorted by key. */
export function encodeClaim(dialect: 'typed' | 'keys', flags: { key: string; type: string; value: unknown }[]): string
/** The ids of the usable keys of a JWK set, given as JSON text. */
export function usableKeys(jwks: string): string[]
/** Whether a signature is that of the only key of a JWK set. */
export function signatureValid(jwks: string, input: Uint8Array, signature: Uint8Array): boolean
/** Every code that a reader answers. */
export function errorCodes(): string[]
