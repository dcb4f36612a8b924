//! Nix as several users share it: a store that its daemon alone writes, and builds in the daemon's sandbox.

use std::process::Command;

use super::*;

/// Starts the daemon of a store that only this mount namespace sees, and then what comes behind it.
const SCRIPT: &str = r#"
set -e
mount -t tmpfs none /nix
mkdir -m 1775 /nix/store
env -i PATH="$PATH" timeout 300 nix-daemon --option sandbox "$2" --option build-users-group "" --option extra-sandbox-paths "/bin /usr /lib /lib64 /etc/alternatives" \
    --option substituters "" > "$1" 2>&1 < /dev/null &
trap "kill $!" EXIT
for attempt in $(seq 100); do test -S /nix/var/nix/daemon-socket/socket && break; sleep 0.1; done
shift 2
"$@"
"#;

/// An empty `/nix` for the time of a command, to mount on.
struct Place(bool);

impl Place {
    fn new() -> Self {
        Self(fs::create_dir("/nix").is_ok())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.0 {
            let _left = fs::remove_dir("/nix");
        }
    }
}

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
    let with_daemon = |sandbox: &str, words: &Command| {
        let mut command = Command::new(&unshare);
        command.args(["--mount", "bash", "-c", SCRIPT, "bash"]).arg(&log).arg(sandbox);
        command.arg(words.get_program()).args(words.get_args()).env_clear().current_dir(&project);
        command.envs(words.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let _place = Place::new();
        run(&mut command)
    };

    // A daemon without its sandbox gives the key to whom it builds for, by plain nix; here it is asked for nothing.
    let mut plain = world.command(program("nix").expect("needed"));
    plain.args(["--extra-experimental-features", "nix-command", "--offline", "eval", "--impure", "--raw"]);
    plain.args(["--file", "shell.nix", "--store", "daemon", "GREETING"]);
    let gained = with_daemon("false", &plain).success("plain nix").stdout;
    assert_eq!(gained, "the-victims-secretthe-victims-secret", "the control");
    let refused = with_daemon("false", &inner);
    assert_eq!(refused.code(), 101, "{}", refused.stderr);
    let words = ["Nix's daemon does not build in its sandbox", "hint: `sandbox = true`"];
    assert!(words.iter().all(|word| refused.stderr.contains(word)), "{}", refused.stderr);

    let output = with_daemon("true", &inner);
    let output = output.success("run with a daemon");
    assert_eq!(output.stdout, "42 from-the-store nothing-nothing nothing\n", "{}", output.stderr);
    let said = fs::read_to_string(&log).expect("the daemon's words");
    assert!(said.contains(&format!("user {}", world.user.name)), "it was not asked: {said}");
    assert!(stores(&world).is_empty(), "the project has a store of its own beside it");
    world.stop(Engine::Native, &project);
}
