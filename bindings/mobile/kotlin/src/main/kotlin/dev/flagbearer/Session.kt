package dev.flagbearer

import dev.flagbearer.internal.NativeOffline
import kotlin.time.Duration
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.combine
import kotlinx.coroutines.flow.distinctUntilChanged
import kotlinx.coroutines.flow.filterNotNull
import kotlinx.coroutines.flow.flowOf
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.withContext

/**
 * Where an app keeps one text between its starts. It holds the access token: use what the platform protects secrets with.
 */
public interface TokenStore {
    /** What was written last; `null` where there is nothing. */
    public suspend fun read(): String?

    /** Replaces it; `null` takes it away. */
    public suspend fun write(kept: String?)
}

/** How far a kept token is believed after its time, while nobody can refresh it. */
public sealed interface OfflinePolicy {
    /** Not at all: [Session.restore] throws [FlagbearerException.TokenExpired]. */
    public data object Fresh : OfflinePolicy

    /** For so much longer. Its flags are then read with [Reason.STALE]. */
    public data class StaleAllowed(public val duration: Duration) : OfflinePolicy

    /** Not at all, but it is no error either: every read answers its default. */
    public data object ExpiredDefaults : OfflinePolicy
}

internal val OfflinePolicy.native: NativeOffline
    get() = when (this) {
        OfflinePolicy.Fresh -> NativeOffline.Fresh
        is OfflinePolicy.StaleAllowed -> NativeOffline.StaleAllowed(duration.inWholeSeconds)
        OfflinePolicy.ExpiredDefaults -> NativeOffline.ExpiredDefaults
    }

/**
 * The flags of whoever is signed in to an app, across its starts and without a network: [restore] when it starts, [accept]
 * each access token that it gets, [end] at sign-out.
 */
public class Session(
    private val flagbearer: Flagbearer,
    private val store: TokenStore,
    private val offline: OfflinePolicy,
) {
    private val latest = MutableStateFlow<FlagSet?>(null)
    private val mutex = Mutex()

    /** The flags at present; `null` while nobody is signed in. */
    public val flags: StateFlow<FlagSet?> = latest.asStateFlow()

    /** The flags at present, and again whenever they may read otherwise: after another token, a kill or a revival. */
    public val changes: Flow<FlagSet>
        get() = combine(latest.filterNotNull(), flagbearer.watermark?.version ?: flowOf(0)) { flags, _ ->
            Triple(flags, flags.getAllFlags(), flags.isStale)
        }.distinctUntilChanged().map { (flags) -> flags }

    /** The access token at present, for requests; `null` while nobody is signed in. */
    @Volatile
    public var accessToken: String? = null
        private set

    /**
     * The flags of the token that was accepted last, also before this start of the app; `null` where there is none. Asks
     * nobody.
     *
     * @throws FlagbearerException for a token that is not good any more, depending on the [OfflinePolicy]. What is kept stays.
     */
    public suspend fun restore(): FlagSet? = mutex.withLock {
        val kept = store.read() ?: return@withLock null
        val (token, flags) = flagbearer.restore(kept, offline)
        publish(token, flags)
        flags
    }

    /**
     * The flags of a new access token, which is kept from now on.
     *
     * @throws FlagbearerException for a token that is not good. The one before stays.
     */
    public suspend fun accept(accessToken: String): FlagSet = mutex.withLock {
        val flags = flagbearer.verify(accessToken)
        val kept = flagbearer.keep(accessToken)
        // Whoever is cancelled in the middle must not leave another token kept than is read.
        withContext(NonCancellable) {
            store.write(kept)
            publish(accessToken, flags)
        }
        flags
    }

    /** Forgets the token: nobody reads its flags any more, even if the store then fails to. */
    public suspend fun end(): Unit = mutex.withLock {
        publish(null, null)
        withContext(NonCancellable) { store.write(null) }
    }

    private fun publish(token: String?, flags: FlagSet?) {
        accessToken = token
        latest.value = flags
    }
}
