//! Nix as several users share it: a store that its daemon alone writes, and builds in the daemon's sandbox.

use std::process::Command;

use super::*;

/// Starts the daemon of a store that only this mount namespace sees, and then what comes behind it.
const SCRIPT: &str = r#"
set -e
mount -t tmpfs none /nix
mkdir -m 1775 /nix/store
nix-daemon --option sandbox true --option build-users-group "" --option extra-sandbox-paths "/bin /usr /lib /lib64" 2> "$1" &
trap "kill $!" EXIT
for attempt in $(seq 100); do test -S /nix/var/nix/daemon-socket/socket && break; sleep 0.1; done
shift
"$@"
"#;

#[test]
fn a_daemon_builds_for_who_cannot_write_its_store() {
    let (Some(_), Some(world)) = (need(User::root()), world("daemon")) else { return };
    let Some(unshare) = need(program("unshare")) else { return };
    if Path::new("/nix/store").exists() {
        // A store of this machine's own would be hidden, and perhaps nix with it.
        return need(Err("a machine without a store of Nix's".to_owned())).unwrap_or_default();
    }
    let project = project(&world);
    wants(&world, "nix");
    let key = world.home.join(".ssh/id_ed25519");
    world.write(&key, "the-victims-secret");
    let key = key.display();
    let attack = format!(
        "  GREETING = (if builtins.pathExists {key} then builtins.readFile {key} else \"nothing\") + builtins.readFile \
         (derivation {{\n    name = \"attack\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; PATH = \"/usr/bin:/bin\";\n    \
         args = [ \"-c\" \"cat {key} > $out 2>/dev/null || printf -- -nothing > $out\" ];\n  }});"
    );
    let shell = shell(&attack).replacen("  GREETING = \"hello\";\n", "", 1);
    world.write(&project.join("shell.nix"), &shell);

    let inner = {
        let mut command = world.sandbox(Engine::Native, &project);
        command.arg("run");
        command
    };
    let log = world.home.join("daemon.log");
    let mut command = Command::new(unshare);
    command
        .args(["--mount", "bash", "-c", SCRIPT, "bash"])
        .arg(&log)
        .arg(inner.get_program())
        .args(inner.get_args());
    command.env_clear().current_dir(&project);
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let made = fs::create_dir("/nix").is_ok();
    let output = run(&mut command);
    if made {
        fs::remove_dir("/nix").expect("an empty directory");
    }
    let output = output.success("run with a daemon");
    assert_eq!(output.stdout, "42 from-the-store nothing-nothing nothing\n", "{}", output.stderr);
    let said = fs::read_to_string(&log).expect("the daemon's words");
    assert!(said.contains(&format!("user {}", world.user.name)), "it was not asked: {said}");
    assert!(stores(&world).is_empty(), "the project has a store of its own beside it");
    world.stop(Engine::Native, &project);
}
