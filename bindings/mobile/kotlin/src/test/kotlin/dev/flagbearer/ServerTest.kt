package dev.flagbearer

import dev.flagbearer.openfeature.FlagbearerProvider
import dev.openfeature.sdk.ImmutableContext
import dev.openfeature.sdk.OpenFeatureAPI
import dev.openfeature.sdk.ProviderState
import dev.openfeature.sdk.Value
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.JsonNull
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout

/** Against a running server: sign in, read, change a rule, refresh, read again; kill a flag; lose the server. */
@Timeout(120)
class ServerTest {
    private val server = Server().apply {
        flag("new_ai_model", "boolean", false)
        flag("ai_token_limit", "integer", 1000)
        flag("prompt_variant", "string", "control")
        flag("model_config", "json", json("model" to "gpt-4o"))
    }
    private val application = server.application()
    private val store = Memory()

    @AfterEach
    fun close() {
        server.close()
    }

    @Test
    fun `a changed rule is seen after the refresh, and read on while the server is down`() = runBlocking {
        val reader = Flagbearer(server.url, application)
        val session = Session(reader, store, OfflinePolicy.Fresh)
        val first = server.signIn(application, "alice", "org_x")
        val older = session.accept(first.text("access_token")!!)
        assertFalse(older.getBooleanFlag("new_ai_model", true))
        assertEquals(1000, older.getIntegerFlag("ai_token_limit", 0))
        assertEquals("control", older.getStringFlag("prompt_variant", "none"))
        assertEquals(json("model" to "gpt-4o"), older.getFlag("model_config", JsonNull, FlagType.JSON).value)

        server.target("new_ai_model", "audience" to "some", "organizations" to listOf("org_x"))
        server.target("ai_token_limit", "audience" to "some", "users" to listOf("alice"), "value" to 5000)
        assertFalse(older.getBooleanFlag("new_ai_model", true), "a token says what it was issued with")

        val second = server.refresh(application, first)
        val newer = session.accept(second.text("access_token")!!)
        assertTrue(newer.getBooleanFlag("new_ai_model", false))
        assertEquals(5000, newer.getIntegerFlag("ai_token_limit", 0))
        assertEquals(listOf("ai_token_limit", "new_ai_model"), newer.changedFrom(older))
        assertEquals("org_x", newer.organization)
        assertEquals(second.text("flags_rev"), newer.flagsRevision.toString())

        val unseen = server.refresh(application, second)
        server.stop()
        for (tokens in listOf(unseen, second)) {
            assertTrue(reader.verify(tokens.text("access_token")!!).getBooleanFlag("new_ai_model", false))
        }
        reader.close()
        // Another start of the app, without a network.
        val restarted = Session(Flagbearer(server.url, application), store, OfflinePolicy.Fresh)
        assertTrue(restarted.restore()!!.getBooleanFlag("new_ai_model", false))
        assertEquals(second.text("access_token"), restarted.accessToken)
    }

    @Test
    fun `a killed flag answers its off value in flags that are held, and its revival brings the token's back`() = runBlocking {
        val reader = Flagbearer(server.url, application, followWatermark = true)
        val session = Session(reader, store, OfflinePolicy.Fresh)
        server.target("new_ai_model", "audience" to "all")
        val flags = session.accept(server.signIn(application, "alice", "org_x").text("access_token")!!)
        suspend fun until(what: (FlagSet) -> Boolean) = withTimeout(30_000) { session.changes.first(what) }
        withTimeout(30_000) { reader.watermark!!.version.first { reader.state == ReaderState.FRESH } }
        assertTrue(flags.getBooleanFlag("new_ai_model", false))

        server.call("POST", "/v1/flags/new_ai_model/environments/production/kill", json())
        until { !it.getBooleanFlag("new_ai_model", true) }
        assertFalse(flags.getBooleanFlag("new_ai_model", true))
        assertEquals(Reason.DISABLED, flags.getFlag("new_ai_model", true, FlagType.BOOLEAN).reason)
        assertEquals(false, flags.getAllFlags()["new_ai_model"])

        server.call("DELETE", "/v1/flags/new_ai_model/environments/production/kill", json())
        until { it.getBooleanFlag("new_ai_model", false) }

        server.call("POST", "/v1/environments/production/min-revision", json())
        until { it.isStale }
        assertEquals(ReaderState.STALE, flags.state)
        assertEquals(Reason.STALE, flags.getFlag("new_ai_model", false, FlagType.BOOLEAN).reason)
        reader.close()
    }

