import java.io.File
import java.net.URI
import java.net.URLEncoder
import java.net.http.HttpClient
import java.net.http.HttpRequest
import java.net.http.HttpResponse
import java.util.UUID
import kotlin.io.path.createTempDirectory
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive

/** What an administrator and a sign-in page do elsewhere, so that the app can be seen at work. */
class Installation(private val folder: File) : AutoCloseable {
    private val adminKey = UUID.randomUUID().toString()
    private val client = HttpClient.newHttpClient()
    private val process: Process

    /** The server's public URL. */
    val issuer: String

    init {
        val binary = System.getenv("FLAGBEARER_BINARY") ?: error("FLAGBEARER_BINARY is not set: run `start`")
        val log = folder.resolve("server.log")
        val builder = ProcessBuilder(binary, "serve", "--listen", "127.0.0.1:0").directory(folder).redirectError(log)
        builder.environment()["FLAGBEARER_ADMIN_KEY"] = adminKey
        process = builder.start()
        val listens = process.inputReader().lineSequence().firstOrNull { " listens on " in it }
        issuer = listens?.substringAfter(" listens on ") ?: error("the server ended: ${log.readText()}")
    }

    private fun send(request: HttpRequest.Builder): JsonObject {
        val answer = client.send(request.build(), HttpResponse.BodyHandlers.ofString())
        check(answer.statusCode() in 200..299) { "${answer.statusCode()}: ${answer.body()}" }
        return Json.parseToJsonElement(answer.body()).jsonObject
    }

    fun call(method: String, path: String, body: String = "{}"): JsonObject = send(
        HttpRequest.newBuilder(URI(issuer + path)).header("Authorization", "Bearer $adminKey").header("Content-Type", "application/json")
            .method(method, HttpRequest.BodyPublishers.ofString(body)),
    )

    fun refresh(clientId: String, refreshToken: String): JsonObject {
        val form = mapOf("grant_type" to "refresh_token", "client_id" to clientId, "refresh_token" to refreshToken)
        val body = form.entries.joinToString("&") { (name, value) -> "$name=${URLEncoder.encode(value, Charsets.UTF_8)}" }
        return send(
            HttpRequest.newBuilder(URI("$issuer/oauth2/token")).header("Content-Type", "application/x-www-form-urlencoded")
                .POST(HttpRequest.BodyPublishers.ofString(body)),
        )
    }

    override fun close() {
        process.destroy()
        process.waitFor()
    }
}

fun JsonObject.text(name: String) = getValue(name).jsonPrimitive.content

fun main() {
    val folder = createTempDirectory("flagbearer").toFile()
    try {
        runBlocking { Installation(folder).use { show(it, folder) } }
    } finally {
        folder.deleteRecursively()
    }
}

suspend fun show(installation: Installation, folder: File) {
    installation.call("POST", "/v1/flags", """{"key": "new_ai_model", "type": "boolean", "default_value": false}""")
    installation.call("POST", "/v1/flags", """{"key": "ai_token_limit", "type": "integer", "default_value": 1000}""")
    installation.call("POST", "/v1/flags", """{"key": "model_config", "type": "json", "default_value": {"model": "gpt-4o"}}""")
    val clientId = installation.call("POST", "/v1/applications", """{"name": "assistant", "environment": "production", "public": true}""")
        .text("client_id")
    val tokens = installation.call("POST", "/v1/sessions", """{"application": "$clientId", "user": "alice", "organization": "acme"}""")

    Assistant(installation.issuer, clientId, folder).use { app ->
        println("alice signs in:               ${app.describe(app.session.accept(tokens.text("access_token")))}")

        val targeting = """{"audience": "some", "organizations": ["acme"]}"""
        installation.call("PUT", "/v1/flags/new_ai_model/environments/production/targeting", targeting)
        val refreshed = installation.refresh(clientId, tokens.text("refresh_token"))
        val flags = app.session.accept(refreshed.text("access_token"))
        println("acme gets the new model:      ${app.describe(flags)}")

        installation.call("POST", "/v1/flags/new_ai_model/environments/production/kill")
        // No refresh: the flags that are held read otherwise.
        withTimeout(30_000) { app.session.changes.first { !it.getBooleanFlag("new_ai_model", true) } }
        println("the new model is killed:      ${app.describe(flags)}")
    }

    installation.close()
    Assistant(installation.issuer, clientId, folder).use { app ->
        val flags = app.session.restore() ?: error("nothing was kept")
        println("started without a network:    ${app.describe(flags)}")
    }
}
