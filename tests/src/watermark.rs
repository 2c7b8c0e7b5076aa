//! A watermark's stream as a reader has it open.

use std::time::Duration;

use reqwest::{Client, Response};

/// How long a test waits for an event before it fails: what is promised is far less, and measured elsewhere.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open stream of server-sent events.
#[derive(Debug)]
pub struct WatermarkStream {
    pub response: Response,
    read: String,
}

impl WatermarkStream {
    /// Opens `/v1/watermark/<environment>` of a server.
    pub async fn open(url: &str, environment: &str) -> Self {
        let request = Client::new().get(format!("{url}/v1/watermark/{environment}")).header("accept", "text/event-stream");
        let response = request.send().await.expect("the server answers");
        assert_eq!(response.status(), 200);
        Self { response, read: String::new() }
    }

    /// The next block of the stream, be it an event or a comment; `None` after its end.
    pub async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.read.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.read = rest;
                return Some(block);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("something comes");
            self.read.push_str(std::str::from_utf8(&chunk.ok()??).expect("UTF-8"));
        }
    }

    /// The next watermark, signed as it is.
    pub async fn watermark(&mut self) -> String {
        loop {
            let block = self.block().await.expect("the stream goes on");
            if let Some(text) = block.strip_prefix("data: ") {
                return text.to_owned();
            }
            assert_eq!(block, ":", "an event has data alone");
        }
    }
}
