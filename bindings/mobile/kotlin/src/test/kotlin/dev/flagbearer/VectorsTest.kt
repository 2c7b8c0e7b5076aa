package dev.flagbearer

import dev.flagbearer.internal.NativeOptions
import dev.flagbearer.testing.Testing
import java.util.Base64
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.boolean
import kotlinx.serialization.json.double
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

/** The shared vectors, as tests/vectors/README.md describes them: all of them but those that are named at the end. */
class VectorsTest {
    private val vectors = Vectors()

    @TestFactory
    fun `a token is accepted with its claims or refused with its code`(): List<DynamicTest> {
        val jwks = vectors.read("tokens", "jwks").toString().toByteArray()
        val now = vectors.read("tokens", "now").jsonPrimitive.long * 1000
        val verifiers = vectors.read("tokens", "verifiers").jsonObject
        val readers = verifiers.mapValues { (_, settings) -> reader(settings.jsonObject, jwks, now) }
        return vectors.each("tokens", "cases") { case ->
            val reader = readers.getValue(case.text("verifier")!!)
            val expect = case.getValue("expect").jsonObject
            val verify = { runBlocking { reader.verify(case.text("token")!!) } }
            if ("error" in expect) return@each assertEquals(expect.text("error"), codeOf { verify() })
            val flags = verify()
            val claims = expect.getValue("claims").jsonObject
            assertEquals(normal(claims), normal(flags.claims))
            assertEquals(claims.text("org_id") ?: claims.text("org_code"), flags.organization)
            assertEquals(claims["flags_rev"]?.let(::normal), flags.flagsRevision?.let { normal(JsonPrimitive(it)) })
            val carried = when (val claim = claims["feature_flags"]) {
                is JsonArray -> claim.associate { it.jsonPrimitive.content to true }
                is JsonObject -> claim.mapValues { (_, flag) -> normal(flag.jsonObject.getValue("v")) }
                else -> emptyMap()
            }
            assertEquals(carried, flags.getAllFlags().mapValues { (_, value) -> normal(element(value)) })
        }
    }

    private fun reader(settings: JsonObject, jwks: ByteArray, now: Long) = Flagbearer(
        NativeOptions(
            issuer = settings.text("issuer")!!,
            audience = settings.text("audience"),
            clientId = settings.text("client_id"),
            profile = settings.text("profile"),
            leeway = settings["leeway"]?.jsonPrimitive?.double,
        ),
        fetch = { jwks },
        onRead = null,
        clock = { now },
    )

    @TestFactory
    fun `a claim is written to the byte`() = vectors.each("claims", "encode") { case ->
        val claim = Testing.encodeClaim(case.text("dialect")!!, case.getValue("flags").jsonArray)
        assertEquals(case.text("claim"), claim)
        assertEquals(case.getValue("size").jsonPrimitive.int, claim.toByteArray().size)
    }

    @TestFactory
    fun `a claim is read or refused with its code`() = vectors.each("claims", "decode") { case ->
        val expect = case.getValue("expect").jsonObject
        val read = { Testing.flagSetOfClaim(case.text("claim")!!) }
        assertEquals(expect.text("error"), codeOf { read() })
        if ("error" in expect) return@each
        val flags = read()
        val found = flags.getAllFlags().mapValues { (_, value) -> mapOf("type" to typeOf(value).name, "value" to normal(element(value))) }
        assertEquals(normal(expect.getValue("flags")), found)
        expect["unreadable"]?.jsonObject?.forEach { (key, code) ->
            for (type in FlagType.all) assertEquals(code.jsonPrimitive.content, errorOf(flags, key, type))
        }
    }

    private fun typeOf(value: Any) = when (value) {
        is Boolean -> FlagType.BOOLEAN
        is String -> FlagType.STRING
        is Long -> FlagType.INTEGER
        else -> FlagType.JSON
    }

    private fun errorOf(flags: FlagSet, key: String, type: FlagType<*>): String? = when (type) {
        FlagType.BOOLEAN -> flags.getFlag(key, false, FlagType.BOOLEAN)
        FlagType.STRING -> flags.getFlag(key, "", FlagType.STRING)
        FlagType.INTEGER -> flags.getFlag(key, 0, FlagType.INTEGER)
        else -> flags.getFlag(key, JsonNull, FlagType.JSON)
    }.errorCode?.name

    @TestFactory
    fun `a getter answers the value or the default and why`(): List<DynamicTest> {
        val defaults = vectors.read("getters", "defaults").jsonArray.map { it.jsonObject }
        assertFalse(defaults.isEmpty())
        return vectors.each("getters", "cases") { case ->
            val flags = Testing.flagSetOfClaim(case.text("claim")!!)
            for (fallback in defaults) for ((name, expected) in case.getValue("expect").jsonObject) {
                for (type in listOf(FlagType.of(name), FlagType.of(name.take(1)))) {
                    reads(flags, case.text("key")!!, type!!, fallback.getValue(name), expected.jsonObject)
                }
            }
        }
    }

