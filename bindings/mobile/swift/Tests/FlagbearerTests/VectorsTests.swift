import Foundation
import FlagbearerNative
import XCTest

@testable import Flagbearer

/// The shared vectors, as tests/vectors/README.md describes them: all of them but those that are named in `notOurs`.
final class VectorsTests: XCTestCase {
    private static let folder = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().appendingPathComponent("../../../../../tests/vectors").standardized

    private static let ours: Set = [
        "audiences.cases", "audiences.segments", "claims.decode", "claims.encode", "effects.cases", "evaluation.cases",
        "evaluation.refused", "flag_sets.cases", "getters.cases", "getters.changes", "getters.defaults", "jwks.sets",
        "jwks.signatures", "rollouts.buckets", "rollouts.twenty_percent_halved", "tokens.cases", "tokens.jwks",
        "tokens.verifiers", "watermarks.cases", "watermarks.jwks",
    ]

    /// Files and lists, and why they are not run here.
    private static let notOurs = [
        "fixture-30": "what speed is measured with",
        "rollouts.splits": "only Rust can ask for a bucket's place in a split",
        "sealed_sessions.passwords": "an app keeps no cookies",
        "sealed_sessions.sealing": "an app keeps no cookies",
        "sealed_sessions.unsealing": "an app keeps no cookies",
        "token_answers.cases": "this package asks for no tokens",
        "tokens.private_keys": "what the file is written with",
    ]

    private func file(_ name: String) throws -> JSON {
        try JSONDecoder().decode(JSON.self, from: Data(contentsOf: Self.folder.appendingPathComponent("\(name).json")))
    }

    private func read(_ name: String, _ member: String) throws -> JSON {
        let value = try file(name)[member]
        if !value.isPlain { XCTAssert(Self.ours.contains("\(name).\(member)"), "\(name).\(member) is not among `ours`") }
        return value
    }

    /// The cases of a list; one without cases proves nothing.
    private func cases(_ name: String, _ member: String) throws -> [JSON] {
        let cases = try read(name, member).list
        XCTAssertFalse(cases.isEmpty, "\(name).\(member)")
        return cases
    }

    func testEveryListIsRunHereOrIsNotOurs() throws {
        var there: Set<String> = []
        for url in try FileManager.default.contentsOfDirectory(at: Self.folder, includingPropertiesForKeys: nil)
        where url.pathExtension == "json" {
            let name = url.deletingPathExtension().lastPathComponent
            if Self.notOurs[name] != nil { there.insert(name); continue }
            for (member, value) in try file(name).members where !value.isPlain { there.insert("\(name).\(member)") }
        }
        XCTAssertEqual(there, Self.ours.union(Self.notOurs.keys), "run them, or say in `notOurs` why they are not ours")
    }

    private func code(_ work: () throws -> Void) throws -> String? {
        do {
            try translated(work)
            return nil
        } catch let refused as FlagbearerError {
            return refused.code
        }
    }

    func testATokenIsAcceptedWithItsClaimsOrRefusedWithItsCode() async throws {
        let (now, jwks) = (try read("tokens", "now").integer! * 1000, Data(try read("tokens", "jwks").text.utf8))
        var readers: [String: Flagbearer] = [:]
        for (name, settings) in try read("tokens", "verifiers").members {
            let leeway: Double?
            switch settings["leeway"] {
            case .integer(let seconds): leeway = Double(seconds)
            case .number(let seconds): leeway = seconds
            default: leeway = nil
            }
            let options = NativeOptions(
                issuer: settings["issuer"].string!, audience: settings["audience"].string, clientId: settings["client_id"].string,
                profile: settings["profile"].string, leeway: leeway
            )
            readers[name] = try Flagbearer(options: options, fetch: { _ in jwks }, onRead: nil, clock: { now })
        }
        for item in try cases("tokens", "cases") {
            let (name, expect) = (item["name"].string!, item["expect"])
            do {
                let flags = try await readers[item["verifier"].string!]!.verify(item["token"].string!)
                let claims = expect["claims"]
                XCTAssertEqual(flags.claims, claims, name)
                XCTAssertEqual(flags.organization, claims["org_id"].string ?? claims["org_code"].string, name)
                XCTAssertEqual(flags.flagsRevision, claims["flags_rev"].integer, name)
                let carried: [String: JSON]
                if case .array(let keys) = claims["feature_flags"] {
                    carried = Dictionary(uniqueKeysWithValues: keys.map { ($0.string!, .boolean(true)) })
                } else {
                    carried = claims["feature_flags"].members.mapValues { $0["v"] }
                }
                XCTAssertEqual(flags.getAllFlags(), carried, name)
            } catch let refused as FlagbearerError {
                XCTAssertEqual(refused.code, expect["error"].string, name)
            }
        }
    }

