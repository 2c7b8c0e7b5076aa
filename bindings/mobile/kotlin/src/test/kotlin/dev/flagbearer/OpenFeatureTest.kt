package dev.flagbearer

import dev.flagbearer.openfeature.FlagbearerProvider
import dev.flagbearer.testing.TestIssuer
import dev.openfeature.sdk.OpenFeatureAPI
import java.util.concurrent.CountDownLatch
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.joinAll
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout

/** What a provider tells of, behind the real SDK. What it reads is in ServerTest. */
@Timeout(60)
class OpenFeatureTest {
    private val issuer = TestIssuer()
    private val session = Session(issuer.flagbearer(), Memory(), OfflinePolicy.Fresh)
    private val api = OpenFeatureAPI.getInstance()
    private val changes = LinkedBlockingQueue<List<String>>()

    private suspend fun accept(on: Boolean) {
        session.accept(issuer.token(mapOf("new_ai_model" to on)))
    }

    @AfterEach
    fun shutdown() {
        api.shutdown()
    }

    @Test
    fun `a token that is accepted before the provider got to watch is a change`() = runBlocking {
        accept(false)
        val busy = CountDownLatch(1)
        // Nothing gets to run behind the scenes until the token was accepted.
        val blocked = List(Runtime.getRuntime().availableProcessors().coerceAtLeast(2)) {
            CoroutineScope(Dispatchers.Default).launch { busy.await() }
        }
        api.setProviderAndWait(FlagbearerProvider(session))
        api.client.onProviderConfigurationChanged { changes += it.flagsChanged.orEmpty() }
        accept(true)
        busy.countDown()
        blocked.joinAll()
        assertEquals(listOf("new_ai_model"), changes.poll(30, TimeUnit.SECONDS))
    }
}
