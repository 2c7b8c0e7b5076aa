import Foundation
import FlagbearerNative
import XCTest

@testable import Flagbearer

/// What an app does over its starts, with and without a network: with the first token of the vectors, on its own clock.
final class SessionTests: XCTestCase {
    private actor Memory: TokenStore {
        private(set) var kept: String?

        func read() -> String? { kept }
        func write(_ kept: String?) { self.kept = kept }
    }

    /// Keeps a token only when it is let.
    private actor Slow: TokenStore {
        private(set) var kept: String?
        private var begun: CheckedContinuation<Void, Never>?
        private var release: CheckedContinuation<Void, Never>?

        func read() -> String? { kept }

        func write(_ kept: String?) async {
            if kept != nil {
                await withCheckedContinuation { continuation in
                    release = continuation
                    begun?.resume()
                }
            }
            self.kept = kept
        }

        func writing() async {
            if release == nil { await withCheckedContinuation { begun = $0 } }
        }

        func goOn() { release?.resume() }
    }

    private struct Vectors {
        let token: String
        let issuer: String
        let jwks: Data
        let now: Int64

        init() throws {
            let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("../../../../../tests/vectors/tokens.json").standardized
            let vectors = try JSONDecoder().decode(JSON.self, from: Data(contentsOf: file))
            token = vectors["cases"].list[0]["token"].string!
            issuer = vectors["verifiers"]["flagbearer"]["issuer"].string!
            jwks = Data(vectors["jwks"].text.utf8)
            now = vectors["now"].integer! * 1000
        }

        func session(_ store: TokenStore, _ offline: OfflinePolicy, later: Int64 = 0, online: Bool = true) throws -> Session {
            let options = NativeOptions(issuer: issuer, audience: "api")
            let (jwks, at) = (self.jwks, now + later * 1000)
            let fetch: Fetch = { _ in
                guard online else { throw URLError(.notConnectedToInternet) }
                return jwks
            }
            let flagbearer = try Flagbearer(options: options, fetch: fetch, onRead: nil, clock: { at })
            return Session(flagbearer: flagbearer, store: store, offline: offline)
        }
    }

    func testAKeptTokenIsReadAtTheNextStartWithoutANetwork() async throws {
        let (vectors, store) = (try Vectors(), Memory())
        _ = try await vectors.session(store, .fresh).accept(vectors.token)
        let session = try vectors.session(store, .fresh, online: false)
        let flags = try await session.restore()
        XCTAssertEqual(flags?.getBooleanFlag("new_ai_model", defaultValue: false), true)
        let token = await session.accessToken
        XCTAssertEqual(token, vectors.token)
    }

    func testAfterItsTimeAKeptTokenIsRefusedStaleOrWithoutFlags() async throws {
        let (vectors, store) = (try Vectors(), Memory())
        _ = try await vectors.session(store, .fresh).accept(vectors.token)
        do {
            _ = try await vectors.session(store, .fresh, later: 3600, online: false).restore()
            XCTFail("it was accepted")
        } catch let refused as FlagbearerError {
            XCTAssertEqual(refused.code, "TOKEN_EXPIRED")
        }
        let stale = try await vectors.session(store, .staleAllowed(seconds: 86_400), later: 3600, online: false).restore()
        XCTAssertEqual(stale?.getFlag("new_ai_model", defaultValue: false, type: .boolean).reason, .stale)
        let defaults = try await vectors.session(store, .expiredDefaults, later: 3600, online: false).restore()
        XCTAssertEqual(defaults?.getBooleanFlag("new_ai_model", defaultValue: false), false)
    }

    func testWhoeverWatchesSeesTheFlagsAndAfterTheEndNothingIsKept() async throws {
        let (vectors, store) = (try Vectors(), Memory())
        let session = try vectors.session(store, .fresh)
        let accepted = try await session.accept(vectors.token)
        var changes = await session.changes.makeAsyncIterator()
        let seen = await changes.next()
        XCTAssertTrue(seen === accepted)
        try await session.end()
        let (kept, flags) = (await store.kept, await session.flags)
        XCTAssertNil(kept)
        XCTAssertNil(flags)
    }

    func testASignOutIsNotUndoneByATokenThatWasAcceptedBeforeIt() async throws {
        let (vectors, store) = (try Vectors(), Slow())
        let session = try vectors.session(store, .fresh)
        let accepting = Task { try await session.accept(vectors.token) }
        await store.writing()
        let ending = Task { try await session.end() }
        for _ in 0..<100 { await Task.yield() }
        await store.goOn()
        _ = try await accepting.value
        try await ending.value
        let (kept, flags) = (await store.kept, await session.flags)
        XCTAssertNil(kept)
        XCTAssertNil(flags)
    }

    func testATokenOfTheTestIssuerIsReadLikeTheServers() async throws {
        for profile in [Profile.flagbearer, .kinde, .workos] {
            let issuer = try TestIssuer(profile: profile)
            let reader = try issuer.flagbearer()
            let flags = try await reader.verify(issuer.token(flags: ["on": .boolean(true)], organization: "org_1", flagsRevision: 7))
            XCTAssertTrue(flags.getBooleanFlag("on", defaultValue: false))
            XCTAssertEqual(flags.organization, "org_1")
            XCTAssertEqual(flags.flagsRevision, 7)
        }
    }

    func testAMadeSetReadsLikeOneOfAToken() throws {
        let flags = try FlagSet(of: ["on": .boolean(true), "limit": .integer(5), "config": .object(["a": .integer(1)])])
        XCTAssertTrue(flags.getBooleanFlag("on", defaultValue: false))
        XCTAssertEqual(flags.getIntegerFlag("limit", defaultValue: 0), 5)
        XCTAssertEqual(flags.getFlag("config", defaultValue: .null, type: .json).value, .object(["a": .integer(1)]))
        XCTAssertEqual(flags.getFlag("on", defaultValue: "", type: .string).errorCode, .typeMismatch)
    }
}