    func testAClaimIsWrittenToTheByte() throws {
        for item in try cases("claims", "encode") {
            let claim = try encodeClaim(dialect: item["dialect"].string!, flags: item["flags"].text)
            XCTAssertEqual(claim, item["claim"].string)
            XCTAssertEqual(Int64(claim.utf8.count), item["size"].integer)
        }
    }

    func testASetOfValuesHasTheirTypesOrIsRefused() throws {
        for item in try cases("flag_sets", "cases") {
            let name = item["name"].string!
            var set: FlagSet?
            let refused = try code { set = try FlagSet(of: item["flags"].members) }
            XCTAssertEqual(refused, item["error"]["code"].string, name)
            guard let set else { continue }
            XCTAssertEqual(set.getAllFlags(), item["expect"].members.mapValues { $0["value"] }, name)
        }
    }

    func testAClaimIsReadOrRefusedWithItsCode() throws {
        for item in try cases("claims", "decode") {
            let claim = item["claim"].string!
            let refused = try code { _ = try NativeFlagSet.ofClaim(featureFlags: claim) }
            XCTAssertEqual(refused, item["expect"]["error"].string, claim)
            guard refused == nil else { continue }
            let flags = FlagSet(try NativeFlagSet.ofClaim(featureFlags: claim))
            XCTAssertEqual(flags.getAllFlags(), item["expect"]["flags"].members.mapValues { $0["value"] }, claim)
            for (key, code) in item["expect"]["unreadable"].members {
                XCTAssertEqual(flags.getFlag(key, defaultValue: false, type: .boolean).errorCode?.rawValue, code.string)
            }
        }
    }

    private func check<Value>(_ flags: FlagSet, _ key: String, _ type: FlagType<Value>, _ fallback: Value, _ value: Value, _ expected: JSON) {
        let details = flags.getFlag(key, defaultValue: fallback, type: type)
        XCTAssertEqual(details.value, value, key)
        XCTAssertEqual(details.errorCode?.rawValue, expected["error"].string, key)
        XCTAssertEqual(details.isDefault, expected["error"].string != nil, key)
        let reason = expected["reason"].string ?? (expected["error"].string == nil ? "CACHED" : "ERROR")
        XCTAssertEqual(details.reason.rawValue, reason, key)
    }

    private func reads(_ flags: FlagSet, _ key: String, _ type: String, fallback: JSON, _ expected: JSON) {
        let value = expected["error"].string == nil ? expected["value"] : fallback
        switch type {
        case "boolean":
            check(flags, key, .boolean, fallback.boolean!, value.boolean!, expected)
            XCTAssertEqual(flags.getBooleanFlag(key, defaultValue: fallback.boolean!), value.boolean!, key)
        case "string":
            check(flags, key, .string, fallback.string!, value.string!, expected)
            XCTAssertEqual(flags.getStringFlag(key, defaultValue: fallback.string!), value.string!, key)
        case "integer":
            check(flags, key, .integer, fallback.integer!, value.integer!, expected)
            XCTAssertEqual(flags.getIntegerFlag(key, defaultValue: fallback.integer!), value.integer!, key)
        default:
            check(flags, key, .json, fallback, value, expected)
        }
    }

    func testAGetterAnswersTheValueOrTheDefaultAndWhy() throws {
        let defaults = try cases("getters", "defaults")
        for item in try cases("getters", "cases") {
            let flags = FlagSet(try NativeFlagSet.ofClaim(featureFlags: item["claim"].string!))
            for fallback in defaults {
                for (type, expected) in item["expect"].members {
                    reads(flags, item["key"].string!, type, fallback: fallback[type], expected)
                }
            }
        }
    }

