package dev.flagbearer

import com.sun.net.httpserver.HttpExchange
import dev.flagbearer.internal.NativeOptions
import java.io.IOException
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.jsonObject
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.Timeout

/** Verifying against an issuer that rotates, fails, lies and disappears. */
@Timeout(60)
class FlagbearerTest {
    private val issuer = Issuer()
    @Volatile private var ahead = 0.seconds
    private val reader = reader()

    private fun reader(fetch: Fetch? = null, onRead: ReadHook? = null) = Flagbearer(
        NativeOptions(issuer = issuer.url, audience = "api"),
        fetch,
        onRead,
        clock = { System.currentTimeMillis() + ahead.inWholeMilliseconds },
    )

    @AfterEach
    fun close() {
        reader.close()
        issuer.close()
    }

    private fun verify(token: String): FlagSet = runBlocking { reader.verify(token) }

    private inline fun <reified E : FlagbearerException> refused(code: String, token: String): E {
        val refused = assertThrows(E::class.java) { verify(token) }
        assertEquals(code, refused.code)
        assertTrue(refused.message!!.isNotEmpty())
        return refused
    }

    @TestFactory
    fun `a token that another library signed is verified`() = listOf("EdDSA", "ES256", "RS256").map { algorithm ->
        dynamicTest(algorithm) {
            issuer.rotate(algorithm)
            val flags = runBlocking { reader().verify(issuer.token()) }
            assertTrue(flags.getBooleanFlag("new_ai_model", false))
            assertEquals(listOf("user_1", "org_1", 41L), listOf(flags.claims.text("sub"), flags.organization, flags.flagsRevision))
            assertEquals("/.well-known/jwks.json", issuer.paths.single())
            issuer.paths.clear()
        }
    }

    @TestFactory
    fun `whatever is not a token is malformed, and nothing is fetched for it`() = listOf(
        "", " ", "garbage", "a.b.c", "\u0000", "\ud800", "a.\ud800.c", "\udc00\ud800", "é".repeat(1000),
        "a".repeat(1_000_000), "a.".repeat(500_000), ".".repeat(1_000_000),
    ).map { token ->
        dynamicTest("${token.take(5).map { it.code }} (${token.length})") {
            refused<FlagbearerException.TokenMalformed>("TOKEN_MALFORMED", token)
            assertEquals(emptyList<String>(), issuer.paths)
        }
    }

    @Test
    fun `forged and foreign tokens are refused, each with its class and code`() {
        val good = issuer.token()
        val (header, payload, signature) = good.split('.')
        val none = base64url(json("typ" to "at+jwt", "alg" to "none", "kid" to issuer.kid).toString().toByteArray())
        refused<FlagbearerException.AlgorithmUnsupported>("ALGORITHM_UNSUPPORTED", "$none.$payload.")
        refused<FlagbearerException.SignatureInvalid>("SIGNATURE_INVALID", "$header.$payload.${signature.dropLast(4)}AAAA")
        Issuer().use { other ->
            refused<FlagbearerException.KeyUnknown>("KEY_UNKNOWN", other.token(mapOf("iss" to issuer.url)))
            val named = other.token(mapOf("iss" to issuer.url), mapOf("kid" to issuer.kid))
            refused<FlagbearerException.SignatureInvalid>("SIGNATURE_INVALID", named)
        }
        val another = issuer.token(mapOf("iss" to "${issuer.url}/env/staging"))
        refused<FlagbearerException.IssuerMismatch>("ISSUER_MISMATCH", another)
        refused<FlagbearerException.AudienceMismatch>("AUDIENCE_MISMATCH", issuer.token(mapOf("aud" to "other")))
        refused<FlagbearerException.TypeInvalid>("TYPE_INVALID", issuer.token(header = mapOf("typ" to "JWT")))
        refused<FlagbearerException.ClaimMissing>("CLAIM_MISSING", issuer.token(mapOf("jti" to null)))
        refused<FlagbearerException.TokenExpired>("TOKEN_EXPIRED", issuer.token(mapOf("exp" to 1_700_000_000)))
        refused<FlagbearerException.TokenNotYetValid>("TOKEN_NOT_YET_VALID", issuer.token(mapOf("nbf" to 4_000_000_000)))
        refused<FlagbearerException.FlagsMalformed>("FLAGS_MALFORMED", issuer.token(mapOf("feature_flags" to "all")))
    }

