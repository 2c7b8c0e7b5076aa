package dev.flagbearer

import dev.flagbearer.internal.NativeCame
import dev.flagbearer.internal.NativeReader
import dev.flagbearer.internal.NativeWatermarkStep
import java.net.HttpURLConnection
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Job
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.job
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.withTimeoutOrNull

/** Follows the watermark: the network and the pauses that the core asks for. What to do when, and what to believe, it decides. */
internal class Watermark(
    private val native: NativeReader,
    private val http: Http,
    private val clock: () -> Long,
    private val fetchKeys: suspend () -> Unit,
) {
    private val counter = MutableStateFlow(0)
    private val somethingCame = Channel<Unit>(Channel.CONFLATED)

    /** Another one each time that something came, and flags may read otherwise. */
    val version: StateFlow<Int> get() = counter

    /** Does what the core says, for ever. */
    suspend fun follow(): Unit = coroutineScope {
        var underWay: Job? = null
        while (true) {
            when (val step = native.pollWatermark(clock()) ?: return@coroutineScope) {
                // A clock that was set back must not stretch a pause.
                is NativeWatermarkStep.Wait ->
                    withTimeoutOrNull((step.until - clock()).coerceIn(1, LONGEST_PAUSE)) { somethingCame.receive() }
                is NativeWatermarkStep.KeysNeeded -> fetchKeys()
                is NativeWatermarkStep.Get -> {
                    underWay?.cancel()
                    underWay = launch { take(step.id) { get(step) } }
                }
                is NativeWatermarkStep.Stream -> {
                    underWay?.cancel()
                    underWay = launch { take(step.id) { stream(step) } }
                }
            }
        }
    }

    private fun came(id: ULong, what: NativeCame) {
        native.receiveWatermark(id, what, clock())
        counter.update { it + 1 }
        somethingCame.trySend(Unit)
    }

    private suspend fun take(id: ULong, work: suspend () -> Unit) {
        try {
            work()
        } catch (cancelled: CancellationException) {
            // Given up by the core, or only by the time limit.
            currentJob().ensureActive()
        } catch (_: Exception) {
            // Whatever it was: it came to nothing.
        }
        // The core passes over what is said of a step that has come to its end already.
        came(id, NativeCame.Failed)
    }

    private suspend fun get(step: NativeWatermarkStep.Get) {
        val headers = mapOf("Accept" to "application/jwt, application/json") +
            (step.etag?.let { mapOf("If-None-Match" to it) } ?: emptyMap())
        val came = withTimeout(Flagbearer.LIMITS.timeoutMilliseconds.toLong()) {
            http.exchange(step.url, headers, Http.READ_TIMEOUT) { answer ->
                when (answer.responseCode) {
                    HttpURLConnection.HTTP_OK -> NativeCame.Body(http.whole(answer), answer.getHeaderField("ETag"))
                    HttpURLConnection.HTTP_NOT_MODIFIED -> NativeCame.NotModified
                    else -> NativeCame.Failed
                }
            }
        }
        came(step.id, came)
    }

    private suspend fun stream(step: NativeWatermarkStep.Stream) {
        // Lasts; the core says when it has been silent for too long.
        http.exchange(step.url, mapOf("Accept" to "text/event-stream"), LONGEST_PAUSE.toInt()) { answer ->
            if (answer.responseCode == HttpURLConnection.HTTP_OK) {
                http.pieces(answer.inputStream) { came(step.id, NativeCame.Bytes(it)) }
            }
        }
    }

    private suspend fun currentJob(): Job = kotlin.coroutines.coroutineContext.job

    private companion object {
        /** Milliseconds; longer than any pause of the core's. */
        const val LONGEST_PAUSE = 60_000L
    }
}
