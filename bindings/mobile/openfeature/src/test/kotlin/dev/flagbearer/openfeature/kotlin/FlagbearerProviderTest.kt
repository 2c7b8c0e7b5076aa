package dev.flagbearer.openfeature.kotlin

import dev.flagbearer.FlagbearerException
import dev.flagbearer.OfflinePolicy
import dev.flagbearer.Session
import dev.flagbearer.TokenStore
import dev.flagbearer.element
import dev.flagbearer.testing.TestIssuer
import dev.openfeature.kotlin.sdk.FlagEvaluationDetails
import dev.openfeature.kotlin.sdk.ImmutableContext
import dev.openfeature.kotlin.sdk.OpenFeatureAPI
import dev.openfeature.kotlin.sdk.OpenFeatureStatus
import dev.openfeature.kotlin.sdk.Value
import dev.openfeature.kotlin.sdk.events.OpenFeatureProviderEvents
import dev.openfeature.kotlin.sdk.events.OpenFeatureProviderEvents.EventDetails
import dev.openfeature.kotlin.sdk.events.OpenFeatureProviderEvents.ProviderConfigurationChanged
import dev.openfeature.kotlin.sdk.events.OpenFeatureProviderEvents.ProviderError
import dev.openfeature.kotlin.sdk.events.OpenFeatureProviderEvents.ProviderReady
import dev.openfeature.kotlin.sdk.exceptions.ErrorCode
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.test.StandardTestDispatcher
import kotlinx.coroutines.test.TestScope
import kotlinx.coroutines.test.runCurrent
import kotlinx.coroutines.test.runTest
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout

/** Through OpenFeature's own API, over real tokens. */
@Timeout(60)
class FlagbearerProviderTest {
    private val issuer = TestIssuer()
    private val flagbearer = issuer.flagbearer()
    private val session = Session(flagbearer, Unkept, OfflinePolicy.Fresh)
    private val client = OpenFeatureAPI.getClient()

    @AfterEach
    fun close(): Unit = runBlocking {
        OpenFeatureAPI.shutdown()
        flagbearer.close()
    }

    private suspend fun TestScope.use(provider: FlagbearerProvider = FlagbearerProvider(session)) =
        OpenFeatureAPI.setProviderAndWait(provider, dispatcher = StandardTestDispatcher(testScheduler))

    /** What whoever observes is told, from now on. */
    private fun TestScope.events(
        observed: Flow<OpenFeatureProviderEvents> = OpenFeatureAPI.observe(),
    ): MutableList<OpenFeatureProviderEvents> =
        mutableListOf<OpenFeatureProviderEvents>().also { events -> backgroundScope.launch { observed.collect { events += it } } }

    @Test
    fun `every type is read, and nothing is converted that does not fit`() = runTest {
        session.accept(
            issuer.token(
                mapOf(
                    "new_ai_model" to true,
                    "prompt_variant" to "concise",
                    "ai_token_limit" to 5000,
                    "quota" to MAX,
                    "model_config" to
                        element(mapOf("model" to "gpt-4o", "top" to listOf(1, MAX, 0.5, true, null), "more" to mapOf("a" to "1"))),
                ),
            ),
        )
        use()
        assertEquals(OpenFeatureStatus.Ready, OpenFeatureAPI.getStatus())
        assertEquals("flagbearer", OpenFeatureAPI.getProviderMetadata()?.name)
        assertEquals(true, client.getBooleanValue("new_ai_model", false))
        assertEquals("concise", client.getStringValue("prompt_variant", "control"))
        assertEquals(5000, client.getIntegerValue("ai_token_limit", 0))
        assertEquals(5000.0, client.getDoubleValue("ai_token_limit", 0.0))
        assertEquals(MAX.toDouble(), client.getDoubleValue("quota", 0.0))
        val config = Value.Structure(
            mapOf(
                "model" to Value.String("gpt-4o"),
                "top" to Value.List(
                    listOf(Value.Integer(1), Value.Double(MAX.toDouble()), Value.Double(0.5), Value.Boolean(true), Value.Null),
                ),
                "more" to Value.Structure(mapOf("a" to Value.String("1"))),
            ),
        )
        assertEquals(config, client.getObjectValue("model_config", Value.Null))

        fun assertRefused(code: ErrorCode, default: Any, details: FlagEvaluationDetails<*>) =
            assertEquals(listOf(default, "ERROR", code), listOf(details.value, details.reason, details.errorCode), details.errorMessage)
        assertRefused(ErrorCode.TYPE_MISMATCH, 7, client.getIntegerDetails("quota", 7))
        assertEquals("`quota` does not fit 32 bits: read it as a double", client.getIntegerDetails("quota", 7).errorMessage)
        assertRefused(ErrorCode.FLAG_NOT_FOUND, "default", client.getStringDetails("missing", "default"))
        assertRefused(ErrorCode.TYPE_MISMATCH, "default", client.getStringDetails("new_ai_model", "default"))
        assertRefused(ErrorCode.TYPE_MISMATCH, 0.5, client.getDoubleDetails("prompt_variant", 0.5))
        assertRefused(ErrorCode.TYPE_MISMATCH, Value.Integer(1), client.getObjectDetails("ai_token_limit", Value.Integer(1)))
    }

