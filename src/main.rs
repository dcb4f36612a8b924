//! `cargo-sandbox`.

use std::process::ExitCode;

use cargo_sandbox::cli::{self, FrontEnd};

fn main() -> ExitCode {
    match FrontEnd::from_process() {
        Ok(front_end) => cli::run(&front_end),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(cli::EXIT_FAILURE)
        }
    }
}