    @Test
    fun `a clock that is five minutes off is told of`() {
        val token = issuer.token(mapOf("nbf" to System.currentTimeMillis() / 1000))
        verify(token)
        ahead = 6.minutes
        val expired = refused<FlagbearerException.TokenExpired>("TOKEN_EXPIRED", token)
        assertTrue(Regex("expired (59|60|61) s ago by this clock; .*compare the clocks").containsMatchIn(expired.message!!), expired.message)
        ahead = (-5).minutes
        val early = refused<FlagbearerException.TokenNotYetValid>("TOKEN_NOT_YET_VALID", token)
        assertTrue(Regex("valid in (299|300|301) s by this clock; compare the clocks").containsMatchIn(early.message!!), early.message)
    }

    @Test
    fun `the same token expires and is refused though it was good`() {
        val token = issuer.token()
        verify(token)
        ahead = 299.seconds
        verify(token)
        ahead = 306.seconds
        refused<FlagbearerException.TokenExpired>("TOKEN_EXPIRED", token)
        ahead = 0.seconds
        verify(token)
    }

    @Test
    fun `three rotations refuse no token of the new key, nor of the one before`() {
        verify(issuer.token())
        for ((rotation, algorithm) in listOf("ES256", "RS256", "EdDSA").withIndex()) {
            val former = Json.parseToJsonElement(issuer.jwks).jsonObject.list("keys").first()
            val unseen = issuer.token(mapOf("jti" to "token_2"))
            issuer.rotate(algorithm)
            issuer.jwks = json("keys" to Json.parseToJsonElement(issuer.jwks).jsonObject.list("keys") + former).toString()
            ahead = 31.seconds * (rotation + 1)
            for (token in listOf(issuer.token(), unseen)) verify(token)
        }
        assertEquals(4, issuer.paths.size)
    }

    @Test
    fun `ten thousand unknown keys cause one fetch in the cool-down`() {
        verify(issuer.token())
        val (_, payload, signature) = issuer.token().split('.')
        repeat(10_000) {
            val header = base64url("""{"typ":"at+jwt","alg":"EdDSA","kid":"unknown_$it"}""".toByteArray())
            refused<FlagbearerException.KeyUnknown>("KEY_UNKNOWN", "$header.$payload.$signature")
        }
        assertEquals(2, issuer.paths.size)
    }

    @Test
    fun `keys serve on when the server is gone, for a day`() {
        val (known, unseen) = List(4) {
            issuer.token(mapOf("jti" to "$it", "exp" to System.currentTimeMillis() / 1000 + 100 * 3600))
        }.let { it.first() to it.drop(1) }
        verify(known)
        issuer.close()
        for ((passed, token) in listOf(0.1.hours, 1.hours, 23.hours) zip unseen) {
            ahead = passed
            for (one in listOf(token, known)) assertTrue(verify(one).getBooleanFlag("new_ai_model", false))
        }
        ahead = 25.hours
        refused<FlagbearerException.KeysUnavailable>("KEYS_UNAVAILABLE", known)
    }

    @TestFactory
    fun `a bad answer makes keys unavailable, and the server is not asked again at once`(): List<DynamicTest> {
        val answers = mapOf<String, (HttpExchange) -> Unit>(
            "a status other than 200" to { it.send(404, "no") },
            "a redirect" to { it.send(302, "", "Location" to "/elsewhere") },
            "a page" to { it.send(200, "<html>") },
            "nothing" to { it.send(200, "") },
            "no keys" to { it.send(200, """{"keys":[]}""") },
            "a body that does not end" to { exchange ->
                exchange.sendResponseHeaders(200, 0)
                while (true) exchange.responseBody.write(ByteArray(65_536) { ' '.code.toByte() })
            },
            "a body that breaks off" to { exchange ->
                exchange.sendResponseHeaders(200, 1000)
                exchange.responseBody.write(issuer.jwks.toByteArray())
                exchange.responseBody.flush()
                throw IOException("broken off on purpose")
            },
        )
        return answers.map { (name, answer) ->
            dynamicTest(name) {
                issuer.answer = answer
                issuer.paths.clear()
                reader().use { reader ->
                    repeat(2) {
                        assertThrows(FlagbearerException.KeysUnavailable::class.java) { runBlocking { reader.verify(issuer.token()) } }
                    }
                }
                assertEquals(listOf("/.well-known/jwks.json"), issuer.paths)
            }
        }
    }

