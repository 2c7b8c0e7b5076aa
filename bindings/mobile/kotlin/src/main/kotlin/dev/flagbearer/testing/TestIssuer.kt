package dev.flagbearer.testing

import dev.flagbearer.FlagSet
import dev.flagbearer.Flagbearer
import dev.flagbearer.FlagbearerException
import dev.flagbearer.Profile
import dev.flagbearer.ReadHook
import dev.flagbearer.crossable
import dev.flagbearer.internal.NativeTestIssuer
import dev.flagbearer.translated
import kotlin.time.Duration
import kotlin.time.Duration.Companion.minutes
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive

/**
 * An issuer without a server, for unit tests: its tokens are written and signed as the server's are, by a key of its own.
 *
 * @param clientId the application, and in the profile of our own the tokens' audience
 * @throws FlagbearerException
 */
public class TestIssuer(
    private val issuer: String = "https://flags.example.com",
    private val clientId: String = "app_1",
    private val profile: Profile = Profile.FLAGBEARER,
) {
    private val native = translated { NativeTestIssuer(issuer.crossable(), clientId.crossable(), profile.text) }

    /** The keys that its tokens are verified with, as the text of a JWK set. */
    public val jwks: String = translated { native.jwks() }

    /** A reader of its tokens, which asks nobody. */
    public fun flagbearer(onRead: ReadHook? = null): Flagbearer {
        val isOurs = profile == Profile.FLAGBEARER
        return Flagbearer(
            issuer,
            audience = clientId.takeIf { isOurs },
            clientId = clientId.takeUnless { isOurs },
            profile = profile,
            fetch = { jwks.toByteArray() },
            onRead = onRead,
        )
    }

    /**
     * A token with these flags, whose types are those of their values: see [FlagSet.of].
     *
     * @param expiresIn below nothing for one that has expired
     * @throws FlagbearerException for a flag that cannot be
     */
    public fun token(
        flags: Map<String, Any> = emptyMap(),
        user: String = "user_1",
        organization: String? = null,
        flagsRevision: Long = 1,
        expiresIn: Duration = 5.minutes,
    ): String {
        val facts = mapOf(
            "flags" to JsonObject(flags.mapValues { (key, value) -> FlagSet.json(key, value) }),
            "user" to JsonPrimitive(user),
            "organization" to organization?.let(::JsonPrimitive),
            "flags_revision" to JsonPrimitive(flagsRevision),
            "expires_in" to JsonPrimitive(expiresIn.inWholeSeconds),
        )
        val document = JsonObject(buildMap { facts.forEach { (name, fact) -> if (fact != null) put(name, fact) } })
        return translated { native.token(document.toString().crossable(), System.currentTimeMillis()) }
    }
}
