package dev.flagbearer.openfeature.kotlin

import dev.flagbearer.FlagSet
import dev.flagbearer.FlagType
import dev.flagbearer.ReadErrorCode
import dev.flagbearer.Session
import dev.openfeature.kotlin.sdk.EvaluationContext
import dev.openfeature.kotlin.sdk.EvaluationMetadata
import dev.openfeature.kotlin.sdk.FeatureProvider
import dev.openfeature.kotlin.sdk.Hook
import dev.openfeature.kotlin.sdk.ProviderEvaluation
import dev.openfeature.kotlin.sdk.ProviderMetadata
import dev.openfeature.kotlin.sdk.Reason
import dev.openfeature.kotlin.sdk.Value
import dev.openfeature.kotlin.sdk.events.OpenFeatureProviderEvents
import dev.openfeature.kotlin.sdk.events.OpenFeatureProviderEvents.EventDetails
import dev.openfeature.kotlin.sdk.events.OpenFeatureProviderEvents.ProviderConfigurationChanged
import dev.openfeature.kotlin.sdk.events.OpenFeatureProviderEvents.ProviderError
import dev.openfeature.kotlin.sdk.events.OpenFeatureProviderEvents.ProviderReady
import dev.openfeature.kotlin.sdk.events.OpenFeatureProviderEvents.ProviderStale
import dev.openfeature.kotlin.sdk.exceptions.ErrorCode
import dev.openfeature.kotlin.sdk.exceptions.OpenFeatureError
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.combine
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.merge
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.booleanOrNull
import kotlinx.serialization.json.contentOrNull
import kotlinx.serialization.json.double
import kotlinx.serialization.json.intOrNull

/**
 * The flags of whoever is signed in, for OpenFeature's Kotlin SDK. The evaluation context decides nothing: who is asking, the
 * token says. The session stays the app's: it is neither begun nor ended here.
 *
 * An integer flag is OpenFeature's integer where it fits 32 bits, and its double always. The metadata of an answer are
 * `version`, the revision that was evaluated, and `contextId`, the user.
 */
public class FlagbearerProvider(private val session: Session) : FeatureProvider {
    override val hooks: List<Hook<*>> = emptyList()

    override val metadata: ProviderMetadata = object : ProviderMetadata {
        override val name = "flagbearer"
    }

    /** Another object for each time that the SDK was told to use this; `null` while it is not used. */
    private val use = MutableStateFlow<Any?>(null)

    /** @throws OpenFeatureError.ProviderNotReadyError while nobody is signed in; the event comes at the sign-in */
    override suspend fun initialize(initialContext: EvaluationContext?): Unit = begin()

    /** @throws OpenFeatureError.ProviderNotReadyError while nobody is signed in */
    override suspend fun onContextSet(oldContext: EvaluationContext?, newContext: EvaluationContext): Unit = begin()

    override fun shutdown() {
        use.value = null
    }

    // The SDK takes whoever comes back from either for ready, so what really holds is said again after both.
    private fun begin() {
        use.value = Any()
        if (session.flags.value == null) throw OpenFeatureError.ProviderNotReadyError(SIGNED_OUT)
    }

    /**
     * [ProviderReady], [ProviderStale] while the token is known to be too old, or [ProviderError] while nobody is signed in:
     * which of them holds at present, and whenever it is another one. [ProviderConfigurationChanged] with the keys of the flags that
     * read otherwise than before: after another token, a kill or a revival, a sign-in or a sign-out.
     */
    override fun observe(): Flow<OpenFeatureProviderEvents> = flow {
        var usedBefore: Any? = null
        var before: Readings? = null
        combine(use, readings(), ::Pair).collect { (use, now) ->
            if (use != null) {
                if (use !== usedBefore || now.status != before?.status) emit(now.status)
                val changed = before?.let(now::changedFrom).orEmpty()
                if (changed.isNotEmpty()) emit(ProviderConfigurationChanged(EventDetails(flagsChanged = changed)))
            }
            usedBefore = use
            before = now
        }
    }

    // `changes` does not tell of a sign-out, and `flags` not of a kill.
    private fun readings(): Flow<Readings> = merge(session.flags, session.changes).map { Readings.of(session.flags.value) }

