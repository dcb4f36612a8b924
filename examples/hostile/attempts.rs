// Shared by the build script and the proc macro. Every attempt says what it got, and does no harm with it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// One line for each attempt, `succeeded: …` or `refused: …`.
pub fn attempts(who: &str) -> Vec<String> {
    let attempts: [(&str, fn(&str) -> Result<String, String>); 5] = [
        ("list ~/.ssh", list_ssh),
        ("collect secrets of the environment", collect_secrets),
        ("connect to 127.0.0.1:47811", connect),
        ("write into the home directory", write_home),
        ("leave a process behind", leave_process),
    ];
    let line = |(what, attempt): (&str, fn(&str) -> Result<String, String>)| match attempt(who) {
        Ok(got) => format!("[{who}] succeeded: {what}: {got}"),
        Err(why) => format!("[{who}] refused: {what}: {why}"),
    };
    attempts.into_iter().map(line).collect()
}

fn home() -> Result<PathBuf, String> {
    std::env::home_dir().ok_or_else(|| "no home directory".into())
}

fn list_ssh(_: &str) -> Result<String, String> {
    let dir = home()?.join(".ssh");
    let files = fs::read_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    Ok(format!("{} files in {}", files.count(), dir.display()))
}

fn collect_secrets(_: &str) -> Result<String, String> {
    let looks_secret = |name: &String| ["TOKEN", "SECRET", "PASSWORD"].iter().any(|word| name.contains(word));
    let names: Vec<_> = std::env::vars_os().map(|(name, _)| name.display().to_string()).filter(looks_secret).collect();
    if names.is_empty() { Err("none there".into()) } else { Ok(names.join(", ")) }
}

fn connect(_: &str) -> Result<String, String> {
    let address = SocketAddr::from(([127, 0, 0, 1], 47811));
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).map_err(|error| error.to_string())?;
    Ok(format!("connected from {}", stream.local_addr().map_err(|error| error.to_string())?))
}

fn write_home(who: &str) -> Result<String, String> {
    let home = home()?;
    // A sandbox may give each job an empty home of its own, in which a write reaches nobody.
    if fs::read_dir(&home).map_err(|error| error.to_string())?.next().is_none() {
        return Err(format!("{} is empty, not the user's home", home.display()));
    }
    let path = home.join(".hostile-example-was-here");
    fs::write(&path, who).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(format!("wrote {}", path.display()))
}

/// Drops a program under a name that looks at home, and starts it as the real one did: in a session of its
/// own, without input or output, not waited for. Whether it outlives the build, only `ps` can tell afterwards.
fn leave_process(who: &str) -> Result<String, String> {
    let path = std::env::temp_dir().join(format!("hostile-example-survivor-{}", who.replace(' ', "-")));
    fs::write(&path, "#!/bin/sh\nsleep 60\n:\n").map_err(|error| format!("{}: {error}", path.display()))?;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&path, mode).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut command = Command::new(&path);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let child = command.spawn().map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(format!("started {} as process {}; `ps` tells whether it outlives the build", path.display(), child.id()))
}
