import Flagbearer
import Foundation

/// What the app does for whoever is signed in.
func describe(_ flags: FlagSet) -> String {
    let model = flags.getBooleanFlag("new_ai_model", defaultValue: false) ? "the new model" : "the old model"
    let limit = flags.getIntegerFlag("ai_token_limit", defaultValue: 500)
    let variant = flags.getStringFlag("prompt_variant", defaultValue: "control")
    return "\(model), \(limit) tokens, prompt `\(variant)`"
}

/// A file is enough to see how it works. In an app, keep the text in the Keychain.
struct FileStore: TokenStore {
    let file: URL

    func read() throws -> String? {
        FileManager.default.fileExists(atPath: file.path) ? try String(contentsOf: file, encoding: .utf8) : nil
    }

    func write(_ kept: String?) throws {
        if let kept {
            try kept.write(to: file, atomically: true, encoding: .utf8)
        } else if FileManager.default.fileExists(atPath: file.path) {
            try FileManager.default.removeItem(at: file)
        }
    }
}

let environment = ProcessInfo.processInfo.environment
guard let issuer = environment["FLAGBEARER_ISSUER"], let audience = environment["FLAGBEARER_AUDIENCE"] else {
    fatalError("FLAGBEARER_ISSUER and FLAGBEARER_AUDIENCE are not set: see README.md")
}
let flagbearer = try Flagbearer(issuer: issuer, audience: audience, followWatermark: true)
let store = FileStore(file: FileManager.default.temporaryDirectory.appendingPathComponent("flagbearer-example"))
let session = Session(flagbearer: flagbearer, store: store, offline: .staleAllowed(seconds: 7 * 86_400))

if let accessToken = environment["ACCESS_TOKEN"] {
    _ = try await session.accept(accessToken)
} else if try await session.restore() == nil {
    fatalError("nothing was kept: set ACCESS_TOKEN the first time")
}
// What is read now, and again after each change, until Control-C.
for await flags in await session.changes {
    print(describe(flags))
}
