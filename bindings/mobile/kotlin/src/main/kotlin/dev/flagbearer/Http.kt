package dev.flagbearer

import java.io.ByteArrayOutputStream
import java.io.IOException
import java.io.InputStream
import java.net.HttpURLConnection
import java.net.URL
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async

/** A GET with what every Android and every JVM has, without credentials and without following redirects. */
internal class Http(private val scope: CoroutineScope) {
    /** The body of an answer with status 200, read no further than the core allows. */
    suspend fun get(url: String): ByteArray = exchange(url, mapOf("Accept" to "application/json"), READ_TIMEOUT) { answer ->
        if (answer.responseCode != 200) throw IOException("status ${answer.responseCode}")
        whole(answer)
    }

    /** In a coroutine of its own: what blocks cannot be cancelled, but it can be left behind, and its connection closed. */
    suspend fun <T> exchange(url: String, headers: Map<String, String>, readTimeout: Int, take: (HttpURLConnection) -> T): T {
        val connection = URL(url).openConnection() as HttpURLConnection
        connection.instanceFollowRedirects = false
        connection.useCaches = false
        connection.connectTimeout = READ_TIMEOUT
        connection.readTimeout = readTimeout
        // A body's length is then that of its header.
        connection.setRequestProperty("Accept-Encoding", "identity")
        headers.forEach(connection::setRequestProperty)
        try {
            return scope.async(Dispatchers.IO) { take(connection) }.await()
        } finally {
            connection.disconnect()
        }
    }

    /** The whole body. */
    fun whole(answer: HttpURLConnection): ByteArray {
        val most = Flagbearer.LIMITS.maxBodyBytes.toInt()
        val body = ByteArrayOutputStream()
        pieces(answer.inputStream) { piece ->
            body.write(piece)
            if (body.size() > most) throw IOException("the answer is too long")
        }
        if (body.size() < answer.contentLength) throw IOException("the answer broke off")
        return body.toByteArray()
    }

    /** The body as it comes. */
    fun pieces(body: InputStream, take: (ByteArray) -> Unit) {
        val buffer = ByteArray(16 * 1024)
        body.use {
            while (true) {
                val length = it.read(buffer)
                if (length < 0) return
                take(buffer.copyOf(length))
            }
        }
    }

    companion object {
        /** Milliseconds. Whoever asks sets a limit to the whole; this one only lets go a thread that was left behind. */
        const val READ_TIMEOUT = 10_000
    }
}
