package dev.flagbearer

import java.io.File
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.booleanOrNull
import kotlinx.serialization.json.contentOrNull
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest

/** The top of the project. */
val PROJECT: File = generateSequence(File("").absoluteFile) { it.parentFile }.first { it.resolve("tests/vectors").isDirectory }

/** The shared vectors, and which of them were read. */
class Vectors {
    private val files = PROJECT.resolve("tests/vectors").listFiles { file -> file.extension == "json" }!!
        .associate { it.nameWithoutExtension to Json.parseToJsonElement(it.readText()).jsonObject }
    private val read = mutableSetOf<String>()

    fun read(file: String, member: String): JsonElement {
        read += "$file.$member"
        return files.getValue(file).getValue(member)
    }

    /** A test for each case, under its name; a list without cases proves nothing. */
    fun each(file: String, member: String, test: (JsonObject) -> Unit): List<DynamicTest> {
        val cases = read(file, member).jsonArray.map { it.jsonObject }
        check(cases.isNotEmpty()) { "`$file.$member` has no cases" }
        return cases.mapIndexed { number, case -> dynamicTest(case.text("name") ?: "$member $number") { test(case) } }
    }

    /** The lists that nobody read. */
    fun unread(): Set<String> {
        val lists = files.flatMap { (file, members) -> members.filterValues { it !is JsonPrimitive }.keys.map { "$file.$it" } }
        return lists.toSet() - read
    }
}

fun JsonObject.text(name: String): String? = (this[name] as? JsonPrimitive)?.contentOrNull

fun JsonObject.list(name: String): List<JsonElement> = this[name]?.jsonArray.orEmpty()

fun json(vararg members: Pair<String, Any?>): JsonObject = JsonObject(members.associate { (name, value) -> name to element(value) })

fun element(value: Any?): JsonElement = when (value) {
    null -> JsonNull
    is JsonElement -> value
    is Boolean -> JsonPrimitive(value)
    is Number -> JsonPrimitive(value)
    is String -> JsonPrimitive(value)
    is List<*> -> JsonArray(value.map(::element))
    is Map<*, *> -> JsonObject(value.entries.associate { (name, entry) -> name.toString() to element(entry) })
    else -> error("no JSON: $value")
}

/** What two texts of the same value have in common: numbers by value, so that `1` and `1.0` are one. */
fun normal(element: JsonElement): Any? = when (element) {
    is JsonObject -> element.mapValues { (_, value) -> normal(value) }
    is JsonArray -> element.map(::normal)
    is JsonNull -> null
    is JsonPrimitive ->
        if (element.isString) element.content
        else element.booleanOrNull ?: element.content.toBigDecimal().let { if (it.signum() == 0) it.abs() else it }.stripTrailingZeros()
}

/** A value of a vector as Kotlin has it, read as a type. */
fun <T : Any> FlagType<T>.of(value: JsonElement): T {
    @Suppress("UNCHECKED_CAST")
    return when (this as FlagType<*>) {
        FlagType.BOOLEAN -> value.jsonPrimitive.booleanOrNull
        FlagType.STRING -> value.jsonPrimitive.content
        FlagType.INTEGER -> value.jsonPrimitive.long
        else -> value
    } as T
}

/** The code that the work is refused with; `null` where it is not. */
fun codeOf(work: () -> Unit): String? =
    try {
        work()
        null
    } catch (refused: FlagbearerException) {
        check(refused.message!!.isNotEmpty())
        refused.code
    }
