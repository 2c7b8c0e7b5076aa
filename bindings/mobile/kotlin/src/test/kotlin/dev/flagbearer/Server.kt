package dev.flagbearer

import java.io.File
import java.net.URI
import java.net.URLEncoder
import java.net.http.HttpClient
import java.net.http.HttpRequest
import java.net.http.HttpResponse
import kotlin.io.path.createTempDirectory
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonObject

/**
 * A real Flagbearer server: the binary that `cargo build` made, on a database of its own.
 *
 * @param publicUrl the issuer, where it is not the address that it listens on
 */
class Server(private val publicUrl: String? = null) : AutoCloseable {
    private val folder = createTempDirectory("flagbearer").toFile()
    private val client = HttpClient.newHttpClient()
    private lateinit var process: Process

    /** The address that it listens on: another one after each [start]. */
    lateinit var url: String
        private set

    init {
        start()
    }

    /** Again, after [stop], on the same database. */
    fun start() {
        val binary = System.getenv("FLAGBEARER_BINARY")?.let(::File) ?: PROJECT.resolve("target/debug/flagbearer")
        check(binary.exists()) { "there is no $binary: `cargo build --workspace` makes it" }
        val log = System.getenv("FLAGBEARER_TEST_LOGS")?.let { File(it, "${folder.name}.log") } ?: folder.resolve("server.log")
        val builder = ProcessBuilder(binary.path, "serve", "--listen", "127.0.0.1:0").directory(folder)
            .redirectError(ProcessBuilder.Redirect.appendTo(log))
        builder.environment() += mapOf("FLAGBEARER_ADMIN_KEY" to ADMIN_KEY, "FLAGBEARER_LOG" to LOG_LEVEL)
        publicUrl?.let { builder.environment()["FLAGBEARER_PUBLIC_URL"] = it }
        process = builder.start()
        val listens = process.inputReader().lineSequence().firstOrNull { " listens on " in it }
        url = listens?.substringAfter(" listens on ") ?: error("the server ended before it listened: ${log.readText()}")
    }

    private fun send(request: HttpRequest.Builder) = client.send(request.build(), HttpResponse.BodyHandlers.ofString())

    /** The admin API. */
    fun call(method: String, path: String, body: JsonElement): JsonObject {
        val request = HttpRequest.newBuilder(URI(url + path)).header("Authorization", "Bearer $ADMIN_KEY")
            .header("Content-Type", "application/json")
            .method(method, HttpRequest.BodyPublishers.ofString(body.toString()))
        return answer(request)
    }

    private fun answer(request: HttpRequest.Builder): JsonObject {
        val answer = send(request)
        check(answer.statusCode() in 200..299) { "${answer.statusCode()}: ${answer.body()}" }
        return Json.parseToJsonElement(answer.body()).jsonObject
    }

    fun flag(key: String, type: String, defaultValue: Any) {
        call("POST", "/v1/flags", json("key" to key, "type" to type, "default_value" to defaultValue))
    }

    fun application(): String =
        call("POST", "/v1/applications", json("name" to "app", "environment" to "production", "public" to true)).text("client_id")!!

    fun signIn(application: String, user: String, organization: String): JsonObject =
        call("POST", "/v1/sessions", json("application" to application, "user" to user, "organization" to organization))

    fun refresh(application: String, tokens: JsonObject): JsonObject {
        val form = listOf("grant_type" to "refresh_token", "client_id" to application, "refresh_token" to tokens.text("refresh_token")!!)
            .joinToString("&") { (name, value) -> "$name=${URLEncoder.encode(value, Charsets.UTF_8)}" }
        return answer(
            HttpRequest.newBuilder(URI("$url/oauth2/token")).header("Content-Type", "application/x-www-form-urlencoded")
                .POST(HttpRequest.BodyPublishers.ofString(form)),
        )
    }

    fun target(flag: String, vararg targeting: Pair<String, Any?>) {
        call("PUT", "/v1/flags/$flag/environments/production/targeting", json(*targeting))
    }

    fun stop() {
        process.destroy()
        process.waitFor()
    }

    override fun close() {
        stop()
        folder.deleteRecursively()
    }

    private companion object {
        const val ADMIN_KEY = "planted-administrator-key-0123456789abcdef"
        const val LOG_LEVEL = "trace,hyper=info,sqlx=info,h2=info,reqwest=info"
    }
}
