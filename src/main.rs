//! `cargo-sandbox`: the front end, and the other roles that the same executable plays.

use std::ffi::OsString;
use std::process::ExitCode;

use cargo_sandbox::agent::{self, AGENT_ARGUMENT};
use cargo_sandbox::cli::{self, FrontEnd};

fn main() -> ExitCode {
    // Roles inside a container come first: they must start before anything reads the environment or starts a
    // thread.
    let arguments: Vec<OsString> = std::env::args_os().take(3).collect();
    if let [_, role, config] = arguments.as_slice()
        && role == AGENT_ARGUMENT
    {
        return agent::main(config);
    }
    match FrontEnd::from_process() {
        Ok(front_end) => cli::run(&front_end),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(cli::EXIT_FAILURE)
        }
    }
}
