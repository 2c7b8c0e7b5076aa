import FlagbearerNative
import Foundation

/// An issuer without a server, for unit tests: its tokens are written and signed as the server's are, by a key of its own.
public final class TestIssuer: Sendable {
    private let issuer: String
    private let clientId: String
    private let profile: Profile
    private let native: NativeTestIssuer

    /// The keys that its tokens are verified with, as the text of a JWK set.
    public let jwks: String

    /// `clientId` is the application, and in the profile of our own the tokens' audience. Throws `FlagbearerError`.
    public init(
        issuer: String = "https://flags.example.com", clientId: String = "app_1", profile: Profile = .flagbearer
    ) throws {
        let native = try translated { try NativeTestIssuer(issuer: issuer, clientId: clientId, profile: profile.rawValue) }
        self.issuer = issuer
        self.clientId = clientId
        self.profile = profile
        self.native = native
        self.jwks = try translated { try native.jwks() }
    }

    /// A reader of its tokens, which asks nobody.
    public func flagbearer(onRead: ReadHook? = nil) throws -> Flagbearer {
        let keys = Data(jwks.utf8)
        let isOurs = profile == .flagbearer
        return try Flagbearer(
            issuer: issuer, audience: isOurs ? clientId : nil, clientId: isOurs ? nil : clientId, profile: profile,
            fetch: { _ in keys }, onRead: onRead
        )
    }

    /// A token with these flags, whose types are those of their values: see `FlagSet.init(of:)`. With `expiresIn` below
    /// nothing it has expired. Throws `FlagbearerError`.
    public func token(
        flags: [String: JSON] = [:], user: String = "user_1", organization: String? = nil, flagsRevision: Int64 = 1,
        expiresIn seconds: Int64 = 300
    ) throws -> String {
        var facts: [String: JSON] = [
            "flags": .object(flags), "user": .string(user), "flags_revision": .integer(flagsRevision), "expires_in": .integer(seconds),
        ]
        facts["organization"] = organization.map(JSON.string)
        return try translated { try native.token(facts: JSON.object(facts).text, now: now()) }
    }
}
