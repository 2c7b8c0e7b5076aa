package dev.flagbearer.openfeature

import dev.flagbearer.FlagDetails
import dev.flagbearer.FlagSet
import dev.flagbearer.FlagType
import dev.flagbearer.Session
import dev.openfeature.sdk.ErrorCode
import dev.openfeature.sdk.EvaluationContext
import dev.openfeature.sdk.EventProvider
import dev.openfeature.sdk.Metadata
import dev.openfeature.sdk.ProviderEvaluation
import dev.openfeature.sdk.ProviderEventDetails
import dev.openfeature.sdk.Value
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.cancel
import kotlinx.coroutines.flow.filterNot
import kotlinx.coroutines.flow.withIndex
import kotlinx.coroutines.launch
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.booleanOrNull
import kotlinx.serialization.json.doubleOrNull
import kotlinx.serialization.json.intOrNull

/**
 * The flags of whoever is signed in, for OpenFeature's Java SDK. The evaluation context decides nothing: who is asking, the
 * token says.
 *
 * An integer flag is OpenFeature's integer where it fits 32 bits, and its double otherwise.
 */
public class FlagbearerProvider(private val session: Session) : EventProvider() {
    private val scope = CoroutineScope(Job() + Dispatchers.Default)

    override fun getMetadata(): Metadata = Metadata { "flagbearer" }

    override fun initialize(context: EvaluationContext?) {
        // What is there already is no change; what comes before anybody watches is one.
        val there = session.flags.value
        scope.launch {
            var known = there
            var stale = false
            session.changes.withIndex().filterNot { (index, flags) -> index == 0 && flags === there }.collect { (_, flags) ->
                val changed = ProviderEventDetails.builder()
                // A kill changes what is read, and no token: then it is not known which.
                known?.let { changed.flagsChanged(flags.changedFrom(it)) }
                known = flags
                if (flags.isStale) {
                    emitProviderStale(changed.build())
                } else {
                    // To the SDK a provider is stale until it says otherwise.
                    if (stale) emitProviderReady(ProviderEventDetails.builder().build())
                    emitProviderConfigurationChanged(changed.build())
                }
                stale = flags.isStale
            }
        }
    }

    override fun shutdown() {
        scope.cancel()
        super.shutdown()
    }

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

    /** Without a value that OpenFeature can hold, its default. */
    private fun <T : Any, O : Any> read(
        key: String,
        otherwise: O,
        defaultValue: T,
        type: FlagType<T>,
        convert: (T) -> O?,
    ): ProviderEvaluation<O> {
        val answer = ProviderEvaluation.builder<O>().value(otherwise)
        val flags = session.flags.value
            ?: return answer.reason("ERROR").errorCode(ErrorCode.PROVIDER_NOT_READY).errorMessage("nobody is signed in").build()
        val details: FlagDetails<T> = flags.getFlag(key, defaultValue, type)
        answer.reason(details.reason.name)
        details.errorCode?.let { return answer.errorCode(ErrorCode.valueOf(it.name)).build() }
        val converted = convert(details.value)
            ?: return answer.reason("ERROR").errorCode(ErrorCode.TYPE_MISMATCH).errorMessage("`$key` does not fit 32 bits").build()
        return answer.value(converted).build()
    }

    private fun value(element: JsonElement): Value = when (element) {
        is JsonObject -> Value.objectToValue(element.mapValues { (_, member) -> value(member) })
        is JsonArray -> Value(element.map(::value))
        is JsonNull -> Value()
        is JsonPrimitive -> when {
            element.isString -> Value(element.content)
            element.booleanOrNull != null -> Value(element.booleanOrNull)
            element.intOrNull != null -> Value(element.intOrNull)
            else -> Value(element.doubleOrNull)
        }
    }
}
