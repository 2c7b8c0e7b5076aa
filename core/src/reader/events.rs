//! Server-sent events, read as they come in: bytes in, documents out. What a line is, and what an event, is decided by
//! HTML §9.2.6; only `data` matters here.

/// A stream that is being read.
#[derive(Debug, Default)]
pub struct Events {
    line: Vec<u8>,
    /// The lines of `data` so far; none where the event has no data yet.
    data: Option<Vec<u8>>,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_return: bool,
    begun: bool,
}

/// One event is longer than is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl Events {
    /// Takes the next bytes; answers the data of every event that is complete with them.
    pub fn feed(&mut self, bytes: &[u8], max: usize) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (part, ended) = rest.split_at(end.unwrap_or(rest.len()));
            if self.line.len() + self.data.as_ref().map_or(0, Vec::len) + part.len() > max {
                return Err(TooLong);
            }
            self.line.extend_from_slice(part);
            let Some((&terminator, after)) = ended.split_first() else { break };
            self.after_return = terminator == b'\r';
            rest = after;
            events.extend(self.end_line());
        }
        Ok(events)
    }

    /// An empty line ends the event; one that is cut off by the end of the stream never happened.
    fn end_line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        let line = match std::mem::replace(&mut self.begun, true) {
            false => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line),
            true => &line,
        };
        if line.is_empty() {
            return self.data.take().map(|data| String::from_utf8_lossy(&data).into_owned());
        }
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        if name == b"data" {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match &mut self.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => self.data = Some(value.to_vec()),
            }
        }
        None
    }
}
