package dev.flagbearer

import dev.flagbearer.internal.NativeOptions
import java.net.URI
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.Timeout

/** Following the watermark of a real server, through whatever can come in between. */
@Timeout(120)
class WatermarkTest {
    private val between = Between()
    private val server = Server(between.url).apply {
        between.target = url
        flag("new_ai_model", "boolean", true)
    }
    private val application = server.application()
    private val token = server.signIn(application, "alice", "org_x").text("access_token")!!
    @Volatile private var ahead = 0.seconds
    private val reader by lazy { following(between.url) }

    private fun following(issuer: String) = Flagbearer(
        NativeOptions(issuer = issuer, audience = application, followSeed = 1u),
        fetch = null,
        onRead = null,
        clock = { System.currentTimeMillis() + ahead.inWholeMilliseconds },
    )

    @AfterEach
    fun close() {
        reader.close()
        server.close()
        between.close()
    }

    /** Whenever it was told something, or told that it would be told nothing. */
    private suspend fun until(reader: Flagbearer = this.reader, holds: () -> Boolean) =
        withTimeout(30_000) { reader.watermark!!.version.first { holds() } }

    private fun kill(method: String = "POST") = server.call(method, "/v1/flags/new_ai_model/environments/production/kill", json())

    private fun revive() = kill("DELETE")

    private fun FlagSet.isOn(otherwise: Boolean) = getBooleanFlag("new_ai_model", otherwise)

    private fun answer(status: String, contentType: String, body: String) =
        "HTTP/1.1 $status\r\nContent-Type: $contentType\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n$body"

    @Test
    fun `where streams are refused it polls, and that nothing is new is news`() = runBlocking {
        between.meddle = { stream -> answer("406 Not Acceptable", "text/plain", "").takeIf { stream } }
        val flags = reader.verify(token)
        until { reader.state == ReaderState.FRESH }
        ahead = DISCONNECTED
        assertEquals(ReaderState.DISCONNECTED, reader.state)
        until { reader.state == ReaderState.FRESH }
        assertEquals(304, between.told.last())
        kill()
        until { !flags.isOn(true) }
        assertEquals(200, between.told.last())
    }

    @Test
    fun `it survives connections that break off`() = runBlocking {
        val flags = reader.verify(token)
        until { reader.state == ReaderState.FRESH }
        between.cut()
        kill()
        until { !flags.isOn(true) }
        between.cut()
        revive()
        until { flags.isOn(false) }
        Unit
    }

    @Test
    fun `it survives the restart of the server`() = runBlocking {
        val flags = reader.verify(token)
        until { reader.state == ReaderState.FRESH }
        server.stop()
        server.start()
        between.target = server.url
        kill()
        until { !flags.isOn(true) }
        Unit
    }

    @Test
    fun `a watermark from before a kill revives nothing`() = runBlocking {
        val before = URI("${server.url}/v1/watermark/production").toURL().readText()
        val flags = reader.verify(token)
        until { reader.state == ReaderState.FRESH }
        kill()
        until { !flags.isOn(true) }
        var replays = 0
        between.meddle = { stream ->
            replays++
            if (stream) answer("200 OK", "text/event-stream", "data: $before\n\n") else answer("200 OK", "application/jwt", before)
        }
        between.cut()
        // With the next request it says that it is done with the one before.
        until { replays > 2 }
        ahead = DISCONNECTED
        assertEquals(ReaderState.DISCONNECTED, reader.state)
        assertFalse(flags.isOn(true))
        between.meddle = { null }
        revive()
        until { reader.state == ReaderState.FRESH && flags.isOn(false) }
        Unit
    }

    @Test
    fun `with the server gone it verifies on, keeps to the kill, and says that it is alone`() = runBlocking {
        val flags = reader.verify(token)
        val unseen = server.signIn(application, "bob", "org_x").text("access_token")!!
        until { reader.state == ReaderState.FRESH }
        kill()
        until { !flags.isOn(true) }
        server.stop()
        for (held in listOf(reader.verify(unseen), flags)) {
            assertFalse(held.isOn(true))
            assertEquals(ReaderState.FRESH, held.state)
        }
        ahead = DISCONNECTED
        assertEquals(listOf(ReaderState.DISCONNECTED, ReaderState.DISCONNECTED), listOf(reader.state, flags.state))
        assertFalse(flags.isOn(true))
    }

    @TestFactory
    fun `no redirect leads a follower elsewhere`() = listOf("/.well-known/openid-configuration", "/watermark").map { moved ->
        dynamicTest(moved) {
            Web().use { issuer ->
                Web().use { elsewhere ->
                    val discovery = json("issuer" to issuer.url, "watermark_endpoint" to "${issuer.url}/watermark").toString()
                    issuer.answer = {
                        val path = it.requestURI.path
                        if (path == moved) it.send(307, "", "Location" to elsewhere.url + moved) else it.send(200, discovery)
                    }
                    following(issuer.url).use { reader ->
                        // The stream, and where that fails the poll.
                        runBlocking { until(reader) { issuer.paths.count { it == moved } > 2 } }
                        assertEquals(ReaderState.DISCONNECTED to emptyList<String>(), reader.state to elsewhere.paths)
                    }
                }
            }
        }
    }

    private companion object {
        /** After so long without a word from the server a reader says so. */
        val DISCONNECTED = 31.seconds
    }
}
