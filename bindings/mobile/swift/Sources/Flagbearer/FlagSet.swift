import FlagbearerNative
import Foundation

/// As what a flag is read: `.boolean`, `.string`, `.integer` (within ±(2^53 − 1)) or `.json`.
public struct FlagType<Value: Sendable & Equatable>: Sendable {
    /// `boolean`, `string`, `integer` or `json`.
    public let name: String
    let native: NativeType
    let unwrap: @Sendable (NativeValue?) -> Value?
}

extension FlagType where Value == Bool {
    public static var boolean: Self {
        Self(name: "boolean", native: .boolean) { if case .boolean(let value)? = $0 { value } else { nil } }
    }
}

extension FlagType where Value == String {
    public static var string: Self {
        Self(name: "string", native: .string) { if case .text(let value)? = $0 { value } else { nil } }
    }
}

extension FlagType where Value == Int64 {
    public static var integer: Self {
        Self(name: "integer", native: .integer) { if case .integer(let value)? = $0 { value } else { nil } }
    }
}

extension FlagType where Value == JSON {
    public static var json: Self {
        Self(name: "json", native: .json) { if case .json(let text)? = $0 { JSON(text: text) } else { nil } }
    }
}

/// Where an answer comes from, in OpenFeature's words.
public enum Reason: String, Sendable {
    /// From the token.
    case cached = "CACHED"
    /// From the token, which is too old: it is to be refreshed.
    case stale = "STALE"
    /// The off value: the flag was killed after the token was made.
    case disabled = "DISABLED"
    /// The caller's default; the error code says why.
    case error = "ERROR"
}

/// Why a read answered the default.
public enum ReadErrorCode: String, Sendable {
    case flagNotFound = "FLAG_NOT_FOUND"
    case typeMismatch = "TYPE_MISMATCH"
    case parseError = "PARSE_ERROR"
}

/// How much a reader that follows the watermark knows of what has happened since a token was made.
public enum ReaderState: Sendable {
    /// All of it, up to a second.
    case fresh
    /// Enough to know that the token is too old: it is to be refreshed.
    case stale
    /// Nothing newer than what it was told half a minute ago or more.
    case disconnected

    init(_ native: NativeState) {
        switch native {
        case .fresh: self = .fresh
        case .stale: self = .stale
        case .disconnected: self = .disconnected
        }
    }
}

/// An answer with its circumstances.
public struct FlagDetails<Value: Sendable & Equatable>: Sendable {
    /// The flag's key, as asked for.
    public let code: String
    /// The type asked for.
    public let type: FlagType<Value>
    public let value: Value
    public let defaultValue: Value
    public let isDefault: Bool
    public let reason: Reason
    public let errorCode: ReadErrorCode?
}

/// What a read hook is told of each read of a flag, to report exposures.
public struct FlagRead: Sendable {
    public let code: String
    public let type: String
    public let value: any Sendable
    public let isDefault: Bool
    public let reason: Reason
    public let errorCode: ReadErrorCode?
}

/// Told of every read of a flag.
public typealias ReadHook = @Sendable (FlagRead, FlagSet) -> Void

/// The flags of one verified token. Reads never throw for a flag, convert nothing and ask nobody. Threads may share it.
///
/// Where its reader follows the watermark, what the newest one overrules is overruled at each read.
public final class FlagSet: Sendable {
    let native: NativeFlagSet
    private let onRead: ReadHook?
    private let clock: Clock

    init(_ native: NativeFlagSet, onRead: ReadHook? = nil, clock: @escaping Clock = now) {
        self.native = native
        self.onRead = onRead
        self.clock = clock
    }

    /// A set of these flags without a token, for unit tests. JSON flags are objects, arrays and numbers with a fraction.
    ///
    /// Throws `FlagbearerError` for a value that no flag can have.
    public convenience init(of flags: [String: JSON]) throws {
        self.init(try translated { try NativeFlagSet.ofFlags(flags: JSON.object(flags).text) })
    }

    /// The flag if it is there and boolean, otherwise the default.
    public func getBooleanFlag(_ key: String, defaultValue: Bool) -> Bool {
        getFlag(key, defaultValue: defaultValue, type: .boolean).value
    }

    /// The flag if it is there and a string, otherwise the default.
    public func getStringFlag(_ key: String, defaultValue: String) -> String {
        getFlag(key, defaultValue: defaultValue, type: .string).value
    }

    /// The flag if it is there and a whole number within ±(2^53 − 1), otherwise the default.
    public func getIntegerFlag(_ key: String, defaultValue: Int64) -> Int64 {
        getFlag(key, defaultValue: defaultValue, type: .integer).value
    }

    /// The flag if it is there with that type, otherwise the default; and why.
    public func getFlag<Value>(_ key: String, defaultValue: Value, type: FlagType<Value>) -> FlagDetails<Value> {
        let found = native.getFlag(key: key, flagType: type.native)
        let value = type.unwrap(found.value)
        let details = FlagDetails(
            code: key,
            type: type,
            value: value ?? defaultValue,
            defaultValue: defaultValue,
            isDefault: value == nil,
            reason: Reason(rawValue: found.reason) ?? .error,
            errorCode: found.errorCode.flatMap(ReadErrorCode.init)
        )
        onRead?(
            FlagRead(
                code: key, type: type.name, value: details.value, isDefault: details.isDefault, reason: details.reason,
                errorCode: details.errorCode
            ),
            self
        )
        return details
    }

    /// Every flag that can be read, by key.
    public func getAllFlags() -> [String: JSON] {
        native.getAllFlags().mapValues { value in
            switch value {
            case .boolean(let value): return .boolean(value)
            case .text(let value): return .string(value)
            case .integer(let value): return .integer(value)
            case .json(let text): return JSON(text: text) ?? .null
            }
        }
    }

    /// The keys of the flags that differ from those of an older set: added, taken away or changed, as the tokens carry
    /// them. Sorted.
    public func changedFrom(_ older: FlagSet) -> [String] {
        native.changedFrom(older: older.native)
    }

    /// All the token's claims.
    public var claims: JSON { JSON(text: native.claims()) ?? .object([:]) }

    /// The organization that the token was issued in.
    public var organization: String? { native.organization() }

    /// The revision that was evaluated.
    public var flagsRevision: Int64? { native.flagsRevision() }

    /// Whether the token is known to be too old: it is to be refreshed.
    public var isStale: Bool { native.isStale() }

    /// What the reader knows beside this token; `nil` where no watermark is followed.
    public var state: ReaderState? { native.state(now: clock()).map(ReaderState.init) }
}