    private fun <T : Any> reads(flags: FlagSet, key: String, type: FlagType<T>, fallback: JsonElement, expected: JsonObject) {
        val default = type.of(fallback)
        val value = expected["value"] ?: fallback
        val details = flags.getFlag(key, default, type)
        assertEquals(normal(value), normal(element(details.value)))
        assertEquals(expected.text("error"), details.errorCode?.name)
        assertEquals(listOf(key, type, default), listOf(details.code, details.type, details.defaultValue))
        assertEquals("error" in expected, details.isDefault)
        val reason = expected.text("reason") ?: if ("error" in expected) "ERROR" else "CACHED"
        assertEquals(reason, details.reason.name)
        if (type != FlagType.JSON) assertEquals(type.of(value), typed(flags, key, default))
    }

    private fun typed(flags: FlagSet, key: String, default: Any): Any = when (default) {
        is Boolean -> flags.getBooleanFlag(key, default)
        is String -> flags.getStringFlag(key, default)
        else -> flags.getIntegerFlag(key, default as Long)
    }

    @TestFactory
    fun `a set of values has their types, or is refused with the place of the fault`() = vectors.each("flag_sets", "cases") { case ->
        case["error"]?.let { error ->
            val refused = assertThrows(FlagbearerException.DocumentRefused::class.java) { FlagSet.of(case.getValue("flags").jsonObject) }
            return@each assertEquals(error, json("code" to refused.code, "pointer" to refused.pointer))
        }
        val flags = FlagSet.of(case.getValue("flags").jsonObject).getAllFlags()
        val found = flags.mapValues { (_, value) -> json("type" to typeOf(value).name, "value" to element(value)) }
        assertEquals(normal(case.getValue("expect")), normal(JsonObject(found)))
    }

    @TestFactory
    fun `two sets differ in the keys that are listed`() = vectors.each("getters", "changes") { case ->
        val (older, newer) = listOf("older", "newer").map { Testing.flagSetOfClaim(case.text(it)!!) }
        val changed = case.list("changed").map { it.jsonPrimitive.content }
        assertEquals(changed, newer.changedFrom(older))
        assertEquals(changed, older.changedFrom(newer))
    }

    @TestFactory
    fun `a watermark is believed or refused, and overrules what it should`(): List<DynamicTest> {
        val (issuer, jwks) = listOf("issuer", "jwks").map { vectors.read("watermarks", it) }
        return vectors.each("watermarks", "cases") { case ->
            val told = case.list("watermarks").map { it.jsonObject }
            val watermarks = told.map { JsonObject(it.filterKeys { name -> name == "at" || name == "watermark" }) }
            val followed = Testing.Followed(
                json("issuer" to issuer, "jwks" to jwks, "watermarks" to watermarks),
            )
            assertEquals(told.map { it.text("error") }, followed.outcomes)
            var now = told.lastOrNull()?.get("at")?.jsonPrimitive?.long ?: 0
            val flags = followed.flagSet(case.getValue("token").jsonObject) { now * 1000 }
            for (read in case.list("reads").map { it.jsonObject }) {
                reads(flags, read.text("key")!!, FlagType.of(read.text("type")!!)!!, read.getValue("default"), read)
            }
            case["all"]?.let { all ->
                assertEquals(normal(all), flags.getAllFlags().mapValues { (_, value) -> normal(element(value)) })
            }
            case["stale"]?.let { stale ->
                assertEquals(stale.jsonPrimitive.boolean, flags.isStale)
                assertEquals(stale.jsonPrimitive.boolean, flags.state == ReaderState.STALE)
            }
            case["state"]?.jsonObject?.let { state ->
                now = state.getValue("at").jsonPrimitive.long
                assertEquals(state.text("is"), flags.state?.name?.lowercase())
            }
        }
    }

    @TestFactory
    fun `a key set gives its usable keys`() = vectors.each("jwks", "sets") { case ->
        val usable = { Testing.usableKeys(case.text("jwks")!!) }
        assertEquals(case.text("error"), codeOf { usable() })
        if ("error" !in case) assertEquals(case.list("usable").map { it.jsonPrimitive.content }, usable())
    }

    @TestFactory
    fun `a published signature is valid`() = vectors.each("jwks", "signatures") { case ->
        val set = json("keys" to listOf(case["jwk"])).toString()
        val signature = Base64.getUrlDecoder().decode(case.text("signature"))
        val valid = Testing.signatureValid(set, case.text("input")!!.toByteArray(), signature)
        assertEquals(case.getValue("valid").jsonPrimitive.boolean, valid)
    }

    @TestFactory
    fun `flags are evaluated with what decided`() = vectors.each("evaluation", "cases") { case ->
        val expected = case.getValue("expected").jsonObject
        val answer = Testing.evaluate(case.getValue("document")).jsonObject.mapValues { (key, evaluation) ->
            val traced = expected[key]?.jsonObject?.containsKey("trace") == true
            val members = evaluation.jsonObject.toMutableMap()
            val trace = withoutWhy(members.getValue("trace"))
            if (traced) members["trace"] = trace else members.remove("trace")
            JsonObject(members)
        }
        assertEquals(normal(expected), normal(JsonObject(answer)))
    }

