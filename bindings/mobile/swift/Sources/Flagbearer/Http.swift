import FlagbearerNative
import Foundation

/// GETs without credentials, without caches and without following redirects.
final class Http: Sendable {
    static let limits = FlagbearerNative.limits()

    private let session: URLSession

    init() {
        let configuration = URLSessionConfiguration.ephemeral
        configuration.urlCredentialStorage = nil
        configuration.httpShouldSetCookies = false
        configuration.requestCachePolicy = .reloadIgnoringLocalAndRemoteCacheData
        // Longer than a stream is silent; whoever asks sets a limit to the whole.
        configuration.timeoutIntervalForRequest = 60
        session = URLSession(configuration: configuration, delegate: NoRedirects(), delegateQueue: nil)
    }

    deinit {
        session.invalidateAndCancel()
    }

    /// The body of an answer with status 200, read no further than the core allows.
    func get(_ url: URL) async throws -> Data {
        let (bytes, answer) = try await open(url, headers: ["Accept": "application/json"])
        guard answer.statusCode == 200 else { throw URLError(.badServerResponse) }
        return try await whole(bytes)
    }

    func open(_ url: URL, headers: [String: String]) async throws -> (URLSession.AsyncBytes, HTTPURLResponse) {
        var request = URLRequest(url: url)
        for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
        let (bytes, answer) = try await session.bytes(for: request)
        guard let answer = answer as? HTTPURLResponse else { throw URLError(.badServerResponse) }
        return (bytes, answer)
    }

    func whole(_ bytes: URLSession.AsyncBytes) async throws -> Data {
        var body = Data()
        for try await byte in bytes {
            body.append(byte)
            if body.count > Int(Self.limits.maxBodyBytes) { throw URLError(.dataLengthExceedsMaximum) }
        }
        return body
    }
}

/// A redirect is answered as it is.
private final class NoRedirects: NSObject, URLSessionTaskDelegate {
    func urlSession(
        _: URLSession, task _: URLSessionTask, willPerformHTTPRedirection _: HTTPURLResponse, newRequest _: URLRequest
    ) async -> URLRequest? {
        nil
    }
}
