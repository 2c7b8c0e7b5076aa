// swift-tools-version: 5.9

import Foundation
import PackageDescription

// What `build-xcframework` makes. Without it, as in a checkout, the Mac's own library of `cargo build --workspace` is linked:
// swift test -Xlinker -L../../../target/debug -Xlinker -lflagbearer_mobile
let framework = "FlagbearerFFI.xcframework"
let native: Target = FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/\(framework)")
    ? .binaryTarget(name: "FlagbearerFFI", path: framework)
    : .systemLibrary(name: "FlagbearerFFI")

let package = Package(
    name: "Flagbearer",
    platforms: [.iOS(.v15), .macOS(.v12)],
    products: [.library(name: "Flagbearer", targets: ["Flagbearer"])],
    targets: [
        native,
        .target(name: "FlagbearerNative", dependencies: ["FlagbearerFFI"]),
        .target(name: "Flagbearer", dependencies: ["FlagbearerNative"]),
        .testTarget(name: "FlagbearerTests", dependencies: ["Flagbearer"]),
    ]
)
