// swift-tools-version: 5.9

import PackageDescription

let package = Package(
    name: "Assistant",
    platforms: [.macOS(.v12)],
    dependencies: [.package(name: "Flagbearer", path: "../../bindings/mobile/swift")],
    targets: [.executableTarget(name: "Assistant", dependencies: [.product(name: "Flagbearer", package: "Flagbearer")])]
)