    @Test
    fun `an answer says where it comes from, and nobody else's context changes it`() = runTest {
        session.accept(issuer.token(mapOf("new_ai_model" to true), user = "alice", flagsRevision = 41))
        use()
        OpenFeatureAPI.setEvaluationContextAndWait(ImmutableContext("bob"))
        val details = client.getBooleanDetails("new_ai_model", false)
        assertEquals(listOf(true, "CACHED", null), listOf(details.value, details.reason, details.errorCode))
        assertEquals(listOf("41", "alice"), listOf(details.metadata.getString("version"), details.metadata.getString("contextId")))
        assertEquals(OpenFeatureStatus.Ready, OpenFeatureAPI.getStatus())
    }

    @Test
    fun `whoever observes is told the state and which flags read otherwise, from sign-in to sign-out`() = runTest {
        val events = events()
        val signedOut = ProviderError(EventDetails(message = "nobody is signed in", errorCode = ErrorCode.PROVIDER_NOT_READY))
        fun assertTold(vararg expected: OpenFeatureProviderEvents) {
            runCurrent()
            assertEquals(expected.toList(), events)
            events.clear()
        }
        fun changed(vararg keys: String) = ProviderConfigurationChanged(EventDetails(flagsChanged = keys.toSet()))
        fun assertSignedOut() {
            val status = OpenFeatureAPI.getStatus() as OpenFeatureStatus.Error
            assertEquals(ErrorCode.PROVIDER_NOT_READY, status.error.errorCode())
            val details = client.getBooleanDetails("a", true)
            assertEquals(listOf(true, ErrorCode.PROVIDER_NOT_READY), listOf(details.value, details.errorCode))
        }

        use()
        assertSignedOut()
        assertTold(signedOut)
        assertSignedOut()

        session.accept(issuer.token(mapOf("a" to true, "b" to "one", "c" to 1)))
        assertTold(ProviderReady(), changed("a", "b", "c"))
        assertEquals(OpenFeatureStatus.Ready, OpenFeatureAPI.getStatus())

        session.accept(issuer.token(mapOf("a" to true, "b" to "two", "d" to 1), flagsRevision = 2))
        assertTold(changed("b", "c", "d"))

        session.accept(issuer.token(mapOf("a" to true, "b" to "two", "d" to 1), flagsRevision = 3))
        assertTold()

        assertThrows(FlagbearerException::class.java) { runBlocking { session.accept("no token") } }
        assertTold()

        OpenFeatureAPI.setEvaluationContextAndWait(ImmutableContext("alice"))
        assertTold(ProviderReady())

        session.end()
        assertTold(signedOut, changed("a", "b", "d"))
        assertSignedOut()

        OpenFeatureAPI.setEvaluationContextAndWait(ImmutableContext())
        assertSignedOut()
        assertTold(signedOut)
        assertSignedOut()
    }

    @Test
    fun `whoever comes later is told how it stands`() = runTest {
        session.accept(issuer.token(mapOf("a" to true)))
        use()
        val events = events()
        runCurrent()
        assertEquals(listOf<OpenFeatureProviderEvents>(ProviderReady()), events)
    }

    @Test
    fun `a provider that was shut down says nothing more, until it is used again`() = runTest {
        session.accept(issuer.token(mapOf("a" to true)))
        val provider = FlagbearerProvider(session)
        use(provider)
        val events = events(provider.observe())
        runCurrent()
        OpenFeatureAPI.clearProvider()
        runCurrent()
        session.accept(issuer.token(mapOf("a" to false)))
        runCurrent()
        assertEquals(OpenFeatureStatus.NotReady, OpenFeatureAPI.getStatus())
        assertEquals(listOf<OpenFeatureProviderEvents>(ProviderReady()), events)

        use(provider)
        runCurrent()
        assertEquals(listOf<OpenFeatureProviderEvents>(ProviderReady(), ProviderReady()), events)
        assertEquals(false, client.getBooleanValue("a", true))
    }

    private companion object {
        /** The largest that a flag can hold. */
        const val MAX = 9_007_199_254_740_991
    }
}

/** For whom nothing has to outlast the app. */
object Unkept : TokenStore {
    override suspend fun read(): String? = null

    override suspend fun write(kept: String?): Unit = Unit
}
