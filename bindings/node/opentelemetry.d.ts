import type { FlagDetails, FlagSet } from './index.js'

/**
 * For `new Flagbearer({ …, onRead })`: emits the event `feature_flag.evaluation` for each read, in the context of the current span
 * and through the logger provider that is set globally. JSON values are left out.
 */
export function onRead(details: FlagDetails<unknown>, flags: FlagSet): void
