//! What is printed for editors, and what is said where there is no server or it must not run.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::client::Client;
use super::support::need;
use super::support::run::{Output, run};
use super::support::tool::{Engine, front_end};
use super::support::world::{World, ordinary};
use super::{confined, macros, manifest, server};

fn project(world: &World) -> PathBuf {
    let project = world.work().join("app");
    world.write(&project.join("Cargo.toml"), &manifest(""));
    world.write(&project.join("src/main.rs"), "fn main() {}\n");
    macros(world, &project, "");
    project
}

fn setting(world: &World, editor: &str, more: &[&str]) -> String {
    let mut command = world.sandbox(Engine::Native, &world.home);
    run(command.args(["self", "setup", "--editor", editor]).args(more)).success(editor).stdout
}

#[track_caller]
fn refused(output: &Output, words: &[&str]) {
    assert_eq!((output.code(), output.stdout.as_str()), (101, ""), "{}", output.stderr);
    for word in words {
        assert!(output.stderr.contains(word), "`{word}` is not in:\n{}", output.stderr);
    }
}

#[test]
fn the_setting_of_each_editor_starts_this_program() {
    let Some(world) = ordinary("settings") else { return };
    let tool = front_end();
    let helix: toml::Value = toml::from_str(&setting(&world, "helix", &[])).expect("TOML");
    let server = &helix["language-server"]["rust-analyzer"];
    assert_eq!(server["command"].as_str(), tool.to_str());
    let zed: Value = serde_json::from_str(&setting(&world, "zed", &[])).expect("JSON");
    let binary = &zed["lsp"]["rust-analyzer"]["binary"];
    assert_eq!(*binary, json!({"path": tool, "arguments": ["self", "rust-analyzer"]}));
    let neovim = setting(&world, "neovim", &["--server", "/usr/bin/env"]);
    let command = format!("cmd = {{ \"{}\", \"self\", \"rust-analyzer\", \"--server\", ", tool.display());
    assert!(neovim.contains(&command), "{neovim}");
}

/// VS Code takes a path, asks that for its version, and starts it without arguments.
#[test]
fn an_editor_that_takes_a_path_starts_the_stand_in() {
    let Some(world) = ordinary("stand-in") else { return };
    let Some(server) = need(server(&world)) else { return };
    let settings = setting(&world, "vscode", &["--server", server.to_str().expect("UTF-8")]);
    let settings: Value = serde_json::from_str(&settings).expect("JSON");
    let path = PathBuf::from(settings["rust-analyzer.server.path"].as_str().expect("a path"));
    assert!(path.is_absolute() && path.ends_with("rust-analyzer"), "{}", path.display());

    let version = run(world.command(&path).arg("--version")).success("--version");
    assert!(version.stdout.starts_with("rust-analyzer in cargo-sandbox "), "{}", version.stdout);
    let project = project(&world);
    let mut command = world.command(&path);
    command.env("CARGO_SANDBOX_ENGINE", "native");
    let mut client = Client::start(&mut command, &world, &project, json!({}));
    let document = json!({"textDocument": {"uri": client.uri("src/main.rs")}});
    let symbols = client.request("textDocument/documentSymbol", document);
    assert_eq!(symbols["result"][0]["name"], "main", "{symbols}");
    assert_eq!(client.shut_down(), 0);
    world.stop(Engine::Native, &project);
}

/// rustup's stand-in would download a server, or say that there is none.
#[test]
fn a_missing_server_is_named_with_what_to_do() {
    let Some(world) = ordinary("no-server") else { return };
    let project = project(&world);
    let bin = world.home.join("rustup/bin");
    let trace = world.home.join("started");
    executable(&world, &bin.join("rustup"), &format!("touch {}", trace.display()));
    symlink("rustup", bin.join("rust-analyzer")).expect("link");
    let with_path = |first: &Path, words: &[&str]| {
        let mut command = world.sandbox(Engine::Native, &project);
        let path = format!("{}:{}:/usr/bin:/bin", first.display(), world.toolchain.join("bin").display());
        run(command.env("PATH", path).args(["self", "rust-analyzer"]).args(words))
    };
    let advice = "hint: `rustup component add rust-analyzer --toolchain ";
    let output = with_path(&bin, &[]);
    refused(&output, &["has no rust-analyzer", "is rustup's stand-in", advice]);
    refused(&with_path(&bin, &["--version"]), &[advice]);
    assert!(!trace.exists(), "rustup was not started");

    let of_project = project.join("bin");
    executable(&world, &of_project.join("rust-analyzer"), &format!("touch {}", trace.display()));
    refused(&with_path(&of_project, &[]), &["is in the project"]);
    refused(&with_path(&bin, &["--server", "nowhere"]), &["nowhere` is no executable file"]);
    assert!(!trace.exists());
}

#[test]
fn what_cannot_be_confined_as_promised_does_not_start() {
    let Some(world) = ordinary("not-started") else { return };
    let Some(server) = need(server(&world)) else { return };
    let project = project(&world);
    let with = |words: &[&str]| run(confined(&world, Engine::Native, &project, &server).args(words));
    refused(&with(&["diagnostics", "."]), &["`rust-analyzer diagnostics` is no language server"]);

    let asks = project.join(".cargo/config.toml");
    world.write(&asks, "[http]\nproxy = \"http://127.0.0.1:1\"\n");
    refused(&with(&[]), &["http.proxy", "cargo-sandbox self trust"]);
    fs::remove_file(asks).expect("removed");

    let policy = project.join("cargo-sandbox.toml");
    world.write(&policy, "build-scripts = \"allow-listed\"\n");
    refused(&with(&[]), &["a policy that takes something away", "self explain"]);
    fs::remove_file(policy).expect("removed");

    let mut elsewhere = world.sandbox(Engine::Native, &world.work());
    refused(
        &run(elsewhere.args(["self", "rust-analyzer", "--server"]).arg(&server)),
        &["works on one project"],
    );
    world.stop(Engine::Native, &project);
}

fn executable(world: &World, path: &Path, text: &str) {
    world.write(path, &format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("mode");
}
