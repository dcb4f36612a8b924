//! Programs of the user's that give tokens. They run on the host with the user's environment, as cargo runs them.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::protocol::{Answer, Request};
use super::registry::Registry;

/// Longest answer that is read.
const MOST: u64 = 1 << 20;

/// Asks a credential provider.
///
/// # Errors
/// When it cannot be started, or does not speak the protocol.
pub fn ask(
    program: &str,
    arguments: &[String],
    request: &Request,
    environment: &[(OsString, OsString)],
) -> anyhow::Result<Answer> {
    let failed = || format!("the credential provider `{program}` failed");
    let mut child = command(program, environment)
        .args(arguments)
        .arg("--cargo-plugin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start the credential provider `{program}`"))?;
    let output = child.stdout.take().context("no pipe")?;
    let mut lines = BufReader::new(output.take(MOST)).lines();
    let hello = lines.next().transpose().with_context(failed)?.unwrap_or_default();
    let hello: serde_json::Value = serde_json::from_str(&hello)
        .with_context(|| format!("`{program}` is no credential provider: it says `{hello}`"))?;
    let speaks = hello["v"].as_array().is_some_and(|all| all.iter().any(|one| one == 1));
    if !speaks {
        bail!("the credential provider `{program}` does not speak version 1 of the protocol");
    }
    let mut input = child.stdin.take().context("no pipe")?;
    let request = Request { args: arguments.to_vec(), ..request.clone() };
    writeln!(input, "{}", serde_json::to_string(&request)?).with_context(failed)?;
    let answer = lines.next().transpose().with_context(failed)?.unwrap_or_default();
    drop(input);
    let status = child.wait().with_context(failed)?;
    // The answer may hold a token: it is not said.
    serde_json::from_str(&answer)
        .map_err(|_| anyhow::anyhow!("the credential provider `{program}` gave no answer ({status})"))
}

/// `cargo:token-from-stdout`: the token is what a program prints.
///
/// # Errors
/// When it fails.
pub fn from_stdout(
    words: &[String],
    registry: &Registry,
    environment: &[(OsString, OsString)],
) -> anyhow::Result<String> {
    let (program, arguments) =
        words.split_first().context("`cargo:token-from-stdout` needs the program that prints the token")?;
    let mut command = command(program, environment);
    command.args(arguments).env("CARGO_REGISTRY_INDEX_URL", &registry.index);
    if let Some(name) = &registry.name {
        command.env("CARGO_REGISTRY_NAME_OPT", name);
    }
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("failed to start `{program}`, which prints your token"))?;
    if !output.status.success() {
        bail!("`{program}`, which prints your token, failed: {}", output.status);
    }
    String::from_utf8(output.stdout).map_err(|_| anyhow::anyhow!("`{program}` printed no token"))
}

/// `cargo:libsecret`, which cargo has in itself: the same entry by the keyring's own program.
///
/// # Errors
/// When that is not there.
pub fn secret_tool(
    registry: &Registry,
    environment: &[(OsString, OsString)],
) -> anyhow::Result<Option<String>> {
    let output = command("secret-tool", environment)
        .args(["lookup", "url", &registry.index])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context(
            "`secret-tool`, which reads your keyring, cannot be started\n\nhint: install it (`libsecret-tools` on \
             Debian), or set the token by a variable",
        )?;
    let token = String::from_utf8(output.stdout).unwrap_or_default();
    Ok(Some(token.trim_end().to_owned()).filter(|token| output.status.success() && !token.is_empty()))
}

fn command(program: &str, environment: &[(OsString, OsString)]) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(environment.iter().cloned());
    command
}
