package dev.flagbearer

import dev.flagbearer.internal.NativeException

/**
 * Why there are no flags. Programs look at the class or at [code], which never changes; people read the message.
 *
 * When several hold for a token, the first in the order of this file is told.
 *
 * @property code the same in every language
 */
public sealed class FlagbearerException(public val code: String, message: String) : Exception(message) {
    /** No token, or not one. */
    public class TokenMalformed internal constructor(message: String) : FlagbearerException("TOKEN_MALFORMED", message)

    /** Not EdDSA, ES256 or RS256, or not the algorithm of its key. */
    public class AlgorithmUnsupported internal constructor(message: String) : FlagbearerException("ALGORITHM_UNSUPPORTED", message)

    /** Not signed with a key of this issuer. */
    public class KeyUnknown internal constructor(message: String) : FlagbearerException("KEY_UNKNOWN", message)

    /** Not what its key signed. */
    public class SignatureInvalid internal constructor(message: String) : FlagbearerException("SIGNATURE_INVALID", message)

    /** Not an access token: an ID token, for instance. */
    public class TypeInvalid internal constructor(message: String) : FlagbearerException("TYPE_INVALID", message)

    /** A claim is not there that every access token has. */
    public class ClaimMissing internal constructor(message: String) : FlagbearerException("CLAIM_MISSING", message)

    /** Of another issuer, or another environment of it. */
    public class IssuerMismatch internal constructor(message: String) : FlagbearerException("ISSUER_MISMATCH", message)

    /** For somebody else. */
    public class AudienceMismatch internal constructor(message: String) : FlagbearerException("AUDIENCE_MISMATCH", message)

    /** Its time has passed, by the clock of this device. */
    public class TokenExpired internal constructor(message: String) : FlagbearerException("TOKEN_EXPIRED", message)

    /** Its time has not come, by the clock of this device. */
    public class TokenNotYetValid internal constructor(message: String) : FlagbearerException("TOKEN_NOT_YET_VALID", message)

    /** The token is good, but its flags are neither of the known shapes. */
    public class FlagsMalformed internal constructor(message: String) : FlagbearerException("FLAGS_MALFORMED", message)

    /** Says nothing about the token: the issuer's keys could not be fetched, and none are held. Try again. */
    public class KeysUnavailable internal constructor(message: String) : FlagbearerException("KEYS_UNAVAILABLE", message)

    /** A [Flagbearer] was given settings that cannot work. */
    public class ConfigurationInvalid internal constructor(message: String) : FlagbearerException("CONFIGURATION_INVALID", message)

    /**
     * What a document of [dev.flagbearer.testing] was refused for.
     *
     * @property pointer the member at fault, as a JSON pointer
     */
    public class DocumentRefused internal constructor(code: String, message: String, public val pointer: String) :
        FlagbearerException(code, message)

    internal companion object {
        private val classes: Map<String, (String) -> FlagbearerException> = listOf(
            ::TokenMalformed, ::AlgorithmUnsupported, ::KeyUnknown, ::SignatureInvalid, ::TypeInvalid, ::ClaimMissing,
            ::IssuerMismatch, ::AudienceMismatch, ::TokenExpired, ::TokenNotYetValid, ::FlagsMalformed, ::KeysUnavailable,
            ::ConfigurationInvalid,
        ).associateBy { it("").code }

        fun of(refused: NativeException.Refused): FlagbearerException =
            classes[refused.code]?.invoke(refused.detail)
                ?: DocumentRefused(refused.code, refused.detail, refused.pointer)
    }
}

/** The one translation of the core's errors. */
internal inline fun <T> translated(work: () -> T): T =
    try {
        work()
    } catch (refused: NativeException.Refused) {
        throw FlagbearerException.of(refused)
    }

/** What UTF-8 cannot write cannot cross the border: it is no token and no flag's key, and neither is the empty text. */
internal fun String.crossable(): String {
    var index = 0
    while (index < length) {
        if (this[index].isSurrogate()) {
            if (!this[index].isHighSurrogate() || index + 1 == length || !this[index + 1].isLowSurrogate()) return ""
            index++
        }
        index++
    }
    return this
}
