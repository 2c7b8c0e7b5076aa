import FlagbearerNative

/// Why there are no flags. Programs look at the case or at `code`, which never changes; people read the message.
///
/// When several hold for a token, the first in the order of this file is told.
public enum FlagbearerError: Error, Equatable, Sendable {
    /// No token, or not one.
    case tokenMalformed(message: String)
    /// Not EdDSA, ES256 or RS256, or not the algorithm of its key.
    case algorithmUnsupported(message: String)
    /// Not signed with a key of this issuer.
    case keyUnknown(message: String)
    /// Not what its key signed.
    case signatureInvalid(message: String)
    /// Not an access token: an ID token, for instance.
    case typeInvalid(message: String)
    /// A claim is not there that every access token has.
    case claimMissing(message: String)
    /// Of another issuer, or another environment of it.
    case issuerMismatch(message: String)
    /// For somebody else.
    case audienceMismatch(message: String)
    /// Its time has passed, by the clock of this device.
    case tokenExpired(message: String)
    /// Its time has not come, by the clock of this device.
    case tokenNotYetValid(message: String)
    /// The token is good, but its flags are neither of the known shapes.
    case flagsMalformed(message: String)
    /// Says nothing about the token: the issuer's keys could not be fetched, and none are held. Try again.
    case keysUnavailable(message: String)
    /// A `Flagbearer` was given settings that cannot work.
    case configurationInvalid(message: String)
    /// A document was refused by a door for tests; `pointer` is a JSON pointer to the member at fault.
    case documentRefused(code: String, message: String, pointer: String)

    /// The same in every language.
    public var code: String {
        switch self {
        case .tokenMalformed: return "TOKEN_MALFORMED"
        case .algorithmUnsupported: return "ALGORITHM_UNSUPPORTED"
        case .keyUnknown: return "KEY_UNKNOWN"
        case .signatureInvalid: return "SIGNATURE_INVALID"
        case .typeInvalid: return "TYPE_INVALID"
        case .claimMissing: return "CLAIM_MISSING"
        case .issuerMismatch: return "ISSUER_MISMATCH"
        case .audienceMismatch: return "AUDIENCE_MISMATCH"
        case .tokenExpired: return "TOKEN_EXPIRED"
        case .tokenNotYetValid: return "TOKEN_NOT_YET_VALID"
        case .flagsMalformed: return "FLAGS_MALFORMED"
        case .keysUnavailable: return "KEYS_UNAVAILABLE"
        case .configurationInvalid: return "CONFIGURATION_INVALID"
        case .documentRefused(let code, _, _): return code
        }
    }

    private static let cases: [String: (String) -> FlagbearerError] = {
        let all: [(String) -> FlagbearerError] = [
            { .tokenMalformed(message: $0) }, { .algorithmUnsupported(message: $0) }, { .keyUnknown(message: $0) },
            { .signatureInvalid(message: $0) }, { .typeInvalid(message: $0) }, { .claimMissing(message: $0) },
            { .issuerMismatch(message: $0) }, { .audienceMismatch(message: $0) }, { .tokenExpired(message: $0) },
            { .tokenNotYetValid(message: $0) }, { .flagsMalformed(message: $0) }, { .keysUnavailable(message: $0) },
            { .configurationInvalid(message: $0) },
        ]
        return Dictionary(uniqueKeysWithValues: all.map { ($0("").code, $0) })
    }()

    init(_ refused: NativeError) {
        switch refused {
        case .Refused(let code, let detail, let pointer):
            self = Self.cases[code]?(detail) ?? .documentRefused(code: code, message: detail, pointer: pointer)
        }
    }
}

/// The one translation of the core's errors.
func translated<T>(_ work: () throws -> T) throws -> T {
    do {
        return try work()
    } catch let refused as NativeError {
        throw FlagbearerError(refused)
    }
}
