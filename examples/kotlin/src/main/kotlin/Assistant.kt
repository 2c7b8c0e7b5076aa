import dev.flagbearer.FlagSet
import dev.flagbearer.FlagType
import dev.flagbearer.Flagbearer
import dev.flagbearer.OfflinePolicy
import dev.flagbearer.Session
import dev.flagbearer.TokenStore
import java.io.File
import kotlin.time.Duration.Companion.days
import kotlinx.serialization.json.JsonNull

/** An app whose answers depend on feature flags: all that an application has to have. */
class Assistant(issuer: String, audience: String, folder: File) : AutoCloseable {
    private val flagbearer = Flagbearer(issuer, audience, followWatermark = true)

    /** What was read last goes on to hold for a week without a network. */
    val session = Session(flagbearer, FileStore(folder.resolve("token")), OfflinePolicy.StaleAllowed(7.days))

    /** What the app does for whoever is signed in. */
    fun describe(flags: FlagSet): String {
        val model = if (flags.getBooleanFlag("new_ai_model", false)) "the new model" else "the old model"
        val limit = flags.getIntegerFlag("ai_token_limit", 500)
        val variant = flags.getStringFlag("prompt_variant", "control")
        val config = flags.getFlag("model_config", JsonNull, FlagType.JSON).value
        return "$model, $limit tokens, prompt `$variant`, $config"
    }

    override fun close() {
        flagbearer.close()
    }
}

/** A file is enough to see how it works. On Android, encrypt what is written with a key of the Keystore. */
class FileStore(private val file: File) : TokenStore {
    override suspend fun read(): String? = if (file.exists()) file.readText() else null

    override suspend fun write(kept: String?) {
        if (kept == null) file.delete() else file.writeText(kept)
    }
}
