//! A flag set as Python's own keeps it: each table is asked for once, and a read is then one look-up in a dict and no call.

use flagbearer::claim::Carried;
use flagbearer::document;
use flagbearer::flag::FlagType;
use flagbearer::flag_set::FlagSet;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::refuse;

#[pyclass(frozen, module = "flagbearer._native", name = "FlagSet")]
pub struct NativeFlagSet(pub FlagSet);

#[pymethods]
impl NativeFlagSet {
    /// Of flags by key, as a JSON document.
    #[staticmethod]
    fn of_flags(flags: &str) -> PyResult<Self> {
        let flags = document::parse(flags.as_bytes()).and_then(|flags| flagbearer::testing::flag_set(&flags));
        flags.map(Self).map_err(refuse)
    }

    /// Of a `feature_flags` claim.
    #[staticmethod]
    fn of_claim(claim: &str) -> PyResult<Self> {
        FlagSet::of_claim(claim).map(Self).map_err(refuse)
    }

    /// Of a token's claims.
    #[staticmethod]
    fn of_claims(claims: &str) -> PyResult<Self> {
        FlagSet::of_claims(claims).map(Self).map_err(refuse)
    }

    /// The flags of one type, by key; JSON values as texts. Without a type, the keys that cannot be read, with their codes.
    fn table<'py>(&self, py: Python<'py>, flag_type: Option<&str>) -> PyResult<Bound<'py, PyDict>> {
        let table = PyDict::new(py);
        for (key, carried) in self.0.carried(flag_type.and_then(FlagType::parse)) {
            match carried {
                Carried::Boolean(value) => table.set_item(key, value)?,
                Carried::String(text) => table.set_item(key, &*text)?,
                Carried::Integer(integer) => table.set_item(key, integer)?,
                Carried::Json(text) => table.set_item(key, text)?,
                Carried::Unreadable(code) => table.set_item(key, code.as_str())?,
            }
        }
        Ok(table)
    }

    /// The keys whose flags differ from those of an older set.
    fn changed_from(&self, older: &Self) -> Vec<String> {
        self.0.changed_from(&older.0).into_iter().map(str::to_owned).collect()
    }

    /// All the claims, as JSON text.
    #[getter]
    fn claims(&self) -> &str {
        self.0.claims()
    }

    #[getter]
    fn organization(&self) -> Option<&str> {
        self.0.organization()
    }

    #[getter]
    fn flags_revision(&self) -> Option<i64> {
        self.0.flags_revision()
    }
}
