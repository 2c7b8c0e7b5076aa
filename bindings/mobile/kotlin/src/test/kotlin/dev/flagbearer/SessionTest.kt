package dev.flagbearer

import dev.flagbearer.internal.NativeOptions
import dev.flagbearer.testing.TestIssuer
import java.io.IOException
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout

/** What an app does over its starts, with and without a network. */
@Timeout(60)
class SessionTest {
    private val issuer = Issuer()
    private val issuing = TestIssuer()
    private val store = Memory()
    private var ahead = 0.seconds

    private fun session(policy: OfflinePolicy) = Session(
        Flagbearer(
            NativeOptions(issuer = issuer.url, audience = "api"),
            fetch = null,
            onRead = null,
            clock = { System.currentTimeMillis() + ahead.inWholeMilliseconds },
        ),
        store,
        policy,
    )

    @AfterEach
    fun close() {
        issuer.close()
    }

    private fun accepted(): String = issuer.token().also { runBlocking { session(OfflinePolicy.Fresh).accept(it) } }

    @Test
    fun `a kept token is read at the next start, before its time is over, without asking anybody`() = runBlocking {
        val token = accepted()
        issuer.close()
        issuer.paths.clear()
        for (policy in listOf(OfflinePolicy.Fresh, OfflinePolicy.StaleAllowed(1.hours), OfflinePolicy.ExpiredDefaults)) {
            val session = session(policy)
            assertNull(session.flags.value)
            val flags = session.restore()!!
            assertEquals(Reason.CACHED, flags.getFlag("new_ai_model", false, FlagType.BOOLEAN).reason)
            assertEquals(token, session.accessToken)
            assertEquals(flags, session.flags.value)
        }
        assertEquals(emptyList<String>(), issuer.paths)
    }

    @Test
    fun `after its time a kept token is refused, stale or without flags, as the policy says`() {
        accepted()
        ahead = 10.minutes
        assertThrows(FlagbearerException.TokenExpired::class.java) { runBlocking { session(OfflinePolicy.Fresh).restore() } }
        assertTrue(store.kept != null, "what is kept stays")
        val stale = runBlocking { session(OfflinePolicy.StaleAllowed(1.hours)).restore()!! }
        assertTrue(stale.getBooleanFlag("new_ai_model", false))
        assertTrue(stale.isStale)
        assertEquals(Reason.STALE, stale.getFlag("new_ai_model", false, FlagType.BOOLEAN).reason)
        val defaults = runBlocking { session(OfflinePolicy.ExpiredDefaults).restore()!! }
        assertFalse(defaults.getBooleanFlag("new_ai_model", false))
        assertEquals(emptyMap<String, Any>(), defaults.getAllFlags())
        ahead = 2.hours
        assertThrows(FlagbearerException.TokenExpired::class.java) {
            runBlocking { session(OfflinePolicy.StaleAllowed(1.hours)).restore() }
        }
    }

    @Test
    fun `a token that is not good takes nothing away`() = runBlocking {
        val session = session(OfflinePolicy.Fresh)
        val good = issuer.token()
        session.accept(good)
        val kept = store.kept
        assertThrows(FlagbearerException.TokenExpired::class.java) { runBlocking { session.accept(issuer.token(mapOf("exp" to 1))) } }
        assertEquals(listOf(good, kept), listOf(session.accessToken, store.kept))
        assertTrue(session.flags.value!!.getBooleanFlag("new_ai_model", false))
    }

    @Test
    fun `whoever watches sees each set of flags`() = runBlocking {
        val session = session(OfflinePolicy.Fresh)
        val seen = async(start = CoroutineStart.UNDISPATCHED) { session.changes.take(2).toList() }
        val older = session.accept(issuer.token())
        kotlinx.coroutines.yield()
        val newer = session.accept(issuer.token(mapOf("feature_flags" to emptyMap<String, Any>())))
        assertEquals(listOf(older, newer), seen.await())
        assertEquals(listOf("new_ai_model"), newer.changedFrom(older))
    }

    @Test
    fun `after the end nothing is kept`() = runBlocking {
        val session = session(OfflinePolicy.Fresh)
        session.accept(issuer.token())
        session.end()
        assertEquals(listOf(null, null, null), listOf(session.flags.value, session.accessToken, store.kept))
        assertNull(session(OfflinePolicy.Fresh).restore())
    }

    @Test
    fun `after the end nothing is read, even if the store fails`() = runBlocking {
        val session = Session(issuing.flagbearer(), Failing(), OfflinePolicy.Fresh)
        session.accept(issuing.token())
        assertThrows(IOException::class.java) { runBlocking { session.end() } }
        assertEquals(listOf(null, null), listOf(session.flags.value, session.accessToken))
    }

    @Test
    fun `whoever is cancelled while a token is kept reads what is kept`() = runBlocking {
        val (writing, written) = CompletableDeferred<Unit>() to CompletableDeferred<Unit>()
        val slow = object : TokenStore {
            var kept: String? = null

            override suspend fun read() = kept

            override suspend fun write(kept: String?) {
                this.kept = kept
                writing.complete(Unit)
                written.await()
            }
        }
        val session = Session(issuing.flagbearer(), slow, OfflinePolicy.Fresh)
        val token = issuing.token()
        val accepting = launch { session.accept(token) }
        writing.await()
        accepting.cancel()
        written.complete(Unit)
        accepting.join()
        assertTrue(token in slow.kept!!)
        assertEquals(token, session.accessToken)
    }

    @Test
    fun `a store that was tampered with is refused`() {
        accepted()
        for (kept in listOf("", "<html>", "\ud800", store.kept!!.replace("\"keys\":[{", "\"keys\":[{\"d\":\"x\","), "{}")) {
            store.kept = kept
            val refused = assertThrows(FlagbearerException::class.java) { runBlocking { session(OfflinePolicy.Fresh).restore() } }
            assertTrue(refused.code in listOf("TOKEN_MALFORMED", "KEY_UNKNOWN"), refused.code)
        }
    }
}

/** A store that forgets nothing. */
private class Failing : TokenStore {
    override suspend fun read(): String? = null

    override suspend fun write(kept: String?) {
        if (kept == null) throw IOException("the disk is full")
    }
}
