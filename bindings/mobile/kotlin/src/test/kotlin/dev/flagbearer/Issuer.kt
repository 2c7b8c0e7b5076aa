package dev.flagbearer

import java.security.KeyPair
import java.security.KeyPairGenerator
import java.security.Signature
import java.security.interfaces.ECPublicKey
import java.security.interfaces.EdECPublicKey
import java.security.interfaces.RSAPublicKey
import java.security.spec.ECGenParameterSpec
import java.util.Base64
import java.util.concurrent.atomic.AtomicInteger
import kotlinx.serialization.json.JsonObject

private val base64 = Base64.getUrlEncoder().withoutPadding()

fun base64url(bytes: ByteArray): String = base64.encodeToString(bytes)

/**
 * An issuer for tests: a key, a server that publishes it and can be made to fail, and tokens signed by the JDK, so that the
 * reader is not tested against itself.
 */
class Issuer(algorithm: String = "EdDSA") : Web() {
    private lateinit var keys: KeyPair
    private lateinit var algorithm: String
    lateinit var kid: String
    lateinit var jwks: String

    init {
        rotate(algorithm)
        answer = { it.send(200, jwks) }
    }

    fun rotate(algorithm: String) {
        this.algorithm = algorithm
        kid = "key_${count.incrementAndGet()}"
        keys = when (algorithm) {
            "EdDSA" -> KeyPairGenerator.getInstance("Ed25519")
            "ES256" -> KeyPairGenerator.getInstance("EC").apply { initialize(ECGenParameterSpec("secp256r1")) }
            else -> KeyPairGenerator.getInstance("RSA").apply { initialize(2048) }
        }.generateKeyPair()
        jwks = json("keys" to listOf(json("use" to "sig", "alg" to algorithm, "kid" to kid) + material())).toString()
    }

    private fun material(): JsonObject = when (val key = keys.public) {
        is EdECPublicKey -> json("kty" to "OKP", "crv" to "Ed25519", "x" to base64url(key.encoded.takeLast(32).toByteArray()))
        is ECPublicKey -> json("kty" to "EC", "crv" to "P-256", "x" to wide(key.w.affineX), "y" to wide(key.w.affineY))
        else -> (key as RSAPublicKey).let { json("kty" to "RSA", "n" to number(it.modulus), "e" to number(it.publicExponent)) }
    }

    private fun number(number: java.math.BigInteger) = base64url(number.toByteArray().dropWhile { it.toInt() == 0 }.toByteArray())

    private fun wide(number: java.math.BigInteger) =
        base64url((ByteArray(32) + number.toByteArray()).takeLast(32).toByteArray())

    /** A good token, but for the claims and members of the header that a test puts in place of the usual ones. */
    fun token(claims: Map<String, Any?> = emptyMap(), header: Map<String, Any?> = emptyMap()): String {
        val now = System.currentTimeMillis() / 1000
        val usual = mapOf(
            "iss" to url, "sub" to "user_1", "aud" to "api", "client_id" to "app_1", "iat" to now, "exp" to now + 300,
            "jti" to "token_1", "org_id" to "org_1", "flags_rev" to 41,
            "feature_flags" to mapOf("new_ai_model" to mapOf("t" to "b", "v" to true)),
        )
        val head = element(mapOf("typ" to "at+jwt", "alg" to algorithm, "kid" to kid) + header)
        return sign(head.toString(), element((usual + claims).filterValues { it != null }).toString())
    }

    fun sign(header: String, claims: String): String {
        val input = "${base64url(header.toByteArray())}.${base64url(claims.toByteArray())}"
        val name = mapOf("EdDSA" to "Ed25519", "ES256" to "SHA256withECDSAinP1363Format", "RS256" to "SHA256withRSA")
        val signature = Signature.getInstance(name.getValue(algorithm)).run {
            initSign(keys.private)
            update(input.toByteArray())
            sign()
        }
        return "$input.${base64url(signature)}"
    }

    private companion object {
        val count = AtomicInteger()
    }
}

operator fun JsonObject.plus(other: JsonObject): JsonObject = JsonObject(toMap() + other.toMap())
