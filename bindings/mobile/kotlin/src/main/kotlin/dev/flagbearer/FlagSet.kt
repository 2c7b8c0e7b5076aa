package dev.flagbearer

import dev.flagbearer.internal.NativeFlagSet
import dev.flagbearer.internal.NativeState
import dev.flagbearer.internal.NativeType
import dev.flagbearer.internal.NativeValue
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.jsonObject

/**
 * As what a flag is read.
 *
 * @property name `boolean`, `string`, `integer` or `json`
 */
public class FlagType<T : Any> private constructor(
    public val name: String,
    internal val native: NativeType,
    internal val unwrap: (NativeValue?) -> T?,
) {
    override fun toString(): String = name

    public companion object {
        public val BOOLEAN: FlagType<Boolean> =
            FlagType("boolean", NativeType.BOOLEAN) { (it as? NativeValue.Boolean)?.value }
        public val STRING: FlagType<String> = FlagType("string", NativeType.STRING) { (it as? NativeValue.Text)?.value }

        /** Within ±(2^53 − 1). */
        public val INTEGER: FlagType<Long> = FlagType("integer", NativeType.INTEGER) { (it as? NativeValue.Integer)?.value }
        public val JSON: FlagType<JsonElement> =
            FlagType("json", NativeType.JSON) { value -> (value as? NativeValue.Json)?.let { Json.parseToJsonElement(it.text) } }

        /** All four. */
        public val all: List<FlagType<*>> = listOf(BOOLEAN, STRING, INTEGER, JSON)

        /** By its name or, as it stands in the claim, its first letter; `null` where there is none. */
        public fun of(name: String): FlagType<*>? = all.find { it.name == name || it.name.take(1) == name }
    }
}

/** Where an answer comes from, in OpenFeature's words. */
public enum class Reason {
    /** From the token. */
    CACHED,

    /** From the token, which is too old: it is to be refreshed. */
    STALE,

    /** The off value: the flag was killed after the token was made. */
    DISABLED,

    /** The caller's default; [FlagDetails.errorCode] says why. */
    ERROR,
}

/** Why a read answered the default. */
public enum class ReadErrorCode { FLAG_NOT_FOUND, TYPE_MISMATCH, PARSE_ERROR }

/** How much a reader that follows the watermark knows of what has happened since a token was made. */
public enum class ReaderState {
    /** All of it, up to a second. */
    FRESH,

    /** Enough to know that the token is too old: it is to be refreshed. */
    STALE,

    /** Nothing newer than what it was told half a minute ago or more. */
    DISCONNECTED;

    internal companion object {
        fun of(native: NativeState): ReaderState = when (native) {
            NativeState.FRESH -> FRESH
            NativeState.STALE -> STALE
            NativeState.DISCONNECTED -> DISCONNECTED
        }
    }
}

/**
 * An answer with its circumstances.
 *
 * @property code the flag's key, as asked for
 * @property type the type asked for
 */
public data class FlagDetails<T : Any>(
    public val code: String,
    public val type: FlagType<T>,
    public val value: T,
    public val defaultValue: T,
    public val isDefault: Boolean,
    public val reason: Reason,
    public val errorCode: ReadErrorCode?,
)

/** Told of every read of a flag by a getter, to report exposures. What it throws is not seen by whoever reads. */
public fun interface ReadHook {
    public fun onRead(details: FlagDetails<*>, flags: FlagSet)
}

/**
 * The flags of one verified token. Reads never throw for a flag, convert nothing and ask nobody. Threads may share it.
 *
 * Where its reader follows the watermark, what the newest one overrules is overruled at each read.
 */