    @Test
    fun `OpenFeature reads the flags of whoever is signed in, and is told when they change`() = runBlocking {
        val session = Session(Flagbearer(server.url, application), store, OfflinePolicy.Fresh)
        val api = OpenFeatureAPI.getInstance()
        val changes = LinkedBlockingQueue<List<String>>()
        api.setProviderAndWait(FlagbearerProvider(session))
        val client = api.client
        client.onProviderConfigurationChanged { changes += it.flagsChanged.orEmpty() }
        assertEquals("PROVIDER_NOT_READY", client.getBooleanDetails("new_ai_model", true).errorCode.name)

        val first = server.signIn(application, "alice", "org_x")
        session.accept(first.text("access_token")!!)
        assertNotNull(changes.poll(30, TimeUnit.SECONDS))
        assertFalse(client.getBooleanValue("new_ai_model", true, ImmutableContext("somebody else")))
        assertEquals(1000, client.getIntegerValue("ai_token_limit", 0))
        assertEquals(1000.0, client.getDoubleValue("ai_token_limit", 0.0))
        assertEquals("control", client.getStringValue("prompt_variant", ""))
        assertEquals("gpt-4o", client.getObjectValue("model_config", Value()).asStructure().getValue("model").asString())
        val missing = client.getStringDetails("missing", "default")
        assertEquals(listOf("default", "FLAG_NOT_FOUND"), listOf(missing.value, missing.errorCode.name))
        assertEquals("TYPE_MISMATCH", client.getStringDetails("new_ai_model", "default").errorCode.name)
        assertEquals("CACHED", client.getBooleanDetails("new_ai_model", true).reason)

        server.target("new_ai_model", "audience" to "all")
        session.accept(server.refresh(application, first).text("access_token")!!)
        assertEquals(listOf("new_ai_model"), changes.poll(30, TimeUnit.SECONDS))
        assertTrue(client.getBooleanValue("new_ai_model", false))
        api.shutdown()
    }

    @Test
    fun `OpenFeature answers the off value of a killed flag, and says when the token is too old`() = runBlocking {
        server.flag("large", "integer", 5_000_000_000)
        server.target("new_ai_model", "audience" to "all")
        val reader = Flagbearer(server.url, application, followWatermark = true)
        val session = Session(reader, store, OfflinePolicy.Fresh)
        val first = server.signIn(application, "alice", "org_x")
        session.accept(first.text("access_token")!!)
        val api = OpenFeatureAPI.getInstance()
        api.setProviderAndWait(FlagbearerProvider(session))
        val client = api.client
        val (changes, stale) = List(2) { LinkedBlockingQueue<Boolean>() }
        client.onProviderConfigurationChanged { changes += true }
        client.onProviderStale { stale += true }
        withTimeout(30_000) { reader.watermark!!.version.first { reader.state == ReaderState.FRESH } }
        assertTrue(client.getBooleanValue("new_ai_model", false))

        server.call("POST", "/v1/flags/new_ai_model/environments/production/kill", json())
        assertNotNull(changes.poll(30, TimeUnit.SECONDS))
        val killed = client.getBooleanDetails("new_ai_model", true)
        assertEquals(listOf(false, "DISABLED", null), listOf(killed.value, killed.reason, killed.errorCode))

        server.call("POST", "/v1/environments/production/min-revision", json())
        assertNotNull(stale.poll(30, TimeUnit.SECONDS))
        assertEquals("DISABLED", client.getBooleanDetails("new_ai_model", true).reason)
        val old = client.getStringDetails("prompt_variant", "")
        assertEquals(listOf("control", "STALE", null), listOf(old.value, old.reason, old.errorCode))

        assertEquals(5e9, client.getDoubleValue("large", 0.0))
        val narrow = client.getIntegerDetails("large", 7)
        assertEquals(listOf(7, "ERROR", "TYPE_MISMATCH"), listOf(narrow.value, narrow.reason, narrow.errorCode.name))

        val state = { client.providerState }
        assertEquals(ProviderState.STALE, state())
        val ready = LinkedBlockingQueue<ProviderState>()
        client.onProviderReady { ready += state() }
        ready.clear()
        session.accept(server.refresh(application, first).text("access_token")!!)
        assertEquals(ProviderState.READY, ready.poll(30, TimeUnit.SECONDS))
        api.shutdown()
        reader.close()
    }
}

/** A store for tests. */
class Memory(var kept: String? = null) : TokenStore {
    override suspend fun read() = kept

    override suspend fun write(kept: String?) {
        this.kept = kept
    }
}
