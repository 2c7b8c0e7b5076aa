package dev.flagbearer

import kotlinx.serialization.json.JsonNull
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class FlagSetTest {
    @Test
    fun `a set made for a unit test reads like one of a token`() {
        val flags = FlagSet.of("on" to true, "variant" to "b", "limit" to 5, "most" to 9_007_199_254_740_991, "config" to json("a" to 1))
        assertTrue(flags.getBooleanFlag("on", false))
        assertEquals("b", flags.getStringFlag("variant", ""))
        assertEquals(listOf(5L, 9_007_199_254_740_991), listOf("limit", "most").map { flags.getIntegerFlag(it, 0) })
        assertEquals(json("a" to 1), flags.getFlag("config", JsonNull, FlagType.JSON).value)
        assertEquals(ReadErrorCode.TYPE_MISMATCH, flags.getFlag("on", "", FlagType.STRING).errorCode)
        assertEquals(listOf("on"), flags.changedFrom(FlagSet.of(flags.getAllFlags() - "on")))
    }

    @Test
    fun `a value of no flag's type is refused, and says what to give`() {
        val refused = assertThrows(FlagbearerException.FlagsMalformed::class.java) { FlagSet.of("ratio" to 0.5) }
        assertTrue(refused.message!!.contains("`ratio`"))
    }

    @Test
    fun `an integer out of range is no integer flag`() {
        val flags = FlagSet.of("limit" to Long.MAX_VALUE)
        assertEquals(7, flags.getIntegerFlag("limit", 7))
        assertEquals(ReadErrorCode.TYPE_MISMATCH, flags.getFlag("limit", 7, FlagType.INTEGER).errorCode)
    }

    @Test
    fun `the version is the project's`() {
        val cargo = Regex("""(?m)^version = "(.+)"$""").find(PROJECT.resolve("Cargo.toml").readText())!!.groupValues[1]
        assertTrue(PROJECT.resolve("bindings/mobile/kotlin/pom.xml").readText().contains("<version>$cargo</version>\n  <name>"))
    }
}
