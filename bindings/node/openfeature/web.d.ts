import type { JsonValue, OpenFeatureEventEmitter, Provider, ResolutionDetails } from '@openfeature/web-sdk'
import type { PickedFlag } from '../index.js'

/**
 * Answers from the flags that a server has picked for this browser with `flags.pick`. The SDK takes it for ready once it has some,
 * and for as long answers `PROVIDER_NOT_READY`. The evaluation context is not looked at: the server has evaluated. Numbers are read
 * from integer flags, and objects from JSON flags.
 */
export class FlagbearerProvider implements Provider {
  readonly metadata: { readonly name: 'flagbearer' }
  readonly runsOn: 'client'
  readonly events: OpenFeatureEventEmitter
  constructor(picked?: readonly PickedFlag[])
  /** Resolves once there are flags. */
  initialize(): Promise<void>
  /** Takes newer flags in the place of those before, and emits `PROVIDER_CONFIGURATION_CHANGED` with the keys that differ. */
  setFlags(picked: readonly PickedFlag[]): void
  resolveBooleanEvaluation(flagKey: string, defaultValue: boolean): ResolutionDetails<boolean>
  resolveStringEvaluation(flagKey: string, defaultValue: string): ResolutionDetails<string>
  resolveNumberEvaluation(flagKey: string, defaultValue: number): ResolutionDetails<number>
  resolveObjectEvaluation<T extends JsonValue>(flagKey: string, defaultValue: T): ResolutionDetails<T>
}
