import FlagbearerNative
import Foundation

/// Milliseconds since 1970.
typealias Clock = @Sendable () -> Int64

@Sendable func now() -> Int64 { Int64(Date().timeIntervalSince1970 * 1000) }

/// What an application's tokens look like.
public enum Profile: String, Sendable { case flagbearer, kinde, workos }

/// Gets the keys: from a URL to the body of an answer with status 200; throws for all else.
public typealias Fetch = @Sendable (URL) async throws -> Data

/// Verifies one issuer's tokens. Make one and keep it: it holds the issuer's keys. Tasks may share it.
public final class Flagbearer: Sendable {
    private let native: NativeReader
    private let keys: Keys
    private let onRead: ReadHook?
    private let clock: Clock
    private let following: Task<Void, Never>?
    let watermark: Watermark?

    /// Throws `FlagbearerError.configurationInvalid`.
    ///
    /// - Parameters:
    ///   - issuer: equal to the tokens' `iss`
    ///   - audience: what the tokens' `aud` must contain
    ///   - clientId: instead of it, with `profile`: the application whose tokens are accepted
    ///   - leeway: how far clocks may disagree, in seconds, from 0 to 60; 5 unless given
    ///   - jwksUri: where the keys are; `<issuer>/.well-known/jwks.json` unless given
    ///   - discovery: look their address up in `<issuer>/.well-known/openid-configuration`
    ///   - followWatermark: learn within a second of killed flags and of tokens that are too old
    ///   - fetch: used instead of `URLSession` to get the keys
    ///   - onRead: told of every flag that is read
    public convenience init(
        issuer: String,
        audience: String? = nil,
        clientId: String? = nil,
        profile: Profile? = nil,
        leeway: Double? = nil,
        jwksUri: String? = nil,
        discovery: Bool = false,
        followWatermark: Bool = false,
        fetch: Fetch? = nil,
        onRead: ReadHook? = nil
    ) throws {
        try self.init(
            options: NativeOptions(
                issuer: issuer, audience: audience, clientId: clientId, profile: profile?.rawValue, leeway: leeway,
                jwksUri: jwksUri, discovery: discovery, followSeed: followWatermark ? UInt64.random(in: .min ... .max) : nil
            ),
            fetch: fetch, onRead: onRead, clock: now
        )
    }

    init(options: NativeOptions, fetch: Fetch?, onRead: ReadHook?, clock: @escaping Clock) throws {
        let native = try translated { try NativeReader(options: options) }
        let http = Http()
        let keys = Keys(native: native, fetch: fetch ?? { try await http.get($0) }, clock: clock)
        let watermark = options.followSeed.map { _ in Watermark(native: native, http: http, clock: clock, keys: keys) }
        self.native = native
        self.keys = keys
        self.onRead = onRead
        self.clock = clock
        self.watermark = watermark
        self.following = watermark.map { watermark in Task { await watermark.follow() } }
    }

    deinit {
        following?.cancel()
    }

    /// The flags of a token. Waits for the issuer's keys where they are not held yet. Throws `FlagbearerError`.
    public func verify(_ token: String) async throws -> FlagSet {
        let flags = try await withKeys { try self.native.verify(token: token, now: $0) }
        return FlagSet(flags, onRead: onRead, clock: clock)
    }

    /// What the reader knows of the present; `nil` where no watermark is followed.
    public var state: ReaderState? { native.state(now: clock()).map(ReaderState.init) }

    /// What `restore` reads again without a network.
    func keep(_ token: String) async throws -> String {
        try await withKeys { try self.native.keep(token: token, now: $0) }
    }

    func restore(_ kept: String, policy: OfflinePolicy) throws -> (token: String, flags: FlagSet) {
        let restored = try translated { try native.restore(kept: kept, offline: policy.native, now: clock()) }
        return (restored.token, FlagSet(restored.flags, onRead: onRead, clock: clock))
    }

    private func withKeys<T>(_ work: (Int64) throws -> T?) async throws -> T {
        while true {
            let now = clock()
            if let done = try translated({ try work(now) }) {
                await keys.refresh(at: now)
                return done
            }
            try Task.checkCancellation()
            await keys.fetched()
        }
    }
}

/// Fetches keys: one fetch at a time, however many wait for it.
actor Keys {
    private let native: NativeReader
    private let fetch: Fetch
    private let clock: Clock
    private var flight: Task<Void, Never>?
    private var refreshAt = Int64.max

    init(native: NativeReader, fetch: @escaping Fetch, clock: @escaping Clock) {
        self.native = native
        self.fetch = fetch
        self.clock = clock
    }

    /// Fetches behind the scenes when the core said to come back.
    func refresh(at now: Int64) {
        if now >= refreshAt { _ = begin() }
    }

    /// Waits until there is nothing left to do. Never fails.
    func fetched() async {
        await begin().value
    }

    private func begin() -> Task<Void, Never> {
        if let flight { return flight }
        let begun = Task { await self.follow() }
        flight = begun
        return begun
    }

    /// Does what the core says until there is nothing left to do.
    private func follow() async {
        defer { flight = nil }
        while true {
            switch native.poll(now: clock()) {
            case .idle(let until):
                refreshAt = until
                return
            case .pending:
                // Only if a fetch of ours got lost, which the core finds out by itself.
                try? await Task.sleep(nanoseconds: 100_000_000)
            case .fetch(let id, let url):
                let body = try? await within(milliseconds: Http.limits.timeoutMilliseconds) { [fetch] in
                    guard let url = URL(string: url) else { throw URLError(.badURL) }
                    return try await fetch(url)
                }
                native.receive(id: id, body: body, now: clock())
            }
        }
    }
}

/// The outcome of the work, unless it takes longer.
func within<T: Sendable>(milliseconds: UInt32, _ work: @escaping @Sendable () async throws -> T) async throws -> T {
    try await withThrowingTaskGroup(of: T.self) { group in
        group.addTask(operation: work)
        group.addTask {
            try await Task.sleep(nanoseconds: UInt64(milliseconds) * 1_000_000)
            throw URLError(.timedOut)
        }
        defer { group.cancelAll() }
        guard let first = try await group.next() else { throw URLError(.unknown) }
        return first
    }
}
