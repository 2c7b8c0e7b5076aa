package dev.flagbearer.example

import android.app.Application
import dev.flagbearer.Flagbearer
import dev.flagbearer.FlagbearerException
import dev.flagbearer.OfflinePolicy
import dev.flagbearer.Session
import kotlin.time.Duration.Companion.days
import kotlinx.coroutines.MainScope
import kotlinx.coroutines.launch

class App : Application() {
    private val flagbearer = Flagbearer(ISSUER, AUDIENCE, followWatermark = true)

    /** What was read last goes on to hold for a week without a network. */
    val session by lazy { Session(flagbearer, KeystoreStore(this), OfflinePolicy.StaleAllowed(7.days)) }

    override fun onCreate() {
        super.onCreate()
        MainScope().launch {
            try {
                session.restore()
            } catch (_: FlagbearerException) {
                // Too old, or not ours: as after a sign-out, until the next sign-in.
                session.end()
            }
        }
    }

    private companion object {
        // Your server's public URL, and your application's audience: its client id unless it was given another.
        const val ISSUER = "https://flags.example.com"
        const val AUDIENCE = "app_1"
    }
}
