//! `cargo-sandbox`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(name), Some(config)) if name == cargo_sandbox::agent::AGENT_ARGUMENT => {
            cargo_sandbox::agent::main(&config)
        }
        (Some(name), None) if name == cargo_sandbox::container::native::INIT_ARGUMENT => {
            cargo_sandbox::container::native::init_main()
        }
        _ => ExitCode::SUCCESS,
    }
}
