// What a browser reads: the flags that the server has picked for it (`FlagSet.pick`), found again. Nothing is decoded here, so that
// no native part is needed, and the answers are those of the set that was picked from.

const NAMES = ['boolean', 'string', 'integer', 'json']
const TYPES = new Map(NAMES.flatMap((type) => [[type, type], [type[0], type]]))

/** The getters of a flag set, over the flags that were picked from it. */
export function readPicked(picked) {
  const flags = new Map(picked)
  const getFlag = (key, defaultValue, type) => {
    const asked = TYPES.get(type)
    const { type: found, value, reason, errorCode } = flags.get(key) ?? { errorCode: 'FLAG_NOT_FOUND' }
    const details = { code: key, type: asked ?? found, value: defaultValue, defaultValue, is_default: true, reason: 'ERROR' }
    if (errorCode !== undefined) return { ...details, errorCode }
    if (type !== undefined && found !== asked) return { ...details, errorCode: 'TYPE_MISMATCH' }
    return { ...details, value, is_default: false, reason }
  }
  const typed = (type) => (key, defaultValue) => getFlag(key, defaultValue, type).value
  return { getBooleanFlag: typed('boolean'), getStringFlag: typed('string'), getIntegerFlag: typed('integer'), getFlag }
}
