/**
 * What it costs to verify a token and to read its flags, beside the JVM's most used library: CPU time, which others on the machine
 * disturb least, as medians of rounds that alternate.
 */
package dev.flagbearer.bench

import com.nimbusds.jose.JOSEObjectType
import com.nimbusds.jose.JWSAlgorithm
import com.nimbusds.jose.JWSHeader
import com.nimbusds.jose.JWSSigner
import com.nimbusds.jose.crypto.ECDSASigner
import com.nimbusds.jose.crypto.Ed25519Signer
import com.nimbusds.jose.crypto.Ed25519Verifier
import com.nimbusds.jose.crypto.RSASSASigner
import com.nimbusds.jose.jwk.Curve
import com.nimbusds.jose.jwk.JWK
import com.nimbusds.jose.jwk.JWKSet
import com.nimbusds.jose.jwk.OctetKeyPair
import com.nimbusds.jose.jwk.gen.ECKeyGenerator
import com.nimbusds.jose.jwk.gen.OctetKeyPairGenerator
import com.nimbusds.jose.jwk.gen.RSAKeyGenerator
import com.nimbusds.jose.jwk.source.ImmutableJWKSet
import com.nimbusds.jose.proc.DefaultJOSEObjectTypeVerifier
import com.nimbusds.jose.proc.JWSVerificationKeySelector
import com.nimbusds.jose.proc.SecurityContext
import com.nimbusds.jwt.JWTClaimsSet
import com.nimbusds.jwt.SignedJWT
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier
import com.nimbusds.jwt.proc.DefaultJWTProcessor
import dev.flagbearer.Flagbearer
import dev.flagbearer.FlagSet
import java.lang.management.ManagementFactory
import java.util.Date
import java.util.UUID
import kotlinx.coroutines.runBlocking

const val ISSUER = "https://flags.example.com"

/** Thirty typed flags, 1.2 KB of claims. */
val FLAGS: Map<String, Any> = (0 until 30).associate { number ->
    "flag_number_$number" to when (number % 3) {
        0 -> mapOf("t" to "b", "v" to true)
        1 -> mapOf("t" to "i", "v" to number)
        else -> mapOf("t" to "s", "v" to "variant")
    }
}

class Case(val algorithm: JWSAlgorithm, private val key: JWK, private val signer: JWSSigner) {
    val jwks = JWKSet(key.toPublicJWK())

    fun tokens(count: Int): List<String> = List(count) {
        val now = System.currentTimeMillis()
        val claims = JWTClaimsSet.Builder().issuer(ISSUER).subject("user_1").audience("api").claim("client_id", "app_1")
            .issueTime(Date(now)).expirationTime(Date(now + 3_600_000)).jwtID(UUID.randomUUID().toString())
            .claim("org_id", "org_1").claim("flags_rev", 41).claim("feature_flags", FLAGS).build()
        val header = JWSHeader.Builder(algorithm).type(JOSEObjectType("at+jwt")).keyID(key.keyID).build()
        SignedJWT(header, claims).apply { sign(signer) }.serialize()
    }

    /** As nimbus's own documentation sets it up; EdDSA is not among what its key selector knows. */
    fun peer(): (String) -> Boolean {
        val times = DefaultJWTClaimsVerifier<SecurityContext>("api", JWTClaimsSet.Builder().issuer(ISSUER).build(), setOf("sub", "exp"))
        val verify: (String) -> JWTClaimsSet = if (key is OctetKeyPair) {
            val verifier = Ed25519Verifier(key.toPublicJWK());
            { token ->
                val parsed = SignedJWT.parse(token)
                check(parsed.verify(verifier))
                parsed.jwtClaimsSet.also { times.verify(it, null) }
            }
        } else {
            val processor = DefaultJWTProcessor<SecurityContext>()
            processor.jwsTypeVerifier = DefaultJOSEObjectTypeVerifier(JOSEObjectType("at+jwt"))
            processor.jwsKeySelector = JWSVerificationKeySelector(algorithm, ImmutableJWKSet(jwks))
            processor.jwtClaimsSetVerifier = times;
            { token -> processor.process(token, null) }
        }
        return { token -> (verify(token).getJSONObjectClaim("feature_flags").getValue("flag_number_0") as Map<*, *>)["v"] as Boolean }
    }
}

fun cases(): List<Case> {
    val ed = OctetKeyPairGenerator(Curve.Ed25519).keyID("ed").generate()
    val ec = ECKeyGenerator(Curve.P_256).keyID("ec").generate()
    val rsa = RSAKeyGenerator(2048).keyID("rsa").generate()
    return listOf(
        Case(JWSAlgorithm.EdDSA, ed, Ed25519Signer(ed)),
        Case(JWSAlgorithm.ES256, ec, ECDSASigner(ec)),
        Case(JWSAlgorithm.RS256, rsa, RSASSASigner(rsa)),
    )
}

private val threads = ManagementFactory.getThreadMXBean()

/** Of all threads, in nanoseconds: the one that frees what is native is ours as well. */
fun cpu(): Long = threads.allThreadIds.sumOf { maxOf(threads.getThreadCpuTime(it), 0) }

/** Microseconds for one. */
fun time(tokens: List<String>, work: (String) -> Boolean): Double {
    val start = cpu()
    for (token in tokens) check(work(token))
    return (cpu() - start) / 1000.0 / tokens.size
}

fun median(rounds: List<Double>) = rounds.sorted()[rounds.size / 2]

fun print(what: String, ours: Double, peer: Double) = println("%-36s %8.2f µs %8.2f µs %6.2f".format(what, ours, peer, ours / peer))

const val ROUNDS = 21
const val TOKENS = 1000

/** @param algorithms those to measure; all three without any */
fun main(vararg algorithms: String) {
    println("%-36s %11s %11s %6s".format("CPU time", "ours", "nimbus", "ratio"))
    for (case in cases().filter { algorithms.isEmpty() || it.algorithm.name in algorithms }) {
        val peer = case.peer()
        fun reader() = Flagbearer(ISSUER, "api", fetch = { case.jwks.toString().toByteArray() })
        fun Flagbearer.ours(token: String) = runBlocking { verify(token) }.getBooleanFlag("flag_number_0", false)
        val tokens = case.tokens(TOKENS)
        val other = case.tokens(1).single()
        val first = List(ROUNDS) {
            // Another one each round, which has the keys and has seen none of the tokens.
            reader().use { reader ->
                reader.ours(other)
                time(tokens, reader::ours) to time(tokens, peer)
            }
        }
        print("${case.algorithm}, first time, and a read", median(first.map { it.first }), median(first.map { it.second }))
        val same = List(TOKENS) { String(other.toCharArray()) }
        val again = reader().use { reader -> List(ROUNDS) { time(same, reader::ours) to time(same, peer) } }
        print("${case.algorithm}, the same again, and a read", median(again.map { it.first }), median(again.map { it.second }))
    }
    val flags: FlagSet = FlagSet.of((0 until 30).associate { "flag_number_$it" to true })
    val keys = List(1_000_000) { "flag_number_0" }
    val read = List(ROUNDS) { time(keys) { flags.getBooleanFlag(it, false) } }
    println("%-36s %8.1f ns".format("a read", median(read) * 1000))
}
