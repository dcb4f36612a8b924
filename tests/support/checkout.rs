//! A copy of this checkout: what git has of it, and would have.

use std::path::Path;
use std::process::Command;

use super::program;
use super::run::run;

/// Copies it into a directory that is there.
pub fn copy(to: &Path) -> Result<(), String> {
    let mut git = Command::new(program("git")?);
    // The checkout may belong to another user.
    git.args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = git.current_dir(env!("CARGO_MANIFEST_DIR")).output().map_err(|error| error.to_string())?;
    if !listed.status.success() {
        return Err(format!("no git checkout: {}", String::from_utf8_lossy(&listed.stderr).trim()));
    }
    let list = to.with_extension("list");
    std::fs::write(&list, listed.stdout).map_err(|error| error.to_string())?;
    // A file that was just removed is still in git's list.
    let copy = "tar --create --null --ignore-failed-read --files-from \"$1\" | tar --extract --no-same-owner --directory \"$2\"";
    let mut command = Command::new("sh");
    command.args(["-c", copy, "sh"]).args([&list, to]).current_dir(env!("CARGO_MANIFEST_DIR"));
    run(&mut command).success("a copy of the checkout");
    let _gone = std::fs::remove_file(list);
    Ok(())
}
