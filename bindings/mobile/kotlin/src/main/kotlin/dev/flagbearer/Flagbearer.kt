package dev.flagbearer

import dev.flagbearer.internal.NativeKeyStep
import dev.flagbearer.internal.NativeOptions
import dev.flagbearer.internal.NativeReader
import dev.flagbearer.internal.limits
import kotlin.random.Random
import kotlin.random.nextULong
import kotlin.time.Duration
import kotlin.time.DurationUnit
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.async
import kotlinx.coroutines.cancel
import kotlinx.coroutines.delay
import kotlinx.coroutines.isActive
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeoutOrNull

/** What an application's tokens look like. */
public enum class Profile(internal val text: String) { FLAGBEARER("flagbearer"), KINDE("kinde"), WORKOS("workos") }

/** Gets the keys: from a URL to the body of an answer with status 200; throws for all else. */
public fun interface Fetch {
    public suspend fun fetch(url: String): ByteArray
}

/**
 * Verifies one issuer's tokens. Make one and keep it: it holds the issuer's keys. Threads and coroutines may share it.
 *
 * @param issuer equal to the tokens' `iss`
 * @param audience what the tokens' `aud` must contain
 * @param clientId instead of it, with [profile]: the application whose tokens are accepted
 * @param leeway how far clocks may disagree, up to a minute; five seconds unless given
 * @param jwksUri where the keys are; `<issuer>/.well-known/jwks.json` unless given
 * @param discovery look their address up in `<issuer>/.well-known/openid-configuration`
 * @param followWatermark learn within a second of killed flags and of tokens that are too old; [close] ends it
 * @param fetch used instead of [java.net.HttpURLConnection] to get the keys
 * @param onRead told of every flag that is read
 * @throws FlagbearerException.ConfigurationInvalid for settings that cannot work
 */
public class Flagbearer internal constructor(
    options: NativeOptions,
    fetch: Fetch?,
    private val onRead: ReadHook?,
    private val clock: () -> Long,
) : AutoCloseable {
    public constructor(
        issuer: String,
        audience: String? = null,
        clientId: String? = null,
        profile: Profile? = null,
        leeway: Duration? = null,
        jwksUri: String? = null,
        discovery: Boolean = false,
        followWatermark: Boolean = false,
        fetch: Fetch? = null,
        onRead: ReadHook? = null,
    ) : this(
        NativeOptions(
            issuer = issuer.crossable(),
            audience = audience?.crossable(),
            clientId = clientId?.crossable(),
            profile = profile?.text,
            leeway = leeway?.toDouble(DurationUnit.SECONDS),
            jwksUri = jwksUri?.crossable(),
            discovery = discovery,
            followSeed = if (followWatermark) Random.nextULong() else null,
        ),
        fetch,
        onRead,
        System::currentTimeMillis,
    )

    private val native: NativeReader = translated { NativeReader(options) }
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private val http = Http(scope)
    private val fetch: Fetch = fetch ?: Fetch { url -> http.get(url) }
    private var flight: Job? = null

    @Volatile
    private var refreshAt = Long.MAX_VALUE

    internal val watermark: Watermark? =
        if (options.followSeed == null) null else Watermark(native, http, clock) { keys().join() }

    init {
        watermark?.let { scope.launch { it.follow() } }
    }

    /**
     * The flags of a token. Waits for the issuer's keys where they are not held yet.
     *
     * @throws FlagbearerException
     */
    public suspend fun verify(token: String): FlagSet = withKeys { now ->
        // Before the flags are read: what comes meanwhile makes them be read again.
        val version = FlagSet.version(watermark)
        native.verifyAndRead(token.crossable(), now)?.let { (set, flags) ->
            FlagSet(set, watermark, onRead, clock, FlagSet.Table(version, flags))
        }
    }

    /** What the reader knows of the present; `null` where no watermark is followed. */
    public val state: ReaderState? get() = native.state(clock())?.let(ReaderState::of)

    /** Ends what goes on behind the scenes. Flag sets can be read on. */
    override fun close() {
        scope.cancel()
    }

    /** What [restore] reads again without a network. */
    internal suspend fun keep(token: String): String = withKeys { now -> native.keep(token.crossable(), now) }

    internal fun restore(kept: String, policy: OfflinePolicy): Pair<String, FlagSet> = translated {
        val restored = native.restore(kept.crossable(), policy.native, clock())
        restored.token to FlagSet(restored.flags, watermark, onRead, clock)
    }

    private suspend fun <T : Any> withKeys(work: (now: Long) -> T?): T {
        while (true) {
            val now = clock()
            val done = translated { work(now) }
            if (done != null) {
                if (now >= refreshAt) keys()
                return done
            }
            check(scope.isActive) { "this Flagbearer was closed; make a new one" }
            keys().join()
        }
    }

    /** Fetches keys: one fetch at a time, however many wait for it. Never fails. */
    private fun keys(): Job = synchronized(this) {
        flight?.takeIf { it.isActive } ?: scope.launch { follow() }.also { flight = it }
    }

    /** Does what the core says until there is nothing left to do. */
    private suspend fun follow() {
        while (true) {
            when (val step = native.poll(clock())) {
                is NativeKeyStep.Idle -> return run { refreshAt = step.until }
                // Only if a fetch of ours got lost, which the core finds out by itself.
                is NativeKeyStep.Pending -> delay(100)
                is NativeKeyStep.Fetch -> native.receive(step.id, body(step.url), clock())
            }
        }
    }

    private suspend fun body(url: String): ByteArray? =
        withTimeoutOrNull(LIMITS.timeoutMilliseconds.toLong()) {
            // In a coroutine of its own: one that blocks cannot be cancelled, but it can be left behind.
            val fetching = scope.async(Dispatchers.IO) { fetch.fetch(url) }
            try {
                // Whatever it was: it came to nothing.
                runCatching { fetching.await() }.getOrNull()
            } finally {
                fetching.cancel()
            }
        }

    internal companion object {
        val LIMITS by lazy { limits() }
    }
}