    @Test
    fun `an answer may have a mebibyte, and not a byte more`() {
        for ((size, code) in listOf(MEBIBYTE to null, MEBIBYTE + 1 to "KEYS_UNAVAILABLE")) {
            val body = issuer.jwks.padEnd(size)
            issuer.answer = { it.send(200, body) }
            for (fetch in listOf(null, Fetch { body.toByteArray() })) {
                reader(fetch).use { assertEquals(code, codeOf { runBlocking { it.verify(issuer.token()) } }) }
            }
        }
    }

    @Test
    fun `a body that is longer is not read to its end`() {
        val sent = AtomicInteger()
        val hungUp = CountDownLatch(1)
        issuer.answer = { exchange ->
            exchange.sendResponseHeaders(200, 0)
            exchange.responseBody.write(issuer.jwks.toByteArray())
            val blanks = ByteArray(65_536) { ' '.code.toByte() }
            try {
                // Far more than what waits between two sockets.
                while (sent.get() < 64 * MEBIBYTE) {
                    exchange.responseBody.write(blanks)
                    sent.addAndGet(blanks.size)
                }
            } catch (_: IOException) {
                hungUp.countDown()
            }
        }
        refused<FlagbearerException.KeysUnavailable>("KEYS_UNAVAILABLE", issuer.token())
        assertTrue(hungUp.await(20, TimeUnit.SECONDS), "$sent bytes were read")
    }

    @TestFactory
    fun `no redirect leads a reader elsewhere`() = listOf(DISCOVERY, "/keys").map { moved ->
        dynamicTest(moved) {
            val discovery = json("issuer" to issuer.url, "jwks_uri" to "${issuer.url}/keys").toString()
            val answers = mapOf(DISCOVERY to discovery, "/keys" to issuer.jwks)
            Web().use { elsewhere ->
                elsewhere.answer = { it.send(200, answers.getValue(it.requestURI.path)) }
                issuer.answer = {
                    val path = it.requestURI.path
                    if (path == moved) it.send(307, "", "Location" to elsewhere.url + moved) else it.send(200, answers.getValue(path))
                }
                Flagbearer(issuer.url, "api", discovery = true).use { reader ->
                    assertEquals("KEYS_UNAVAILABLE", codeOf { runBlocking { reader.verify(issuer.token()) } })
                }
                assertEquals(moved to emptyList<String>(), issuer.paths.last() to elsewhere.paths)
            }
        }
    }

    @Test
    fun `a server that never answers is given up`() {
        val done = CountDownLatch(1)
        issuer.answer = { done.await(30, TimeUnit.SECONDS) }
        refused<FlagbearerException.KeysUnavailable>("KEYS_UNAVAILABLE", issuer.token())
        done.countDown()
    }

    @Test
    fun `a client that blocks is given up`() {
        val done = CountDownLatch(1)
        val blocking = reader(fetch = { done.await(); issuer.jwks.toByteArray() })
        assertThrows(FlagbearerException.KeysUnavailable::class.java) { runBlocking { blocking.verify(issuer.token()) } }
        done.countDown()
    }

    @Test
    fun `keys are found at another address, by discovery, or by another client`() {
        issuer.answer = {
            val discovered = it.requestURI.path.endsWith("openid-configuration")
            it.send(200, if (discovered) json("issuer" to issuer.url, "jwks_uri" to "${issuer.url}/keys").toString() else issuer.jwks)
        }
        val asked = mutableListOf<String>()
        val readers = listOf(
            Flagbearer(issuer.url, "api", jwksUri = "${issuer.url}/direct"),
            Flagbearer(issuer.url, "api", discovery = true),
            Flagbearer(issuer.url, "api", fetch = { url -> asked += url; issuer.jwks.toByteArray() }),
        )
        for (reader in readers) reader.use { runBlocking { it.verify(issuer.token()) } }
        assertEquals(listOf("/direct", "/.well-known/openid-configuration", "/keys"), issuer.paths)
        assertEquals(listOf("${issuer.url}/.well-known/jwks.json"), asked)
    }

