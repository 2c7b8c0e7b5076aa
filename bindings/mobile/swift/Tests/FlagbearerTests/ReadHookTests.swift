import Foundation
import XCTest

@testable import Flagbearer

/// What a hook is told, from which exposures are reported.
final class ReadHookTests: XCTestCase {
    private final class Told: @unchecked Sendable {
        private let lock = NSLock()
        private var reads: [(FlagRead, FlagSet)] = []

        func add(_ read: FlagRead, _ flags: FlagSet) { lock.withLock { reads.append((read, flags)) } }
        var all: [(FlagRead, FlagSet)] { lock.withLock { reads } }
    }

    func testEachReadIsToldWithItsDetailsAndItsSet() async throws {
        let (issuer, told) = (try TestIssuer(), Told())
        let reader = try issuer.flagbearer(onRead: { told.add($0, $1) })
        let config = JSON.object(["model": .string("large")])
        let token = try issuer.token(flags: ["on": .boolean(true), "variant": .string("b"), "config": config])
        let flags = try await reader.verify(token)
        XCTAssertEqual(flags.getBooleanFlag("on", defaultValue: false), true)
        XCTAssertEqual(flags.getIntegerFlag("variant", defaultValue: 7), 7)
        XCTAssertEqual(flags.getFlag("config", defaultValue: .null, type: .json).value, config)
        XCTAssertEqual(flags.getStringFlag("gone", defaultValue: "x"), "x")

        let reads = told.all.map(\.0)
        XCTAssertEqual(reads.map(\.code), ["on", "variant", "config", "gone"])
        XCTAssertEqual(reads.map(\.type), ["boolean", "integer", "json", "string"])
        XCTAssertEqual(reads.map(\.reason), [.cached, .error, .cached, .error])
        XCTAssertEqual(reads.map(\.errorCode), [nil, .typeMismatch, nil, .flagNotFound])
        XCTAssertEqual(reads.map(\.isDefault), [false, true, false, true])
        XCTAssertEqual(reads[1].value as? Int64, 7)
        XCTAssertTrue(told.all.allSatisfy { $0.1 === flags })
    }
}
