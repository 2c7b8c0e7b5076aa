import type { JsonValue, Provider, ResolutionDetails } from '@openfeature/server-sdk'
import type { FlagSet } from '../index.js'

/** Whatever is read within `work`, and in what it awaits, is read from these flags. Answers what `work` answers. */
export function reading<T>(flags: FlagSet, work: () => T): T

/**
 * Answers from the flags that {@link reading} says, or from the ones given here, for programs that have one user. Without any, the
 * caller's default with `PROVIDER_NOT_READY`. The evaluation context is not looked at: the server has evaluated. Numbers are read
 * from integer flags, and objects from JSON flags.
 *
 * Metadata: `version`, the revision that was evaluated, and `contextId`, the user.
 */
export class FlagbearerProvider implements Provider {
  readonly metadata: { readonly name: 'flagbearer' }
  readonly runsOn: 'server'
  constructor(flags?: FlagSet)
  resolveBooleanEvaluation(flagKey: string, defaultValue: boolean): Promise<ResolutionDetails<boolean>>
  resolveStringEvaluation(flagKey: string, defaultValue: string): Promise<ResolutionDetails<string>>
  resolveNumberEvaluation(flagKey: string, defaultValue: number): Promise<ResolutionDetails<number>>
  resolveObjectEvaluation<T extends JsonValue>(flagKey: string, defaultValue: T): Promise<ResolutionDetails<T>>
}