    @TestFactory
    fun `settings that cannot work are refused when the reader is made`() = mapOf(
        "no audience" to { Flagbearer("https://flags.example.com") },
        "an empty audience" to { Flagbearer("https://flags.example.com", "") },
        "no issuer" to { Flagbearer("", "api") },
        "an issuer that is no URL" to { Flagbearer("flags", "api") },
        "an issuer that is no text" to { Flagbearer("\ud800", "api") },
        "a client id without a profile" to { Flagbearer("https://flags.example.com", clientId = "app_1") },
        "an audience in a vendor's profile" to { Flagbearer("https://flags.example.com", "api", profile = Profile.KINDE) },
        "a leeway that is too long" to { Flagbearer("https://flags.example.com", "api", leeway = 61.seconds) },
        "a leeway below nothing" to { Flagbearer("https://flags.example.com", "api", leeway = (-1).milliseconds) },
        "keys in a file" to { Flagbearer("https://flags.example.com", "api", jwksUri = "file:///etc/passwd") },
    ).map { (name, make) ->
        dynamicTest(name) {
            val refused = assertThrows(FlagbearerException.ConfigurationInvalid::class.java) { make() }
            assertEquals("CONFIGURATION_INVALID", refused.code)
        }
    }

    @Test
    fun `a hundred coroutines wait for one fetch`() {
        val asked = CountDownLatch(1)
        val mayAnswer = CountDownLatch(1)
        issuer.answer = {
            asked.countDown()
            mayAnswer.await(20, TimeUnit.SECONDS)
            it.send(200, issuer.jwks)
        }
        val token = issuer.token()
        runBlocking {
            val hasty = async(Dispatchers.Default) { reader.verify(token) }
            assertTrue(asked.await(20, TimeUnit.SECONDS))
            val patient = List(100) { async(Dispatchers.Default) { reader.verify(token) } }
            hasty.cancel()
            mayAnswer.countDown()
            assertTrue(patient.awaitAll().all { it.getBooleanFlag("new_ai_model", false) })
        }
        assertEquals(1, issuer.paths.size)
    }

    @Test
    fun `threads verify and read without getting into each other's way`() {
        val tokens = List(20) {
            issuer.token(mapOf("jti" to "$it", "flags_rev" to it, "feature_flags" to mapOf("n" to mapOf("t" to "i", "v" to it))))
        }
        runBlocking(Dispatchers.Default) {
            List(8) { start ->
                async {
                    for (i in start until start + 500) {
                        val flags = reader.verify(tokens[i % 20])
                        assertEquals(i % 20L, flags.getIntegerFlag("n", -1))
                        assertEquals(flags.flagsRevision, flags.getIntegerFlag("n", -1))
                    }
                }
            }.awaitAll()
        }
        assertEquals(1, issuer.paths.size)
    }

    @Test
    fun `every read is told, and a hook that fails is nobody's trouble`() {
        val told = mutableListOf<FlagDetails<*>>()
        val reader = reader(onRead = { details, flags ->
            assertEquals("org_1", flags.organization)
            told += details
            error("on purpose")
        })
        val flags = runBlocking { reader.verify(issuer.token()) }
        assertTrue(flags.getBooleanFlag("new_ai_model", false))
        assertEquals("none", flags.getStringFlag("new_ai_model", "none"))
        assertEquals(7, flags.getIntegerFlag("missing", 7))
        assertEquals(
            listOf(Triple("new_ai_model", Reason.CACHED, null), Triple("new_ai_model", Reason.ERROR, ReadErrorCode.TYPE_MISMATCH), Triple("missing", Reason.ERROR, ReadErrorCode.FLAG_NOT_FOUND)),
            told.map { Triple(it.code, it.reason, it.errorCode) },
        )
        reader.close()
    }

    @Test
    fun `flags that no key names are not there, and no key is too strange`() {
        val flags = verify(issuer.token())
        for (key in listOf("", "\ud800", "constructor", "toString", "x".repeat(1_000_000), "\u0000")) {
            assertFalse(flags.getBooleanFlag(key, false))
            val details = flags.getFlag(key, "\udc00", FlagType.STRING)
            assertEquals(listOf(key, "\udc00", ReadErrorCode.FLAG_NOT_FOUND), listOf(details.code, details.value, details.errorCode))
        }
    }

    @Test
    fun `a reader that was closed verifies with the keys that it has, and says so where it has none`() {
        val token = issuer.token()
        verify(token)
        reader.close()
        assertTrue(verify(token).getBooleanFlag("new_ai_model", false))
        val closed = reader().apply { close() }
        assertThrows(IllegalStateException::class.java) { runBlocking { closed.verify(token) } }
    }
    private companion object {
        const val DISCOVERY = "/.well-known/openid-configuration"
        const val MEBIBYTE = 1024 * 1024
    }
}
