//! The binary `flagbearer`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match flagbearer_server::cli::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flagbearer: {error}");
            ExitCode::FAILURE
        }
    }
}
