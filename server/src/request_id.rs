//! The id of the request that a task answers: said in every answer, in the log, in the change log, and beside what is issued.

use std::future::Future;

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that this task answers; empty outside of one.
pub fn current() -> String {
    CURRENT.try_with(String::clone).unwrap_or_default()
}

/// Lets a future answer the request of this id.
pub fn scope<F: Future>(id: String, answering: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(id, answering)
}