    func testTwoSetsDifferInTheKeysThatAreListed() throws {
        for item in try cases("getters", "changes") {
            let (older, newer) = (
                FlagSet(try NativeFlagSet.ofClaim(featureFlags: item["older"].string!)),
                FlagSet(try NativeFlagSet.ofClaim(featureFlags: item["newer"].string!))
            )
            XCTAssertEqual(newer.changedFrom(older), item["changed"].list.map { $0.string! })
            XCTAssertEqual(older.changedFrom(newer), item["changed"].list.map { $0.string! })
        }
    }

    func testAWatermarkIsBelievedOrRefusedAndOverrulesWhatItShould() throws {
        let (issuer, jwks) = (try read("watermarks", "issuer"), try read("watermarks", "jwks"))
        for item in try cases("watermarks", "cases") {
            let name = item["name"].string!
            let told = item["watermarks"].list
            let watermarks = told.map { JSON.object(["at": $0["at"], "watermark": $0["watermark"]]) }
            let document = JSON.object(["issuer": issuer, "jwks": jwks, "watermarks": .array(watermarks)])
            let followed = try NativeFollowed(document: document.text)
            XCTAssertEqual(followed.outcomes(), told.map { $0["error"].string }, name)
            let at = (item["state"]["at"].integer ?? told.last?["at"].integer ?? 0) * 1000
            let flags = FlagSet(try followed.flagSet(claims: item["token"].text), clock: { at })
            for one in item["reads"].list {
                reads(flags, one["key"].string!, one["type"].string!, fallback: one["default"], one)
            }
            if case .object(let all) = item["all"] { XCTAssertEqual(flags.getAllFlags(), all, name) }
            if case .boolean(let stale) = item["stale"] { XCTAssertEqual(flags.isStale, stale, name) }
            if let state = item["state"]["is"].string { XCTAssertEqual(flags.state.map { "\($0)" }, state, name) }
        }
    }

    func testAKeySetGivesItsUsableKeysAndAPublishedSignatureIsValid() throws {
        for item in try cases("jwks", "sets") {
            let refused = try code { _ = try usableKeys(jwks: item["jwks"].string!) }
            XCTAssertEqual(refused, item["error"].string)
            if refused == nil { XCTAssertEqual(try usableKeys(jwks: item["jwks"].string!), item["usable"].list.map { $0.string! }) }
        }
        for item in try cases("jwks", "signatures") {
            let set = JSON.object(["keys": .array([item["jwk"]])]).text
            let signature = Data(base64url: item["signature"].string!)
            XCTAssertEqual(try signatureValid(jwks: set, input: Data(item["input"].string!.utf8), signature: signature), item["valid"].boolean)
        }
    }

    func testFlagsAreEvaluatedWithWhatDecided() throws {
        for item in try cases("evaluation", "cases") {
            var answer = JSON(text: try evaluateJson(document: item["document"].text))!.members
            for (key, evaluation) in answer {
                var members = evaluation.members
                members["trace"] = item["expected"][key]["trace"] == .null ? nil : .array(evaluation["trace"].list.map(\.withoutWhy))
                answer[key] = .object(members)
            }
            XCTAssertEqual(.object(answer), item["expected"], item["name"].string ?? "")
        }
        for item in try cases("evaluation", "refused") {
            XCTAssertThrowsError(try translated { try evaluateJson(document: item["document"].text) }) { error in
                guard case .documentRefused(let code, _, let pointer)? = error as? FlagbearerError else { return XCTFail("\(error)") }
                XCTAssertEqual(.object(["code": .string(code), "pointer": .string(pointer)]), item["error"])
            }
        }
    }

    func testASubjectIsInTheBucketWhereAnotherImplementationPutsIt() throws {
        for item in try cases("rollouts", "buckets") {
            let document = JSON.object(["salt": item["salt"], "subject": item["subject"]])
            let answer = JSON(text: try bucketsJson(document: document.text))
            XCTAssertEqual(answer, .object(["rollout": item["rollout"], "split": item["split"]]))
        }
    }