    override fun getBooleanEvaluation(key: String, defaultValue: Boolean, context: EvaluationContext?): ProviderEvaluation<Boolean> =
        read(key, defaultValue, defaultValue, FlagType.BOOLEAN) { it }

    override fun getStringEvaluation(key: String, defaultValue: String, context: EvaluationContext?): ProviderEvaluation<String> =
        read(key, defaultValue, defaultValue, FlagType.STRING) { it }

    override fun getIntegerEvaluation(key: String, defaultValue: Int, context: EvaluationContext?): ProviderEvaluation<Int> =
        read(key, defaultValue, defaultValue.toLong(), FlagType.INTEGER) { value ->
            value.toInt().takeIf { it.toLong() == value }
        }

    override fun getDoubleEvaluation(key: String, defaultValue: Double, context: EvaluationContext?): ProviderEvaluation<Double> =
        read(key, defaultValue, 0, FlagType.INTEGER) { it.toDouble() }

    override fun getObjectEvaluation(key: String, defaultValue: Value, context: EvaluationContext?): ProviderEvaluation<Value> =
        read(key, defaultValue, JsonNull, FlagType.JSON, ::value)

    /** Where there is no value that OpenFeature can hold, its default. */
    private fun <T : Any, O : Any> read(
        key: String,
        otherwise: O,
        defaultValue: T,
        type: FlagType<T>,
        convert: (T) -> O?,
    ): ProviderEvaluation<O> {
        fun refused(code: ErrorCode, message: String) =
            ProviderEvaluation(otherwise, reason = Reason.ERROR.name, errorCode = code, errorMessage = message)

        val flags = session.flags.value ?: return refused(ErrorCode.PROVIDER_NOT_READY, SIGNED_OUT)
        val details = flags.getFlag(key, defaultValue, type)
        details.errorCode?.let { return refused(code(it), "`$key`, read as $type: $it") }
        val value = convert(details.value)
            ?: return refused(ErrorCode.TYPE_MISMATCH, "`$key` does not fit 32 bits: read it as a double")
        return ProviderEvaluation(value, reason = details.reason.name, metadata = metadata(flags))
    }

    private fun code(code: ReadErrorCode): ErrorCode = when (code) {
        ReadErrorCode.FLAG_NOT_FOUND -> ErrorCode.FLAG_NOT_FOUND
        ReadErrorCode.TYPE_MISMATCH -> ErrorCode.TYPE_MISMATCH
        ReadErrorCode.PARSE_ERROR -> ErrorCode.PARSE_ERROR
    }

    private fun metadata(flags: FlagSet): EvaluationMetadata = EvaluationMetadata.builder().apply {
        flags.flagsRevision?.let { putString("version", it.toString()) }
        (flags.claims["sub"] as? JsonPrimitive)?.contentOrNull?.let { putString("contextId", it) }
    }.build()

    private fun value(element: JsonElement): Value = when (element) {
        is JsonObject -> Value.Structure(element.mapValues { (_, member) -> value(member) })
        is JsonArray -> Value.List(element.map(::value))
        is JsonNull -> Value.Null
        is JsonPrimitive -> when {
            element.isString -> Value.String(element.content)
            else -> element.booleanOrNull?.let(Value::Boolean)
                ?: element.intOrNull?.let(Value::Integer)
                ?: Value.Double(element.double)
        }
    }

    /** What every read would answer at one time, and the event that tells in which state that is. */
    private class Readings(val values: Map<String, Any>, val status: OpenFeatureProviderEvents) {
        fun changedFrom(older: Readings): Set<String> =
            (values.keys + older.values.keys).filterTo(mutableSetOf()) { values[it] != older.values[it] }

        companion object {
            fun of(flags: FlagSet?): Readings = when {
                flags == null ->
                    Readings(emptyMap(), ProviderError(EventDetails(message = SIGNED_OUT, errorCode = ErrorCode.PROVIDER_NOT_READY)))
                flags.isStale -> Readings(flags.getAllFlags(), ProviderStale())
                else -> Readings(flags.getAllFlags(), ProviderReady())
            }
        }
    }

    private companion object {
        const val SIGNED_OUT = "nobody is signed in"
    }
}
