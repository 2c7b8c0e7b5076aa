package dev.flagbearer

import dev.flagbearer.generated.Flags
import dev.flagbearer.testing.TestIssuer
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

/** The accessors that `flagbearer codegen kotlin` writes for the flags of tests/codegen, compiled with these tests. */
class CodegenTest {
    private fun all(flags: Flags) = listOf(
        flags.newAiModel, flags.class_, flags.constructor, flags.aiTokenLimit, flags.promptVariant, flags.uiThemeF6x, flags.uiThemeF7x,
        flags.modelConfig, flags.property, flags.int, flags.direction,
    )

    @Test
    fun `an accessor answers the flag of a token`() {
        val issuer = TestIssuer()
        val config = json("models" to listOf("b"))
        val token = issuer.token(
            mapOf(
                "new_ai_model" to true, "class" to false, "constructor" to true, "ai.token-limit" to 9_007_199_254_740_991,
                "promptVariant" to "b", "ui.theme" to "blue", "ui_theme" to "red", "MODELConfig" to config,
                "property" to false, "int" to 4, "direction" to "up",
            ),
        )
        val flags = issuer.flagbearer().use { reader -> Flags(runBlocking { reader.verify(token) }) }
        assertEquals(listOf(true, false, true, 9_007_199_254_740_991, "b", "blue", "red", config, false, 4L, "up"), all(flags))
    }

    @Test
    fun `an accessor answers the default that it was generated with`() {
        val config = json("models" to listOf("a", "it's"), "deep" to mapOf("on" to true, "none" to null))
        val text = "it's \"\${5}\"\n\\ and\u2028more"
        val defaults = listOf(
            false, true, false, -9_007_199_254_740_991, text, "light", "dark", config, true, 3L, "\u202eturned\u2066",
        )
        assertEquals(defaults, all(Flags(FlagSet.of())))
    }
}
