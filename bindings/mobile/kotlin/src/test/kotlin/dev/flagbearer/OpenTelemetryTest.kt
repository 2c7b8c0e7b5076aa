package dev.flagbearer

import dev.flagbearer.opentelemetry.OpenTelemetryHook
import dev.flagbearer.testing.TestIssuer
import io.opentelemetry.api.common.AttributeKey
import io.opentelemetry.sdk.OpenTelemetrySdk
import io.opentelemetry.sdk.logs.SdkLoggerProvider
import io.opentelemetry.sdk.logs.export.SimpleLogRecordProcessor
import io.opentelemetry.sdk.testing.exporter.InMemoryLogRecordExporter
import io.opentelemetry.sdk.trace.SdkTracerProvider
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.JsonNull
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Exposures through the real OpenTelemetry SDK. */
class OpenTelemetryTest {
    private val exporter = InMemoryLogRecordExporter.create()
    private val sdk = OpenTelemetrySdk.builder()
        .setLoggerProvider(SdkLoggerProvider.builder().addLogRecordProcessor(SimpleLogRecordProcessor.create(exporter)).build())
        .setTracerProvider(SdkTracerProvider.builder().build())
        .build()
    private val issuer = TestIssuer()
    private val reader = issuer.flagbearer(OpenTelemetryHook(sdk))

    @AfterEach
    fun close() {
        reader.close()
        sdk.close()
    }

    private fun flags(values: Map<String, Any>) =
        runBlocking { reader.verify(issuer.token(values, user = "ann", flagsRevision = 42)) }

    @Test
    fun `each read is an event of the semantic conventions`() {
        val flags = flags(mapOf("on" to true, "limit" to 5, "variant" to "b", "config" to json("model" to "large")))
        flags.getBooleanFlag("on", false)
        flags.getIntegerFlag("limit", 0)
        flags.getStringFlag("variant", "")
        flags.getFlag("config", JsonNull, FlagType.JSON)
        flags.getIntegerFlag("variant", 7)

        val events = exporter.finishedLogRecordItems
        assertEquals(List(5) { "feature_flag.evaluation" }, events.map { it.eventName })
        assertTrue(events.all { it.instrumentationScopeInfo.name == "flagbearer" })
        fun event(key: String, reason: String, vararg more: Pair<String, Any>) = mapOf(
            "feature_flag.key" to key, "feature_flag.result.reason" to reason, "feature_flag.provider.name" to "flagbearer",
            "feature_flag.version" to "42", "feature_flag.context.id" to "ann", *more,
        )
        assertEquals(
            listOf(
                event("on", "cached", "feature_flag.result.value" to true),
                event("limit", "cached", "feature_flag.result.value" to 5L),
                event("variant", "cached", "feature_flag.result.value" to "b"),
                event("config", "cached"),
                event("variant", "error", "feature_flag.result.value" to 7L, "error.type" to "type_mismatch"),
            ),
            events.map { event -> event.attributes.asMap().mapKeys { (key: AttributeKey<*>) -> key.key } },
        )
    }

    @Test
    fun `an event belongs to the span that it was read in`() {
        val flags = flags(mapOf("on" to true))
        val span = sdk.getTracer("test").spanBuilder("request").startSpan()
        span.makeCurrent().use { flags.getBooleanFlag("on", false) }
        assertEquals(span.spanContext, exporter.finishedLogRecordItems.single().spanContext)
    }
}
