package dev.flagbearer.example

import android.os.Bundle
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.lifecycle.Lifecycle
import androidx.lifecycle.lifecycleScope
import androidx.lifecycle.repeatOnLifecycle
import kotlinx.coroutines.launch

/** Shows what the flags say, and again whenever they say otherwise. */
class MainActivity : ComponentActivity() {
    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        val text = TextView(this).also(::setContentView)
        val session = (application as App).session
        lifecycleScope.launch {
            repeatOnLifecycle(Lifecycle.State.STARTED) {
                session.changes.collect { flags ->
                    val model = if (flags.getBooleanFlag("new_ai_model", false)) "the new model" else "the old model"
                    text.text = "$model, ${flags.getIntegerFlag("ai_token_limit", 500)} tokens"
                }
            }
        }
        // Wherever your sign-in gets an access token, at first and after each refresh: session.accept(accessToken)
    }
}