    func testATwentyPercentRolloutHalvedByASplitHasBothVariants() throws {
        let halved = try read("rollouts", "twenty_percent_halved")
        let variants = zip(["a", "b"], halved["weights"].list).map { name, weight in
            JSON.object(["name": .string(name), "value": .string(name), "weight": weight])
        }
        let byUser = JSON.string("user")
        let rule = JSON.object([
            "audience": .object(["type": .string("all")]),
            "rollout": .object(["by": byUser, "percentage": halved["percentage"]]),
            "serve": .object(["split": .object(["by": byUser, "variants": .array(variants)])]),
        ])
        let flag = Self.flag("string", defaultValue: .string("out"), salt: halved["salt"])
        let flags = JSON.array([.object(["flag": flag, "setting": Self.setting(rule)])])
        let inside = halved["inside"].list.map { ($0["user"], $0["variant"]) }
        let served = inside + halved["outside"].list.map { ($0, JSON.string("out")) }
        XCTAssertEqual(Set(served.map { $0.1.string! }), ["a", "b", "out"])
        for (user, variant) in served {
            let context = JSON.object(["user": .object(["id": user])])
            let document = JSON.object(["flags": flags, "context": context, "now": Self.now])
            XCTAssertEqual(JSON(text: try evaluateJson(document: document.text))!["f"]["value"], variant, user.string!)
        }
    }

    func testAudiencesAreOrdered() throws {
        let segments = try read("audiences", "segments")
        func side(_ audience: JSON) -> JSON {
            let rule = JSON.object(["audience": audience, "serve": .object(["value": .boolean(true)])])
            let flag = Self.flag("boolean", defaultValue: .boolean(false), salt: .string("1"))
            return .object(["flag": flag, "setting": Self.setting(rule), "segments": segments])
        }
        for item in try cases("audiences", "cases") {
            let document = JSON.object(["before": side(item["before"]), "after": side(item["after"]), "now": Self.now])
            let answer = JSON(text: try effectJson(document: document.text))!
            XCTAssertEqual(answer["effect"], item["effect"], item["name"].string ?? "")
        }
    }

    private static let now = JSON.string("2026-06-01T00:00:00Z")

    private static func flag(_ type: String, defaultValue: JSON, salt: JSON) -> JSON {
        .object(["id": .string("1"), "salt": salt, "key": .string("f"), "type": .string(type), "default_value": defaultValue])
    }

    private static func setting(_ rule: JSON) -> JSON {
        .object(["enabled": .boolean(true), "rules": .array([rule])])
    }

    func testAChangeHasTheEffectAndTheHoldoutsThatAreListed() throws {
        for item in try cases("effects", "cases") {
            var answer = JSON(text: try effectJson(document: item["document"].text))!.members
            answer["holdouts"] = .array(answer["holdouts"]!.list.map(\.withoutWhy))
            XCTAssertEqual(.object(answer), item["expected"], item["name"].string ?? "")
        }
    }
}

extension JSON {
    /// A member; `null` where there is none.
    subscript(name: String) -> JSON { members[name] ?? .null }

    var members: [String: JSON] { if case .object(let members) = self { members } else { [:] } }
    var list: [JSON] { if case .array(let list) = self { list } else { [] } }
    var string: String? { if case .string(let string) = self { string } else { nil } }
    var integer: Int64? { if case .integer(let integer) = self { integer } else { nil } }
    var boolean: Bool? { if case .boolean(let boolean) = self { boolean } else { nil } }

    /// Neither a list nor an object.
    var isPlain: Bool {
        switch self {
        case .array, .object: false
        default: true
        }
    }

    /// Words for people may change; that there are some may not.
    var withoutWhy: JSON {
        var members = members
        XCTAssertFalse(members.removeValue(forKey: "why")?.string?.isEmpty ?? true)
        return .object(members)
    }
}

extension Data {
    init(base64url text: String) {
        let padded = text.replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
        self = Data(base64Encoded: padded + String(repeating: "=", count: (4 - padded.count % 4) % 4)) ?? Data()
    }
}
