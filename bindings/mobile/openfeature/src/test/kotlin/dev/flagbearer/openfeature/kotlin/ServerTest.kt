package dev.flagbearer.openfeature.kotlin

import dev.flagbearer.Flagbearer
import dev.flagbearer.OfflinePolicy
import dev.flagbearer.Server
import dev.flagbearer.Session
import dev.flagbearer.json
import dev.flagbearer.text
import dev.openfeature.kotlin.sdk.ImmutableContext
import dev.openfeature.kotlin.sdk.OpenFeatureAPI
import dev.openfeature.kotlin.sdk.OpenFeatureStatus
import dev.openfeature.kotlin.sdk.events.OpenFeatureProviderEvents
import dev.openfeature.kotlin.sdk.events.OpenFeatureProviderEvents.EventDetails
import dev.openfeature.kotlin.sdk.events.OpenFeatureProviderEvents.ProviderConfigurationChanged
import dev.openfeature.kotlin.sdk.events.OpenFeatureProviderEvents.ProviderReady
import dev.openfeature.kotlin.sdk.events.OpenFeatureProviderEvents.ProviderStale
import kotlin.coroutines.ContinuationInterceptor
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout

/** Against a running server, whose watermark is followed: a kill, a revival, and a token that became too old. */
@Timeout(120)
class ServerTest {
    private val server = Server().apply {
        flag("new_ai_model", "boolean", false)
        target("new_ai_model", "audience" to "all")
    }
    private val application = server.application()
    private val flagbearer = Flagbearer(server.url, application, followWatermark = true)
    private val session = Session(flagbearer, Unkept, OfflinePolicy.Fresh)
    private val client = OpenFeatureAPI.getClient()

    @AfterEach
    fun close(): Unit = runBlocking {
        OpenFeatureAPI.shutdown()
        flagbearer.close()
        server.close()
    }

    private suspend fun until(status: OpenFeatureStatus) = withTimeout(30_000) { OpenFeatureAPI.statusFlow.first { it == status } }

    @Test
    fun `a kill, a revival and a token that is too old are told and read`() = runBlocking {
        val first = server.signIn(application, "alice", "org_x")
        session.accept(first.text("access_token")!!)
        // On one thread, so that what the SDK takes for granted of a provider comes before what the provider says.
        val thread = coroutineContext[ContinuationInterceptor] as CoroutineDispatcher
        suspend fun use(provider: FlagbearerProvider) = OpenFeatureAPI.setProviderAndWait(provider, dispatcher = thread)
        use(FlagbearerProvider(session))
        val events = Channel<OpenFeatureProviderEvents>(Channel.UNLIMITED)
        val observer = launch { OpenFeatureAPI.observe<OpenFeatureProviderEvents>().collect { events.send(it) } }
        suspend fun assertTold(expected: OpenFeatureProviderEvents) = assertEquals(expected, withTimeout(30_000) { events.receive() })
        suspend fun assertChanged() = assertTold(ProviderConfigurationChanged(EventDetails(flagsChanged = setOf("new_ai_model"))))
        fun read() = client.getBooleanDetails("new_ai_model", true).let { it.value to it.reason }
        assertTold(ProviderReady())
        assertEquals(true to "CACHED", read())

        server.call("POST", "/v1/flags/new_ai_model/environments/production/kill", json())
        assertChanged()
        assertEquals(false to "DISABLED", read())

        server.call("DELETE", "/v1/flags/new_ai_model/environments/production/kill", json())
        assertChanged()
        assertEquals(true to "CACHED", read())

        server.call("POST", "/v1/environments/production/min-revision", json())
        assertTold(ProviderStale())
        until(OpenFeatureStatus.Stale)
        assertEquals(true to "STALE", read())

        // Neither another context nor another provider makes it fresh.
        OpenFeatureAPI.setEvaluationContextAndWait(ImmutableContext("alice"))
        assertTold(ProviderStale())
        until(OpenFeatureStatus.Stale)
        use(FlagbearerProvider(session))
        assertTold(ProviderStale())
        until(OpenFeatureStatus.Stale)

        session.accept(server.refresh(application, first).text("access_token")!!)
        assertTold(ProviderReady())
        until(OpenFeatureStatus.Ready)
        assertEquals(true to "CACHED", read())
        observer.cancel()
    }
}