public class FlagSet internal constructor(
    internal val native: NativeFlagSet,
    private val watermark: Watermark? = null,
    private val onRead: ReadHook? = null,
    private val clock: () -> Long = System::currentTimeMillis,
    @Volatile private var table: Table? = null,
) {
    /** What the core answers to every read, as of a watermark: reading is a look-up and no call. */
    internal class Table(val version: Int, val flags: Map<String, NativeValue>)

    private fun flags(): Map<String, NativeValue> {
        val version = version(watermark)
        table?.let { if (it.version == version) return it.flags }
        return native.getAllFlags().also { table = Table(version, it) }
    }

    private fun <T : Any> get(key: String, defaultValue: T, type: FlagType<T>): T =
        if (onRead == null) type.unwrap(flags()[key]) ?: defaultValue else getFlag(key, defaultValue, type).value

    /** The flag if it is there and boolean, otherwise the default. */
    public fun getBooleanFlag(key: String, defaultValue: Boolean): Boolean = get(key, defaultValue, FlagType.BOOLEAN)

    /** The flag if it is there and a string, otherwise the default. */
    public fun getStringFlag(key: String, defaultValue: String): String = get(key, defaultValue, FlagType.STRING)

    /** The flag if it is there and a whole number within ±(2^53 − 1), otherwise the default. */
    public fun getIntegerFlag(key: String, defaultValue: Long): Long = get(key, defaultValue, FlagType.INTEGER)

    /** The flag if it is there with that type, otherwise the default; and why. */
    public fun <T : Any> getFlag(key: String, defaultValue: T, type: FlagType<T>): FlagDetails<T> {
        val found = native.getFlag(key.crossable(), type.native)
        val value = type.unwrap(found.value)
        val details = FlagDetails(
            code = key,
            type = type,
            value = value ?: defaultValue,
            defaultValue = defaultValue,
            isDefault = value == null,
            reason = Reason.valueOf(found.reason),
            errorCode = found.errorCode?.let(ReadErrorCode::valueOf),
        )
        onRead?.let { hook -> runCatching { hook.onRead(details, this) } }
        return details
    }

    /** Every flag that can be read, by key: a [Boolean], a [String], a [Long] or a [JsonElement]. */
    public fun getAllFlags(): Map<String, Any> =
        flags().mapValues { (_, value) -> FlagType.all.firstNotNullOf { it.unwrap(value) } }

    /**
     * The keys of the flags that differ from those of an older set: added, taken away or changed, as the tokens carry them.
     * Sorted.
     */
    public fun changedFrom(older: FlagSet): List<String> = native.changedFrom(older.native)

    /** All the token's claims. */
    public val claims: JsonObject by lazy { Json.parseToJsonElement(native.claims()).jsonObject }

    /** The organization that the token was issued in. */
    public val organization: String? by lazy { native.organization() }

    /** The revision that was evaluated. */
    public val flagsRevision: Long? by lazy { native.flagsRevision() }

    /** Whether the token is known to be too old: it is to be refreshed. */
    public val isStale: Boolean get() = native.isStale()

    /** What the reader knows beside this token; `null` where no watermark is followed. */
    public val state: ReaderState? get() = native.state(clock())?.let(ReaderState::of)

    override fun toString(): String = "FlagSet(${flags().size} flags at revision $flagsRevision)"

    public companion object {
        /**
         * A set of these flags without a token, for unit tests. Types are those of the values: [Boolean], [String], [Int] or
         * [Long], and [JsonElement].
         *
         * @throws FlagbearerException for a value that no flag can have
         */
        public fun of(flags: Map<String, Any>): FlagSet = translated {
            FlagSet(NativeFlagSet.ofFlags(JsonObject(flags.mapValues { (key, value) -> json(key, value) }).toString().crossable()))
        }

        /** The same: `FlagSet.of("new_ai_model" to true)`. */
        public fun of(vararg flags: Pair<String, Any>): FlagSet = of(flags.toMap())

        internal fun version(watermark: Watermark?): Int = watermark?.version?.value ?: 0

        /** A flag's value as JSON. */
        internal fun json(key: String, value: Any): JsonElement = when (value) {
            is Boolean -> JsonPrimitive(value)
            is String -> JsonPrimitive(value)
            is Int, is Long -> JsonPrimitive(value as Number)
            is JsonElement -> value
            else -> throw FlagbearerException.FlagsMalformed(
                "`$key` has a value of no flag's type; give a Boolean, a String, a Long or a JsonElement",
            )
        }
    }
}
