import FlagbearerNative
import Foundation

/// Where an app keeps one text between its starts. It holds the access token: the Keychain is the place.
public protocol TokenStore: Sendable {
    /// What was written last; `nil` where there is nothing.
    func read() async throws -> String?
    /// Replaces it; `nil` takes it away.
    func write(_ kept: String?) async throws
}

/// How far a kept token is believed after its time, while nobody can refresh it.
public enum OfflinePolicy: Sendable, Equatable {
    /// Not at all: `Session.restore` throws `FlagbearerError.tokenExpired`.
    case fresh
    /// For so many seconds more. Its flags are then read with `Reason.stale`.
    case staleAllowed(seconds: Int64)
    /// Not at all, but it is no error either: every read answers its default.
    case expiredDefaults

    var native: NativeOffline {
        switch self {
        case .fresh: return .fresh
        case .staleAllowed(let seconds): return .staleAllowed(seconds: seconds)
        case .expiredDefaults: return .expiredDefaults
        }
    }
}

/// The flags of whoever is signed in to an app, across its starts and without a network: `restore` when it starts, `accept`
/// each access token that it gets, `end` at sign-out.
public actor Session {
    private let flagbearer: Flagbearer
    private let store: TokenStore
    private let offline: OfflinePolicy
    private var listeners: [UUID: AsyncStream<FlagSet>.Continuation] = [:]
    private var listening: Task<Void, Never>?
    private var turn: Task<Void, Never>?

    /// The flags at present; `nil` while nobody is signed in.
    public private(set) var flags: FlagSet?

    /// The access token at present, for requests; `nil` while nobody is signed in.
    public private(set) var accessToken: String?

    public init(flagbearer: Flagbearer, store: TokenStore, offline: OfflinePolicy) {
        self.flagbearer = flagbearer
        self.store = store
        self.offline = offline
    }

    deinit {
        listening?.cancel()
    }

    /// The flags at present, and again whenever they may read otherwise: after another token, a kill or a revival.
    public var changes: AsyncStream<FlagSet> {
        listen()
        return AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let id = UUID()
            listeners[id] = continuation
            continuation.onTermination = { _ in Task { await self.remove(id) } }
            if let flags { continuation.yield(flags) }
        }
    }

    /// The flags of the token that was accepted last, also before this start of the app; `nil` where there is none. Asks
    /// nobody.
    ///
    /// Throws `FlagbearerError` for a token that is not good any more, depending on the policy. What is kept stays.
    public func restore() async throws -> FlagSet? {
        try await inTurn { () async throws -> FlagSet? in
            guard let kept = try await self.store.read() else { return nil }
            let restored = try self.flagbearer.restore(kept, policy: self.offline)
            await self.publish(restored.token, restored.flags)
            return restored.flags
        }
    }

    /// The flags of a new access token, which is kept from now on.
    ///
    /// Throws `FlagbearerError` for a token that is not good. The one before stays.
    public func accept(_ accessToken: String) async throws -> FlagSet {
        try await inTurn { () async throws -> FlagSet in
            let flags = try await self.flagbearer.verify(accessToken)
            try await self.store.write(try await self.flagbearer.keep(accessToken))
            await self.publish(accessToken, flags)
            return flags
        }
    }

    /// Forgets the token: nobody reads its flags any more, even if the store then fails to.
    public func end() async throws {
        try await inTurn { () async throws -> Void in
            await self.publish(nil, nil)
            try await self.store.write(nil)
        }
    }

    /// One after another, and each to its end. At each `await` an actor lets others in: a sign-out would be undone by a token that
    /// was accepted before it.
    private func inTurn<T: Sendable>(_ work: @escaping @Sendable () async throws -> T) async throws -> T {
        let before = turn
        let mine = Task<T, Error> {
            await before?.value
            return try await work()
        }
        turn = Task { _ = await mine.result }
        return try await mine.value
    }

    private func publish(_ token: String?, _ flags: FlagSet?) {
        accessToken = token
        self.flags = flags
        tell()
    }

    private func tell() {
        guard let flags else { return }
        for listener in listeners.values { listener.yield(flags) }
    }

    private func remove(_ id: UUID) {
        listeners[id] = nil
    }

    private func listen() {
        guard listening == nil, let news = flagbearer.watermark?.news else { return }
        listening = Task { [weak self] in
            var known: Read?
            for await _ in news {
                guard let self, let read = await self.read() else { continue }
                if let known, known != read { await self.tell() }
                known = read
            }
        }
    }

    /// What the flags read at present.
    private struct Read: Equatable {
        let flags: [String: JSON]
        let isStale: Bool
    }

    private func read() -> Read? {
        flags.map { Read(flags: $0.getAllFlags(), isStale: $0.isStale) }
    }
}
