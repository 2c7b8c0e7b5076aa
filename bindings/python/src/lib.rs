//! Python's door to the core. It converts and never decides; `flagbearer/_reader.py` adds the HTTP GET, and the classes that
//! users see are Python's.

use std::sync::Arc;

use flagbearer::error::Error;
use flagbearer::reader::{
    Came, FETCH_TIMEOUT_SECONDS, FollowerStep, KeySource, MAX_BODY_BYTES, Memory, Poll, Response, SILENCE_SECONDS,
};
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{Verifier, VerifierOptions};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyType};

mod flag_set;
mod testing;

use flag_set::NativeFlagSet;

// Classes of Python's own: a native exception would need Python 3.12, and a native set would make a call of each read.
static ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static FLAG_SET: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static WATERMARK: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// The one translation of the core's errors.
fn refuse(error: Error) -> PyErr {
    Python::attach(|py| match ERROR.import(py, "flagbearer._error", "FlagbearerError") {
        Ok(class) => PyErr::from_type(class.clone(), (error.code.as_str(), error.message, error.pointer)),
        Err(import) => import,
    })
}

/// Seconds since 1970, as `time.time()` has them.
fn instant(seconds: f64) -> Timestamp {
    Timestamp::from_milliseconds((seconds * 1000.0) as i64)
}

/// What flag sets ask of the watermark that their reader follows.
#[pyclass(frozen, module = "flagbearer._native")]
struct Followed(Arc<flagbearer::reader::Reader>);

#[pymethods]
impl Followed {
    /// What the watermark overrules of a token of this revision; nothing before the first one came.
    fn overruled(&self, revision: Option<i64>) -> Option<String> {
        Some(self.0.follower()?.latest().get()?.tables(revision))
    }

    /// The reader's state beside a token of this revision.
    fn state_of(&self, revision: Option<i64>, now: f64) -> Option<&'static str> {
        Some(self.0.follower()?.state_of(revision, instant(now)).as_str())
    }
}

/// The watermark as Python's flag sets hold it.
fn watermark(py: Python<'_>, reader: Arc<flagbearer::reader::Reader>) -> PyResult<Py<PyAny>> {
    Ok(WATERMARK.import(py, "flagbearer._watermark", "Watermark")?.call1((Followed(reader),))?.unbind())
}

#[pyclass(frozen, module = "flagbearer._native")]
struct Reader {
    reader: Arc<flagbearer::reader::Reader>,
    memory: Memory<Arc<Py<PyAny>>>,
    /// None where it is not followed.
    #[pyo3(get)]
    watermark: Option<Py<PyAny>>,
    /// Called for each read; none where nobody wants to know.
    on_read: Option<Py<PyAny>>,
}

