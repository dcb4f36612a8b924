//! Whether a cargo can be confined: it must know a build directory apart from the target directory.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use anyhow::{Context, bail};

use super::Toolchain;

/// The first cargo with a stable `build.build-dir` (its changelog, 1.91).
const OLDEST: (u32, u32) = (1, 91);

/// Checks the toolchain's cargo, unless it is the one that `stamp` says was checked. Returns the stamp to remember.
///
/// # Errors
/// When it is too old, or does not run.
pub fn check(toolchain: &Toolchain, stamp: Option<String>) -> anyhow::Result<String> {
    let program = toolchain.program("cargo");
    let metadata = program.metadata().with_context(|| format!("failed to find `{}`", program.display()))?;
    let current =
        format!("{} {}.{} {}", program.display(), metadata.mtime(), metadata.mtime_nsec(), metadata.len());
    if stamp.as_ref() == Some(&current) {
        return Ok(current);
    }
    // The toolchain's own cargo, from a directory without configuration, with nothing in its environment.
    let output = Command::new(&program)
        .arg("--version")
        .env_clear()
        .current_dir("/")
        .output()
        .with_context(|| format!("failed to run `{}`", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match parse(&text) {
        Some(version) if version >= OLDEST => Ok(current),
        Some(_) => bail!(
            "{} is too old: it cannot keep what a build makes apart from the repository (`build.build-dir`, cargo \
             1.91)\n\nhint: `rustup update`, or name a newer toolchain (`cargo-sandbox +stable …`)",
            text.trim()
        ),
        None => bail!("`{}` does not say which version it is: {}", program.display(), text.trim()),
    }
}

/// `cargo 1.95.0 (…)`
fn parse(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.strip_prefix("cargo ")?.split(['.', '-', ' ']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse("cargo 1.95.0 (f2d3ce0bd 2026-03-21)\n"), Some((1, 95)));
        assert_eq!(parse("cargo 1.97.0-nightly (x)"), Some((1, 97)));
        assert_eq!(parse("rustup"), None);
        assert!((1, 90) < OLDEST && (2, 0) > OLDEST);
    }
}
