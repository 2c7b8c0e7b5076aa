import FlagbearerNative
import Foundation

/// Follows the watermark: the network and the pauses that the core asks for. What to do when, and what to believe, it
/// decides.
actor Watermark {
    /// Milliseconds; longer than any pause of the core's.
    private static let longestPause: Int64 = 60_000

    private let native: NativeReader
    private let http: Http
    private let clock: Clock
    private let keys: Keys
    private var pause: Task<Void, Never>?
    private var underWay: Task<Void, Never>?
    private var listeners: [UUID: AsyncStream<Void>.Continuation] = [:]

    init(native: NativeReader, http: Http, clock: @escaping Clock, keys: Keys) {
        self.native = native
        self.http = http
        self.clock = clock
        self.keys = keys
    }

    /// Something each time that flags may read otherwise.
    nonisolated var news: AsyncStream<Void> {
        AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let id = UUID()
            continuation.onTermination = { _ in Task { await self.remove(id) } }
            Task { await self.add(id, continuation) }
        }
    }

    private func add(_ id: UUID, _ continuation: AsyncStream<Void>.Continuation) {
        listeners[id] = continuation
    }

    private func remove(_ id: UUID) {
        listeners[id] = nil
    }

    /// Does what the core says, until it is cancelled.
    func follow() async {
        while !Task.isCancelled, let step = native.pollWatermark(now: clock()) {
            switch step {
            case .wait(let until):
                // A clock that was set back must not stretch a pause.
                let milliseconds = min(max(until - clock(), 1), Self.longestPause)
                let pause = Task { _ = try? await Task.sleep(nanoseconds: UInt64(milliseconds) * 1_000_000) }
                self.pause = pause
                await withTaskCancellationHandler { await pause.value } onCancel: { pause.cancel() }
            case .keysNeeded:
                await keys.fetched()
            case .get(let id, let url, let etag):
                begin(id) { try await self.get(id, url, etag) }
            case .stream(let id, let url):
                begin(id) { try await self.stream(id, url) }
            }
        }
        underWay?.cancel()
    }

    private func begin(_ id: UInt64, _ work: @escaping @Sendable () async throws -> Void) {
        underWay?.cancel()
        underWay = Task {
            // Whatever it was: it came to nothing. The core passes over what is said of a step that has come to its end.
            try? await work()
            if !Task.isCancelled { came(id, .failed) }
        }
    }

    private func came(_ id: UInt64, _ what: NativeCame) {
        native.receiveWatermark(id: id, came: what, now: clock())
        pause?.cancel()
        for listener in listeners.values { listener.yield() }
    }

    private func get(_ id: UInt64, _ url: String, _ etag: String?) async throws {
        guard let url = URL(string: url) else { throw URLError(.badURL) }
        var headers = ["Accept": "application/jwt, application/json"]
        if let etag { headers["If-None-Match"] = etag }
        let came = try await within(milliseconds: Http.limits.timeoutMilliseconds) { [http, headers] () -> NativeCame in
            let (bytes, answer) = try await http.open(url, headers: headers)
            switch answer.statusCode {
            case 200: return .body(body: try await http.whole(bytes), etag: answer.value(forHTTPHeaderField: "ETag"))
            case 304: return .notModified
            default: return .failed
            }
        }
        self.came(id, came)
    }

    private func stream(_ id: UInt64, _ url: String) async throws {
        guard let url = URL(string: url) else { throw URLError(.badURL) }
        // Lasts; the core says when it has been silent for too long.
        let (bytes, answer) = try await http.open(url, headers: ["Accept": "text/event-stream"])
        guard answer.statusCode == 200 else { return }
        var line = Data()
        for try await byte in bytes {
            line.append(byte)
            // An event ends with a line; to wait for its end spares a call for each byte.
            if byte == UInt8(ascii: "\n") || line.count == 16_384 {
                came(id, .bytes(bytes: line))
                line.removeAll(keepingCapacity: true)
            }
        }
    }
}
