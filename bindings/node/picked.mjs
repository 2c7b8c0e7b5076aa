// What a browser reads: the flags that the server has picked for it (`FlagSet.pick`), found again. Nothing is decoded or decided
// here, so that no native part is needed.

const LETTERS = { __proto__: null, b: 'boolean', s: 'string', i: 'integer', j: 'json' }

/** The getters of a flag set, over the flags that were picked from it. */
export function readPicked(picked) {
  const flags = new Map(picked)
  const typed = (type) => (key, defaultValue) => {
    const flag = flags.get(key)
    return flag?.type === type ? flag.value : defaultValue
  }
  return {
    getBooleanFlag: typed('boolean'),
    getStringFlag: typed('string'),
    getIntegerFlag: typed('integer'),
    getFlag: (key, defaultValue, type) => {
      const asked = LETTERS[type] ?? type
      const flag = flags.get(key)
      const details = { code: key, type: asked ?? flag?.type, value: defaultValue, defaultValue, is_default: true, reason: 'ERROR' }
      if (flag === undefined) return { ...details, errorCode: 'FLAG_NOT_FOUND' }
      if (asked !== undefined && asked !== flag.type) return { ...details, errorCode: 'TYPE_MISMATCH' }
      return { ...details, value: flag.value, is_default: false, reason: flag.reason }
    },
  }
}
