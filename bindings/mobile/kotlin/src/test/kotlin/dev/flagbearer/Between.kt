package dev.flagbearer

import java.io.InputStream
import java.net.InetAddress
import java.net.ServerSocket
import java.net.Socket
import java.net.URI
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.CopyOnWriteArrayList
import kotlin.concurrent.thread

/** Stands between readers and a server, as a reverse proxy does, hands everything on, and does to the watermark what a test says. */
class Between : AutoCloseable {
    /** The address of the server behind. */
    @Volatile
    lateinit var target: String

    /** What is answered to a request for the watermark, for a stream of it or not, instead of asking the server. */
    @Volatile
    var meddle: (stream: Boolean) -> String? = { null }

    /** The status of each answer about the watermark that was handed on. */
    val told: MutableList<Int> = CopyOnWriteArrayList()

    private val open = ConcurrentHashMap.newKeySet<Socket>()
    private val listener = ServerSocket(0, 50, InetAddress.getByName("127.0.0.1"))
    val url = "http://127.0.0.1:${listener.localPort}"

    init {
        thread(isDaemon = true) {
            runCatching {
                while (true) listener.accept().let { thread(isDaemon = true) { runCatching { it.use(::pass) } } }
            }
        }
    }

    private fun pass(reader: Socket) {
        val (request, headers) = head(reader.getInputStream()).let { it.first() to it.drop(1) }
        val watermark = request.startsWith("GET /v1/watermark/")
        val mine = if (watermark) meddle(headers.any { it.equals("Accept: text/event-stream", ignoreCase = true) }) else null
        if (mine != null) return reader.getOutputStream().write(mine.toByteArray())
        val address = URI(target)
        Socket(address.host, address.port).use { server ->
            val both = setOf(reader, server)
            open += both
            try {
                val onward = listOf(request) + headers.filterNot { it.startsWith("Connection:", ignoreCase = true) } + "Connection: close"
                server.getOutputStream().write(onward.joinToString("\r\n", postfix = "\r\n\r\n").toByteArray())
                val answer = server.getInputStream()
                val status = answer.readNBytes("HTTP/1.1 200".length)
                if (watermark) told += String(status).takeLast(3).toInt()
                reader.getOutputStream().write(status)
                answer.transferTo(reader.getOutputStream())
            } finally {
                open -= both
            }
        }
    }

    /** The lines of a request that has no body. */
    private fun head(input: InputStream): List<String> {
        val text = StringBuilder()
        while (!text.endsWith("\r\n\r\n")) text.append(input.read().also { check(it >= 0) }.toChar())
        return text.trimEnd().split("\r\n")
    }

    /** Every connection breaks off. */
    fun cut() = open.forEach(Socket::close)

    override fun close() {
        listener.close()
        cut()
    }
}
