package dev.flagbearer.testing

import dev.flagbearer.FlagSet
import dev.flagbearer.FlagbearerException
import dev.flagbearer.crossable
import dev.flagbearer.internal.NativeFlagSet
import dev.flagbearer.internal.NativeFollowed
import dev.flagbearer.translated
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import dev.flagbearer.internal.bucketsJson as nativeBuckets
import dev.flagbearer.internal.effectJson as nativeEffect
import dev.flagbearer.internal.encodeClaim as nativeClaim
import dev.flagbearer.internal.errorCodes as nativeCodes
import dev.flagbearer.internal.evaluateJson as nativeEvaluation
import dev.flagbearer.internal.signatureValid as nativeSignature
import dev.flagbearer.internal.usableKeys as nativeKeys

/**
 * Rules tried without a server, and the doors of the vectors that all languages share. Documents that are refused throw
 * [FlagbearerException.DocumentRefused].
 */
public object Testing {
    /** Evaluates `{flags, segments, overrides, context, now}`: by flag key, `{type, value, reason, rule, variant, trace}`. */
    public fun evaluate(document: JsonElement): JsonElement = through(document, ::nativeEvaluation)

    /** The buckets of `{salt, subject}`: `{rollout, split}`. */
    public fun buckets(document: JsonElement): JsonElement = through(document, ::nativeBuckets)

    /** Judges a change `{before, after, standing, dropped, override, attributes, now}`: `{effect, holdouts}`. */
    public fun effect(document: JsonElement): JsonElement = through(document, ::nativeEffect)

    /** The flag set of a `feature_flags` claim, given as JSON text. */
    public fun flagSetOfClaim(claim: String): FlagSet = translated { FlagSet(NativeFlagSet.ofClaim(claim.crossable())) }

    /** The claim of flags `{key, type, value}` that are sorted by key, in dialect `typed` or `keys`. */
    public fun encodeClaim(dialect: String, flags: JsonArray): String = translated { nativeClaim(dialect, flags.toString()) }

    /** The ids of the usable keys of a JWK set, given as JSON text. */
    public fun usableKeys(jwks: String): List<String> = translated { nativeKeys(jwks.crossable()) }

    /** Whether a signature is that of the only key of a JWK set. */
    public fun signatureValid(jwks: String, input: ByteArray, signature: ByteArray): Boolean =
        translated { nativeSignature(jwks.crossable(), input, signature) }

    /** Every code that a reader answers. */
    public fun errorCodes(): List<String> = nativeCodes()

    /** A reader that is told watermarks `{issuer, jwks, watermarks: [{at, watermark}]}` instead of getting them. */
    public class Followed(document: JsonElement) {
        private val native = translated { NativeFollowed(document.toString()) }

        /** The code that each watermark was refused with; `null` where it was not. */
        public val outcomes: List<String?> = native.outcomes()

        /** The flag set of a token's claims, read under what was believed, at a time in milliseconds since 1970. */
        public fun flagSet(claims: JsonObject, clock: () -> Long): FlagSet =
            translated { FlagSet(native.flagSet(claims.toString()), clock = clock) }
    }

    private fun through(document: JsonElement, door: (String) -> String): JsonElement =
        translated { Json.parseToJsonElement(door(document.toString().crossable())) }
}
