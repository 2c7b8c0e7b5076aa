import type { FlagbearerOptions, FlagSet } from '../index.js'

export * from '../index.js'

/** Verifies one issuer's tokens where no native code loads. Make one and keep it: it holds the issuer's keys. */
export class Flagbearer {
  /** Throws `CONFIGURATION_INVALID`. */
  constructor(options: FlagbearerOptions & { followWatermark?: false })
  /** As in Node. Where the platform cannot check signatures of the key's algorithm: `ALGORITHM_UNSUPPORTED`. */
  verify(token: string | null | undefined): Promise<FlagSet>
  /** The watermark is not followed here. */
  readonly state: undefined
}
