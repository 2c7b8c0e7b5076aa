package dev.flagbearer

import com.sun.net.httpserver.HttpExchange
import com.sun.net.httpserver.HttpServer
import java.net.InetSocketAddress
import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.Executors

/** An HTTP server of whose answers a test decides. */
open class Web : AutoCloseable {
    /** What was asked for, in order. */
    val paths: MutableList<String> = CopyOnWriteArrayList()

    /** What it does with a request; that there is nothing, unless a test says otherwise. */
    @Volatile
    var answer: (HttpExchange) -> Unit = { it.send(404, "") }

    private val threads = Executors.newCachedThreadPool { Thread(it).apply { isDaemon = true } }
    private val server = HttpServer.create(InetSocketAddress("127.0.0.1", 0), 0).apply {
        executor = threads
        createContext("/") { exchange ->
            paths += exchange.requestURI.path
            try {
                answer(exchange)
            } finally {
                exchange.close()
            }
        }
        start()
    }
    val url = "http://127.0.0.1:${server.address.port}"

    override fun close() {
        server.stop(0)
        threads.shutdownNow()
    }
}

fun HttpExchange.send(status: Int, body: String, vararg headers: Pair<String, String>) {
    val bytes = body.toByteArray()
    headers.forEach { (name, value) -> responseHeaders.add(name, value) }
    sendResponseHeaders(status, if (bytes.isEmpty()) -1 else bytes.size.toLong())
    if (bytes.isNotEmpty()) responseBody.write(bytes)
}
