//! The binary `flagbearer`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match flagbearer_server::cli::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("flagbearer: {failure}");
            ExitCode::FAILURE
        }
    }
}
