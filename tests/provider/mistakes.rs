//! What is said where a provider cannot give anything.

use super::support::run::fails;
use super::*;

#[test]
fn what_is_missing_or_wrong_is_named_with_what_to_do() {
    let Some(world) = world("provider-mistakes") else { return };
    let project = project(&world);
    let check = || {
        let mut command = world.sandbox(Engine::Native, &project);
        command.arg("check");
        command
    };
    let file = ".config/cargo-sandbox/config.toml:2, [native]";

    wants(&world, "nxi");
    fails(&mut check(), &["there is no provider `nxi`", "hint: did you mean `nix`?", "line 2, column 12"]);

    wants(&world, "image");
    fails(&mut check(), &[file, "from an image, and none is chosen", "hint: `image = "]);

    wants(&world, "nix");
    let nothing = ["neither a `flake.nix` nor a `shell.nix`", file, "hint: write one of them"];
    fails(&mut check(), &nothing);

    world.write(&project.join("shell.nix"), &shell(""));
    // No program of the system's at all.
    let bin = world.toolchain.join("bin");
    let missing = ["`nix` is not installed", file, "apt-get install nix-bin"];
    fails(check().env("PATH", &bin), &missing);

    wants(&world, "riff");
    let missing = ["`riff` is not installed", file, "nix profile install"];
    fails(check().env("PATH", &bin), &missing);

    // nix's own words, and nothing that a terminal obeys. What it says is that of the repository.
    wants(&world, "nix");
    world.write(&project.join("shell.nix"), "throw \"no such thing \u{1b}]0;title\u{7}\"\n");
    let failed = ["nix could not evaluate", "shell.nix", "no such thing", "hint: it runs confined"];
    let output = fails(&mut check(), &failed);
    assert!(!output.stderr.contains("\u{1b}]0;"), "{}", output.stderr);

    world.write(&project.join("shell.nix"), "let in {\n");
    fails(&mut check(), &["syntax error", "shell.nix:1:"]);

    // One that never ends ends.
    let endless = "derivation { name = \"endless\"; system = \"x86_64-linux\"; builder = \"/bin/bash\"; outputs = [ \"out\" ];\n\
                   x = builtins.readFile (derivation { name = \"x\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; args = [ \"-c\" \
                   \"while :; do :; done\" ]; }); }\n";
    world.write(&project.join("shell.nix"), endless);
    let mut limited = world.sandbox(Engine::Native, &project);
    limited.args(["--sandbox-limit", "wall-time=3s", "check"]);
    fails(&mut limited, &["nix was stopped: it ran for too long", "hint: `--sandbox-limit`"]);

    // What is not asked for is not evaluated, whatever lies there.
    wants(&world, "host");
    fails(&mut check(), &["pkg-config failed"]);
    world.stop(Engine::Native, &project);
}
