package dev.flagbearer

import dev.flagbearer.testing.TestIssuer
import kotlin.time.Duration.Companion.minutes
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.JsonNull
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

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

    @TestFactory
    fun `a token of the test issuer is read like the server's`() = Profile.entries.map { profile ->
        dynamicTest(profile.text) {
            val issuer = TestIssuer(profile = profile)
            issuer.flagbearer().use { reader ->
                val flags = runBlocking { reader.verify(issuer.token(mapOf("on" to true), "alice", "org_1", flagsRevision = 7)) }
                assertTrue(flags.getBooleanFlag("on", false))
                assertEquals(listOf("alice", "org_1", 7L), listOf(flags.claims.text("sub"), flags.organization, flags.flagsRevision))
                val expired = issuer.token(expiresIn = (-1).minutes)
                assertThrows(FlagbearerException.TokenExpired::class.java) { runBlocking { reader.verify(expired) } }
            }
            val refused = assertThrows(FlagbearerException.DocumentRefused::class.java) { issuer.token(mapOf("not a key" to true)) }
            assertEquals("KEY_INVALID", refused.code)
        }
    }

    @Test
    fun `a value of no flag's type is refused, and says what to give`() {
        val refused = assertThrows(FlagbearerException.FlagsMalformed::class.java) { FlagSet.of("ratio" to 0.5) }
        assertTrue(refused.message!!.contains("`ratio`"))
    }

    @Test
    fun `an integer out of range makes no set`() {
        val refused = assertThrows(FlagbearerException.DocumentRefused::class.java) { FlagSet.of("limit" to Long.MAX_VALUE) }
        assertEquals(listOf("VALUE_OUT_OF_RANGE", "/limit"), listOf(refused.code, refused.pointer))
    }
}