#[pymethods]
impl Reader {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "they are Python's keywords, and no caller counts them")]
    #[pyo3(signature = (*, issuer, audience, client_id, profile, leeway, jwks_uri, discovery, seed, on_read))]
    fn new(
        py: Python<'_>,
        issuer: &str,
        audience: Option<&str>,
        client_id: Option<&str>,
        profile: Option<&str>,
        leeway: Option<f64>,
        jwks_uri: Option<String>,
        discovery: bool,
        seed: Option<u64>,
        on_read: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let verifier = Verifier::new(&VerifierOptions { issuer, audience, client_id, profile, leeway });
        let source = KeySource::of(jwks_uri, discovery);
        let reader = verifier.and_then(|verifier| flagbearer::reader::Reader::new(verifier, source)).map_err(refuse)?;
        let Some(seed) = seed else {
            return Ok(Self { reader: Arc::new(reader), memory: Memory::default(), watermark: None, on_read });
        };
        let reader = Arc::new(reader.following(seed));
        let watermark = Some(watermark(py, reader.clone())?);
        Ok(Self { reader, memory: Memory::default(), watermark, on_read })
    }

    /// The flag set, or nothing when keys must be fetched first. The same token again answers the same set.
    ///
    /// The interpreter's lock is released for the signature alone, which takes nearly all of the time. The core's own locks are
    /// therefore only ever held under the interpreter's, and so by no other thread at a fork: a child never finds them locked.
    fn verify<'py>(&self, token: &Bound<'py, PyAny>, now: f64) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (py, now) = (token.py(), instant(now));
        // What is no text, or none that UTF-8 can write, is no token; the core has the words for that.
        let token = token.cast::<PyString>().ok().and_then(|token| token.to_str().ok()).unwrap_or_default();
        if let Some(flags) = self.reader.recall(&self.memory, token, now) {
            return Ok(Some(flags.bind(py).clone()));
        }
        let Some((prepared, keys)) = self.reader.prepare(token, now).map_err(refuse)? else { return Ok(None) };
        let (flags, receipt) = py.detach(|| prepared.verify(keys)).map_err(refuse)?;
        let flags = FLAG_SET.import(py, "flagbearer._flag_set", "FlagSet")?.call1((
            NativeFlagSet(flags),
            &self.watermark,
            &self.on_read,
        ))?;
        self.memory.keep(token, receipt, Arc::new(flags.clone().unbind()));
        Ok(Some(flags))
    }

    /// What to do next, as `(id, url, until)`: with `url`, get it; with `until`, come back then; with neither, wait.
    fn poll(&self, now: f64) -> (Option<u64>, Option<String>, Option<f64>) {
        match self.reader.poll(instant(now)) {
            Poll::Fetch(fetch) => (Some(fetch.id), Some(fetch.url), None),
            Poll::Pending => (None, None, None),
            Poll::Idle { until } => (None, None, Some(until.milliseconds() as f64 / 1000.0)),
        }
    }

    /// Takes the body of an answer, or nothing for a fetch that failed.
    fn receive(&self, id: u64, body: Option<&[u8]>, now: f64) {
        self.reader.receive(id, body.map_or(Response::Failed, Response::Body), instant(now));
    }

    /// What following needs next, as `(id, url, stream, etag, until)`: with `url`, get it, as a stream or whole; with `until`,
    /// come back then; with neither, keys are needed first.
    fn poll_watermark(&self, now: f64) -> (Option<u64>, Option<String>, bool, Option<String>, Option<f64>) {
        match self.reader.follower().map(|follower| follower.poll(instant(now))) {
            Some(FollowerStep::Get { id, url, etag }) => (Some(id), Some(url), false, etag, None),
            Some(FollowerStep::Stream { id, url }) => (Some(id), Some(url), true, None, None),
            Some(FollowerStep::Wait { until }) => (None, None, false, None, Some(until.milliseconds() as f64 / 1000.0)),
            Some(FollowerStep::KeysNeeded) | None => (None, None, false, None, None),
        }
    }

    /// Takes the whole body of an answer, and its ETag.
    #[pyo3(signature = (id, body, etag, now))]
    fn watermark_body(&self, id: u64, body: &[u8], etag: Option<&str>, now: f64) {
        self.came(id, Came::Body { body, etag }, now);
    }

    /// Takes the next bytes of a stream.
    fn watermark_bytes(&self, id: u64, bytes: &[u8], now: f64) {
        self.came(id, Came::Bytes(bytes), now);
    }

    fn watermark_unmodified(&self, id: u64, now: f64) {
        self.came(id, Came::NotModified, now);
    }

    /// Takes that a step came to nothing, or a stream to its end.
    fn watermark_failed(&self, id: u64, now: f64) {
        self.came(id, Came::Failed, now);
    }

    /// The reader's own state; nothing where it does not follow.
    fn state(&self, now: f64) -> Option<&'static str> {
        Some(self.reader.follower()?.state(instant(now)).as_str())
    }
}

impl Reader {
    fn came(&self, id: u64, came: Came<'_>, now: f64) {
        if let Some(follower) = self.reader.follower() {
            follower.receive(id, came, instant(now));
        }
    }
}

#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::testing::{
        TestIssuer, buckets_json, effect_json, encode_claim, error_codes, evaluate_json, follow_watermarks, signature_valid,
        usable_keys,
    };
    #[pymodule_export]
    use super::{Followed, NativeFlagSet, Reader};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("FETCH_TIMEOUT_SECONDS", super::FETCH_TIMEOUT_SECONDS)?;
        module.add("MAX_BODY_BYTES", super::MAX_BODY_BYTES)?;
        module.add("SILENCE_SECONDS", super::SILENCE_SECONDS)
    }
}