    /** Words for people may change; that there are some may not. */
    private fun withoutWhy(list: JsonElement) = JsonArray(
        list.jsonArray.map { item ->
            assertTrue(item.jsonObject.text("why")!!.isNotEmpty())
            JsonObject(item.jsonObject - "why")
        },
    )

    @TestFactory
    fun `a document that is not allowed is refused with its code and place`() = vectors.each("evaluation", "refused") { case ->
        val refused = assertThrows(FlagbearerException.DocumentRefused::class.java) { Testing.evaluate(case.getValue("document")) }
        assertEquals(case.getValue("error"), json("code" to refused.code, "pointer" to refused.pointer))
    }

    @TestFactory
    fun `a subject is in the bucket where another implementation puts it`() = vectors.each("rollouts", "buckets") { case ->
        val answer = Testing.buckets(json("salt" to case["salt"], "subject" to case["subject"]))
        assertEquals(json("rollout" to case["rollout"], "split" to case["split"]), answer)
    }

    @TestFactory
    fun `a twenty percent rollout halved by a split has both variants`(): List<DynamicTest> {
        val case = vectors.read("rollouts", "twenty_percent_halved").jsonObject
        val variants = listOf("a", "b").zip(case.list("weights")) { name, weight -> json("name" to name, "value" to name, "weight" to weight) }
        val rule = json(
            "audience" to json("type" to "all"),
            "rollout" to json("by" to "user", "percentage" to case["percentage"]),
            "serve" to json("split" to json("by" to "user", "variants" to variants)),
        )
        val flag = json("id" to "1", "salt" to case["salt"], "key" to "f", "type" to "string", "default_value" to "out")
        val setting = json("enabled" to true, "rules" to listOf(rule))
        val served = case.list("inside").map { it.jsonObject.text("user")!! to it.jsonObject.text("variant")!! } +
            case.list("outside").map { it.jsonPrimitive.content to "out" }
        assertEquals(setOf("a", "b", "out"), served.map { it.second }.toSet())
        return served.map { (user, variant) ->
            val document = json(
                "flags" to listOf(json("flag" to flag, "setting" to setting)),
                "now" to "2026-06-01T00:00:00Z",
                "context" to json("user" to json("id" to user)),
            )
            dynamicTest(user) {
                assertEquals(variant, Testing.evaluate(document).jsonObject.getValue("f").jsonObject.text("value"))
            }
        }
    }

    @TestFactory
    fun `a change has the effect and the holdouts that are listed`() = vectors.each("effects", "cases") { case ->
        val answer = Testing.effect(case.getValue("document")).jsonObject
        val found = JsonObject(answer + ("holdouts" to withoutWhy(answer.getValue("holdouts"))))
        assertEquals(normal(case.getValue("expected")), normal(found))
    }

    @TestFactory
    fun `audiences are ordered`(): List<DynamicTest> {
        val segments = vectors.read("audiences", "segments")
        val flag = json("id" to "1", "salt" to "1", "key" to "f", "type" to "boolean", "default_value" to false)
        fun side(audience: JsonElement?): JsonObject {
            val rule = json("audience" to audience, "serve" to json("value" to true))
            return json("flag" to flag, "setting" to json("enabled" to true, "rules" to listOf(rule)), "segments" to segments)
        }
        return vectors.each("audiences", "cases") { case ->
            val document = json("before" to side(case["before"]), "after" to side(case["after"]), "now" to "2026-06-01T00:00:00Z")
            assertEquals(case.text("effect"), Testing.effect(document).jsonObject.text("effect"))
        }
    }

    /** Files and lists, and why they are not run here. */
    private val notOurs = mapOf(
        "fixture-30" to "what speed is measured with",
        "rollouts.splits" to "only Rust can ask for a bucket's place in a split",
        "sealed_sessions.passwords" to "an app keeps no cookies",
        "sealed_sessions.sealing" to "an app keeps no cookies",
        "sealed_sessions.unsealing" to "an app keeps no cookies",
        "token_answers.cases" to "this package asks for no tokens",
        "tokens.private_keys" to "what the file is written with",
    )

    @Test
    fun `every list is run here, or is not ours`() {
        val factories = javaClass.declaredMethods.filter { it.isAnnotationPresent(TestFactory::class.java) }
        factories.forEach { it.invoke(this) }
        val (known, left) = vectors.unread().partition { it in notOurs || it.substringBefore('.') in notOurs }
        assertEquals(emptyList<String>(), left, "run them, or say above why they are not ours")
        val there = known.toSet() + known.map { it.substringBefore('.') }
        assertEquals(emptySet<String>(), notOurs.keys - there, "these are not there any more, or are run")
    }

    @Test
    fun `every code that a reader answers has its class`() {
        val codes = FlagbearerException::class.java.declaredClasses.map { it.simpleName }
        for (code in Testing.errorCodes() - listOf("WATERMARK_OLDER", "SIGNING_KEY_INVALID") - ReadErrorCode.entries.map { it.name }) {
            val name = code.split('_').joinToString("") { it.lowercase().replaceFirstChar(Char::uppercase) }
            assertTrue(name in codes, code)
        }
    }
}
