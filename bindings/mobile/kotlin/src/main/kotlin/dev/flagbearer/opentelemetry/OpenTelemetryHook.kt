package dev.flagbearer.opentelemetry

import dev.flagbearer.FlagDetails
import dev.flagbearer.FlagSet
import dev.flagbearer.ReadHook
import io.opentelemetry.api.OpenTelemetry
import kotlinx.serialization.json.JsonPrimitive

/**
 * Exposures as OpenTelemetry wants them, for `Flagbearer(…, onRead = OpenTelemetryHook(openTelemetry))`: each read of a flag is
 * an event `feature_flag.evaluation` in the context of the current span, with the attributes of the semantic conventions for
 * feature flags. JSON values stay out of it: they can be large.
 *
 * @param openTelemetry takes the events; of a program that sets one globally, `GlobalOpenTelemetry.get()`
 */
public class OpenTelemetryHook(openTelemetry: OpenTelemetry) : ReadHook {
    private val logger = openTelemetry.logsBridge["flagbearer"]

    override fun onRead(details: FlagDetails<*>, flags: FlagSet) {
        val event = logger.logRecordBuilder()
            .setEventName("feature_flag.evaluation")
            .setAttribute("feature_flag.key", details.code)
            .setAttribute("feature_flag.provider.name", "flagbearer")
            .setAttribute("feature_flag.result.reason", details.reason.name.lowercase())
        when (val value = details.value) {
            is Boolean -> event.setAttribute("feature_flag.result.value", value)
            is Long -> event.setAttribute("feature_flag.result.value", value)
            is String -> event.setAttribute("feature_flag.result.value", value)
        }
        details.errorCode?.let { event.setAttribute("error.type", it.name.lowercase()) }
        flags.flagsRevision?.let { event.setAttribute("feature_flag.version", it.toString()) }
        val user = (flags.claims["sub"] as? JsonPrimitive)?.takeIf { it.isString }
        user?.let { event.setAttribute("feature_flag.context.id", it.content) }
        event.emit()
    }
}
