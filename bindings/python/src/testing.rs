//! Doors for the shared vectors, and for applications that try their rules without a server. Documents cross as JSON text.

use std::sync::Arc;

use flagbearer::document;
use flagbearer::door;
use flagbearer::error::{Error, ErrorCode, ErrorKind};
use flagbearer::token::KeySet;
use pyo3::prelude::*;

use super::{instant, refuse, watermark};

fn answer<A: ToString>(document: &str, door: impl FnOnce(&serde_json::Value) -> Result<A, Error>) -> PyResult<String> {
    document::parse(document.as_bytes())
        .and_then(|document| door(&document))
        .map(|answer| answer.to_string())
        .map_err(refuse)
}

#[pyfunction]
pub fn evaluate_json(document: &str) -> PyResult<String> {
    answer(document, door::evaluate_json)
}

#[pyfunction]
pub fn buckets_json(document: &str) -> PyResult<String> {
    answer(document, door::buckets_json)
}

#[pyfunction]
pub fn effect_json(document: &str) -> PyResult<String> {
    answer(document, door::effect_json)
}

/// The claim in a dialect, of flags given as a JSON array of `key`, `type` and `value`.
#[pyfunction]
pub fn encode_claim(dialect: &str, flags: &str) -> PyResult<String> {
    answer(flags, |flags| door::claim_text(dialect, flags))
}

/// The ids of the usable keys of a JWK set.
#[pyfunction]
pub fn usable_keys(jwks: &str) -> PyResult<Vec<String>> {
    let set = KeySet::parse(jwks.as_bytes()).map_err(refuse)?;
    Ok(set.iter().map(|key| key.key_id().to_owned()).collect())
}

/// Whether a signature is that of the only key of a JWK set.
#[pyfunction]
pub fn signature_valid(jwks: &str, input: &[u8], signature: &[u8]) -> PyResult<bool> {
    let set = KeySet::parse(jwks.as_bytes()).map_err(refuse)?;
    Ok(set.iter().next().is_some_and(|key| key.verify(input, signature).is_ok()))
}

/// Every code that a reader answers.
#[pyfunction]
pub fn error_codes() -> Vec<&'static str> {
    let read = |code: &&ErrorCode| matches!(code.kind(), ErrorKind::Token | ErrorKind::Read);
    ErrorCode::ALL.iter().filter(read).map(|code| code.as_str()).collect()
}

/// A reader that was told watermarks by a test instead of a server: what flag sets are read under, and the code that each
/// watermark was refused with.
#[pyfunction]
pub fn follow_watermarks(py: Python<'_>, document: &str) -> PyResult<(Py<PyAny>, Vec<Option<&'static str>>)> {
    let followed = document::parse(document.as_bytes()).and_then(|document| door::follow(&document));
    let (reader, outcomes) = followed.map_err(refuse)?;
    Ok((watermark(py, Arc::new(reader))?, outcomes.into_iter().map(|code| code.map(|code| code.as_str())).collect()))
}

#[pyclass(frozen, module = "flagbearer._native")]
pub struct TestIssuer(flagbearer::testing::TestIssuer);

#[pymethods]
impl TestIssuer {
    #[new]
    fn new(issuer: &str, client_id: &str, profile: Option<&str>) -> PyResult<Self> {
        flagbearer::testing::TestIssuer::new(issuer, client_id, profile).map(Self).map_err(refuse)
    }

    fn jwks(&self) -> PyResult<String> {
        self.0.jwks().map_err(refuse)
    }

    /// A token of the facts in a JSON document.
    fn token(&self, facts: &str, now: f64) -> PyResult<String> {
        document::parse(facts.as_bytes()).and_then(|facts| self.0.token(&facts, instant(now))).map_err(refuse)
    }
}
