'use strict'

// What holds the flags that the core decided on.

const { FlagbearerError, calledOn } = require('./error.js')
const { freeze, unpack } = require('./tables.js')

// Letters are those of the claim. A Map, because `types.toString` of an object is not undefined.
const TYPES = new Map(['boolean', 'string', 'integer', 'json'].flatMap((type) => [[type, type], [type[0], type]]))

/** Flag sets over a core: the addon, or WebAssembly. */
module.exports = (core) => class FlagSet {
  // The core's texts (`FlagSet::tables`), each unpacked when it is first asked for.
  #texts
  #boolean
  #string
  #integer
  #json
  #unreadable
  #about
  #claims
  #watermark
  #report

  /**
   * Of what the core handed over, read under a watermark, each read told to `report`; not for users, who get theirs from
   * `verify`.
   */
  constructor(tables, watermark, report) {
    this.#texts = tables.split('\u001e')
    this.#watermark = watermark
    this.#report = report
  }

  static of(flags) {
    return new FlagSet(calledOn(flags, core.flagSetOf))
  }

  /** What the watermark overrules of this token. */
  get #overruled() {
    return this.#watermark?.of(this.flagsRevision)
  }

  /** The flag's value as that type; nothing where there is none. */
  #read(key, type, table) {
    // Asked first, for it is what most readers have not, and a read is to be a look-up.
    if (this.#watermark === undefined) return table.get(key)
    const killed = this.#overruled?.killed.get(key)
    if (killed === undefined) return table.get(key)
    return killed.type === type ? killed.value : undefined
  }

  get #booleans() {
    return (this.#boolean ??= unpack(this.#texts[0]))
  }

  get #strings() {
    return (this.#string ??= unpack(this.#texts[1]))
  }

  get #integers() {
    return (this.#integer ??= unpack(this.#texts[2]))
  }

  get #jsons() {
    return (this.#json ??= unpack(this.#texts[3]))
  }

  getBooleanFlag(key, defaultValue) {
    if (this.#report !== undefined) return this.getFlag(key, defaultValue, 'boolean').value
    const value = this.#read(key, 'boolean', this.#booleans)
    return value === undefined ? defaultValue : value
  }

  getStringFlag(key, defaultValue) {
    if (this.#report !== undefined) return this.getFlag(key, defaultValue, 'string').value
    const value = this.#read(key, 'string', this.#strings)
    return value === undefined ? defaultValue : value
  }

  getIntegerFlag(key, defaultValue) {
    if (this.#report !== undefined) return this.getFlag(key, defaultValue, 'integer').value
    const value = this.#read(key, 'integer', this.#integers)
    return value === undefined ? defaultValue : value
  }

  getFlag(key, defaultValue, type) {
    const details = this.#details(key, defaultValue, type)
    this.#report?.(details, this)
    return details
  }

  /** Why each flag that cannot be read cannot. */
  get #unreadables() {
    return (this.#unreadable ??= unpack(this.#texts[4]))
  }

  #details(key, defaultValue, type) {
    const asked = TYPES.get(type)
    const overruled = this.#overruled
    const killed = overruled?.killed.get(key)
    const found = killed?.type ?? this.#typeOf(key)
    const details = { code: key, type: asked ?? found, value: defaultValue, defaultValue, is_default: true, reason: 'ERROR' }
    if (found === undefined) {
      details.errorCode = this.#unreadables.get(key) ?? 'FLAG_NOT_FOUND'
    } else if (type !== undefined && found !== asked) {
      details.errorCode = 'TYPE_MISMATCH'
    } else {
      details.value = killed === undefined ? this.#table(found).get(key) : killed.value
      details.is_default = false
      details.reason = killed !== undefined ? 'DISABLED' : overruled?.stale ? 'STALE' : 'CACHED'
    }
    return details
  }

  getAllFlags() {
    const flags = Object.create(null)
    for (const map of [this.#booleans, this.#strings, this.#integers, this.#jsons]) {
      for (const [key, value] of map) flags[key] = value
    }
    for (const [key, { value }] of this.#overruled?.killed ?? []) flags[key] = value
    return flags
  }

  pick(keys) {
    if (keys !== 'all' && !Array.isArray(keys)) throw new FlagbearerError('CONFIGURATION_INVALID', 'flags are picked by an array of their keys, or with `all`')
    const wanted = keys === 'all' ? new Set([...Object.keys(this.getAllFlags()), ...this.#unreadables.keys()]) : keys
    const found = Array.from(wanted, (key) => [key, this.#details(key)]).filter(([, { errorCode }]) => errorCode !== 'FLAG_NOT_FOUND')
    return found.map(([key, { type, value, reason, errorCode }]) => [key, errorCode === undefined ? { type, value, reason } : { errorCode }])
  }

  changedFrom(older) {
    if (!(older instanceof FlagSet)) throw new FlagbearerError('CONFIGURATION_INVALID', 'a flag set is compared with a flag set')
    return core.changedFrom(this.#texts[6], older.#texts[6])
  }

  get claims() {
    return (this.#claims ??= freeze(JSON.parse(this.#texts[6])))
  }

  get organization() {
    return (this.#about ??= JSON.parse(this.#texts[5]))[0]
  }

  get flagsRevision() {
    return (this.#about ??= JSON.parse(this.#texts[5]))[1]
  }

  get state() {
    return this.#watermark?.stateOf(this.flagsRevision) ?? undefined
  }

  #table(type) {
    return type === 'boolean' ? this.#booleans : type === 'string' ? this.#strings : type === 'integer' ? this.#integers : this.#jsons
  }

  #typeOf(key) {
    if (this.#booleans.has(key)) return 'boolean'
    if (this.#strings.has(key)) return 'string'
    if (this.#integers.has(key)) return 'integer'
    if (this.#jsons.has(key)) return 'json'
    return undefined
  }
}
