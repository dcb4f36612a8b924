//! riff. It is not to be had where these tests run, so a program of that name stands for it. It does what riff's
//! documentation and source say that `riff print-dev-env --json` does: it asks `cargo metadata` what the project and its
//! dependencies declare (`package.metadata.riff`), writes a flake of it into a temporary directory, and has
//! `nix print-dev-env --json` evaluate that; what nix writes is what it prints. cargo and nix are the real ones. Only where the
//! declared libraries come from differs: riff takes them from nixpkgs, this one from the expression beside it.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// The stand-in; `{LIBRARY}` is the expression of the one library that it knows.
const RIFF: &str = r#"#!/bin/sh
set -e
test "$1 $2 $3" = "print-dev-env --json --project-dir"
metadata=$(cargo metadata --format-version 1 --manifest-path "$4/Cargo.toml")
echo "$metadata" | grep -q '"riff":{"build-inputs":\["answer"\]'
flake=$(mktemp -d)
cat > "$flake/flake.nix" <<'FLAKE'
{ outputs = { self }: let shell = import ./shell.nix; in {
  devShells.x86_64-linux.default = shell;
  devShell.x86_64-linux = shell;
}; }
FLAKE
cat > "$flake/shell.nix" <<'SHELL'
{SHELL}
SHELL
nix flake lock --extra-experimental-features "flakes nix-command" -L "path://$flake" >&2
echo "rust: answer" >&2
exec nix print-dev-env --extra-experimental-features "flakes nix-command" -L "path://$flake" --json
"#;

#[test]
fn a_crate_builds_with_what_riff_gives() {
    let Some(world) = world("riff") else { return };
    if need(program("pkg-config")).is_none() {
        return;
    }
    let project = project(&world);
    let manifest = project.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).expect("written");
    let riff = "[package.metadata.riff]\nbuild-inputs = [\"answer\"]\n";
    world.write(&manifest, &text.replace("[workspace]", &format!("{riff}\n[workspace]")));
    let program = world.home.join("bin/riff");
    world.write(&program, &RIFF.replace("{SHELL}", &shell("  LD_LIBRARY_PATH = \"${library}/lib:/tmp\";")));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("set");
    let path =
        format!("{}:{}/bin:/usr/bin:/bin", world.home.join("bin").display(), world.toolchain.display());
    cargo(&world, Engine::Native, &project, &["generate-lockfile"]).success("generate-lockfile");
    wants(&world, "riff");
    for evaluates in [true, false] {
        let output =
            run(world.sandbox(Engine::Native, &project).arg("run").env("PATH", &path)).success("run");
        assert_eq!(output.stdout, SAYS, "{}", output.stderr);
        assert_eq!(output.stderr.contains("Cargo.toml (riff)"), evaluates, "{}", output.stderr);
    }
    world.stop(Engine::Native, &project);
}
