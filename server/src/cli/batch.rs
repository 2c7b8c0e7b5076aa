//! `flagbearer batch`.

use clap::Args;
use serde_json::Value;

use super::client::{Client, Connection, Request, Write};
use super::failure::Failure;
use super::value;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    connection: Connection,

    /// The writes, `{"comment": …, "writes": [{"method", "path", "body", "if_match"}, …]}` as JSON; `-` reads standard input.
    #[arg(long, short, value_name = "FILE", value_parser = file)]
    file: Value,

    #[command(flatten)]
    write: Write,
}

fn file(name: &str) -> Result<Value, String> {
    value::document(&format!("@{name}"))
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let writes = arguments.file["writes"].as_array().map(Vec::len).unwrap_or_default();
    let done = if writes == 1 { "Made 1 write".to_owned() } else { format!("Made {writes} writes as one change") };
    let request = Request::post(["batch"]).body(arguments.file).write(&arguments.write);
    Client::new(&arguments.connection)?.change(request, &done).await
}
