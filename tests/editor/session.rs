//! What people do in an editor, with everything of it inside.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Client, behind};
use super::support::run::{run, spawn};
use super::support::tool::{Engine, front_end};
use super::support::world::World;
use super::{confined, macros, manifest, worlds};

const MACROS: &str = r#"
    use proc_macro::TokenStream;

    #[proc_macro]
    pub fn make(_: TokenStream) -> TokenStream {
        "pub struct Made { pub by_the_macro: u32 }".parse().unwrap()
    }

    // No derive: those are known to a server by the standard library's source, which need not be there.
    #[proc_macro_attribute]
    pub fn with_method(_: TokenStream, item: TokenStream) -> TokenStream {
        let method: TokenStream = "impl Own { pub fn from_the_attribute(&self) {} }".parse().unwrap();
        item.into_iter().chain(method).collect()
    }
"#;

/// By a `cfg`, since what reads a script's files is the standard library's, whose source need not be there.
const SCRIPT: &str = r#"
    fn main() {
        println!("cargo::rustc-check-cfg=cfg(the_script_ran)");
        println!("cargo::rustc-cfg=the_script_ran");
        println!("cargo::rerun-if-changed=build.rs");
    }
"#;

/// With a place for one more expression in `main`.
fn source(expression: &str) -> String {
    format!(
        r#"macros::make!();

#[cfg(the_script_ran)]
struct Written {{
    by_the_script: u32,
}}

#[macros::with_method]
struct Own;

fn main() {{
    let made = Made {{ by_the_macro: 1 }};
    let written = Written {{ by_the_script: 2 }};
    let own = Own;
    own.from_the_attribute();
    let sum = made.by_the_macro + written.by_the_script;
    println!("the sum is {{sum}}");
    {expression}
}}
"#
    )
}

const WAITS: &str = r#"
    fn main() {
        while !std::path::Path::new("go").exists() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        println!("went on");
    }
"#;

fn project(world: &World) -> std::path::PathBuf {
    let project = world.work().join("app");
    world.write(&project.join("Cargo.toml"), &manifest(""));
    world.write(&project.join("build.rs"), SCRIPT);
    world.write(&project.join("src/main.rs"), &source(""));
    macros(world, &project, MACROS);
    project
}

#[test]
fn an_editor_works_as_ever() {
    for (world, engine, server) in worlds("session") {
        let project = project(&world);
        // A program that is there before the server is, and stays.
        world.write(&project.join("src/bin/waits.rs"), WAITS);
        let mut waits = world.sandbox(engine, &project);
        let mut waits = spawn(waits.args(["run", "--bin", "waits"]));
        let mark = format!("/tmp/session-{}-{engine}.log", world.user.name);
        let mut command = confined(&world, engine, &project, &server);
        command.args(["--log-file", &mark]);
        let mut client = Client::start(&mut command, &world, &project, json!({}));
        let processes = tree_of(&mark);
        assert!(!processes.is_empty(), "the server is a process with the arguments that it was given");
        assert!(waits.running(), "the other container is there");
        world.write(&project.join("go"), "");
        let waited = waits.wait(Duration::from_secs(120)).success("what ran at the same time");
        assert_eq!(waited.stdout, "went on\n");

        completes(&mut client);
        reports_what_the_compiler_says(&mut client, &world, &project);
        renames(&mut client, &project);
        formats(&mut client);
        offers_programs_that_run_inside(&mut client, &world, engine, &project);
        sees_a_new_dependency(&mut client, &world, &project);

        // Nothing but the editor's files was written: no build script or library for a cargo of the host's.
        let state = world.home.join(".cache/cargo-sandbox/projects");
        let own = only_entry(&state);
        assert!(own.join("editor/debug").is_dir(), "{}", own.display());

        let processes = [processes, tree_of(&mark)].concat();
        assert_eq!(client.shut_down(), 0);
        assert_gone(&processes);
        world.stop(engine, &project);
    }
}

fn completes(client: &mut Client) {
    for (expression, word) in
        [("made.", "by_the_macro"), ("written.", "by_the_script"), ("own.", "from_the_attribute")]
    {
        let text = source(expression);
        let labels = client.completions(&text, &format!("    {expression}"));
        assert!(labels.iter().any(|label| label == word), "{expression} {labels:?}\n{}", client.said());
    }
}

fn reports_what_the_compiler_says(client: &mut Client, world: &World, project: &Path) {
    let wrong = source("let _number: u32 = \"a text\";");
    client.change(&wrong);
    world.write(&project.join("src/main.rs"), &wrong);
    client.saved();
    let of_rustc = |message: &Value| {
        let all = message["params"]["diagnostics"].as_array().cloned().unwrap_or_default();
        all.iter().any(|one| one["source"] == "rustc" && one["code"] == "E0308")
    };
    client.wait("the compiler's error", of_rustc);
    let right = source("");
    client.change(&right);
    world.write(&project.join("src/main.rs"), &right);
    client.saved();
    client.wait("no error any more", |message| {
        message["method"] == "textDocument/publishDiagnostics" && !of_rustc(message)
    });
}

fn rename(client: &mut Client, text: &str, at: &str, name: &str) -> Value {
    let document = json!({"uri": client.uri("src/main.rs")});
    let params = json!({"textDocument": document, "position": behind(text, at), "newName": name});
    client.request("textDocument/rename", params)
}

fn renames(client: &mut Client, project: &Path) {
    let text = source("");
    client.change(&text);
    let answer = rename(client, &text, "let mad", "renamed");
    let changes = &answer["result"]["documentChanges"];
    let edits = changes[0]["edits"].as_array().unwrap_or_else(|| panic!("{answer}")).len();
    assert_eq!((edits, &changes[0]["textDocument"]["uri"]), (2, &json!(client.uri("src/main.rs"))));
    // A module with its file.
    fs::write(project.join("src/part.rs"), "pub fn one() {}\n").expect("source");
    let uri = client.uri("src/part.rs");
    client.notify("workspace/didChangeWatchedFiles", json!({"changes": [{"uri": uri, "type": 1}]}));
    let text = source("part::one();") + "mod part;\n";
    client.change(&text);
    // The server hears of the file and reads it later, and until then there is none to rename.
    let limit = Instant::now() + Duration::from_secs(20);
    let moved = loop {
        let answer = rename(client, &text, "mod par", "other");
        let changes = answer["result"]["documentChanges"].as_array().cloned().unwrap_or_default();
        if let Some(moved) = changes.into_iter().find(|change| change["kind"] == "rename") {
            break moved;
        }
        assert!(Instant::now() < limit, "{answer}");
        thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(moved["newUri"], client.uri("src/other.rs"));
    fs::remove_file(project.join("src/part.rs")).expect("removed");
}

fn formats(client: &mut Client) {
    client.change("fn main(  ) { }\n");
    let answer = client.request(
        "textDocument/formatting",
        json!({
            "textDocument": {"uri": client.uri("src/main.rs")},
            "options": {"tabSize": 4, "insertSpaces": true},
        }),
    );
    let edits = answer["result"].as_array().cloned().unwrap_or_else(|| panic!("{answer}\n{}", client.said()));
    assert!(!edits.is_empty(), "{answer}");
    client.change(&source(""));
}

/// As an editor starts them: the program, with the arguments, in the directory.
fn offers_programs_that_run_inside(client: &mut Client, world: &World, engine: Engine, project: &Path) {
    let document = json!({"textDocument": {"uri": client.uri("src/main.rs")}});
    let mut all = client.request("experimental/runnables", document.clone())["result"].clone();
    let lenses = client.request("textDocument/codeLens", document)["result"].clone();
    for lens in lenses.as_array().into_iter().flatten() {
        let lens = match lens.get("command") {
            Some(_) => lens.clone(),
            None => client.request("codeLens/resolve", lens.clone())["result"].clone(),
        };
        if let Some(runnable) = lens["command"]["arguments"].get(0)
            && runnable["kind"] == "cargo"
        {
            all.as_array_mut().expect("a list").push(runnable.clone());
        }
    }
    let all = all.as_array().cloned().expect("a list");
    assert!(all.len() > 2, "{all:?}");
    for runnable in &all {
        assert_eq!(runnable["args"]["overrideCargo"], json!(front_end()), "{runnable}");
    }
    let run_app = all
        .iter()
        .find(|one| one["label"] == "run app" && one["args"]["cargoArgs"][4] == "app")
        .expect("`run app`");
    let args = &run_app["args"];
    let mut command = world.sandbox_without_engine(engine, project);
    command.env("CARGO_SANDBOX_ENGINE", engine.to_string());
    command.args(args["cargoArgs"].as_array().expect("words").iter().filter_map(Value::as_str));
    // At the same time as the server, which goes on.
    let output = run(&mut command).success("the runnable");
    assert_eq!(output.stdout, "the sum is 3\n");
    // With other limits it is another Build container.
    let mut other = world.sandbox(engine, project);
    run(other.args(["--sandbox-limit", "processes=900", "test", "--bin", "app"]))
        .success("a test at the same time");
    let labels = client.completions(&source("made."), "    made.");
    assert!(labels.iter().any(|label| label == "by_the_macro"), "{labels:?}");
}

fn sees_a_new_dependency(client: &mut Client, world: &World, project: &Path) {
    world.write(&project.join("Cargo.toml"), &manifest("itoa = \"1\""));
    let uri = client.uri("Cargo.toml");
    client.notify("workspace/didChangeWatchedFiles", json!({"changes": [{"uri": uri, "type": 2}]}));
    client.notify("textDocument/didSave", json!({"textDocument": {"uri": uri}}));
    client.wait("work on the manifest", |message| {
        message["method"] == "experimental/serverStatus" && message["params"]["quiescent"] == false
    });
    client.quiescent();
    let labels = client.completions(&source("itoa::"), "    itoa::");
    assert!(labels.iter().any(|label| label.starts_with("Buffer")), "{labels:?}\n{}", client.said());
}

#[test]
fn nothing_of_it_outlives_the_editor() {
    for (world, engine, server) in worlds("gone") {
        let project = project(&world);
        // A front end that is killed leaves the same closed connection on every engine.
        let ways = ["hang-up", "kill"].into_iter();
        for way in ways.filter(|way| *way == "hang-up" || engine == Engine::Native && world.user.uid != 0) {
            let mark = format!("/tmp/gone-{way}-{}-{engine}.log", world.user.name);
            // It is no program that a limit of time is for, and the container is not idle while it runs.
            let mut command = world.sandbox(engine, &project);
            command.args(["--sandbox-limit", "wall-time=1s", "--sandbox-idle", "1", "self", "rust-analyzer"]);
            command.arg("--server").arg(&server).args(["--log-file", &mark]);
            let mut client = Client::start(&mut command, &world, &project, json!({}));
            let processes = tree_of(&mark);
            assert!(processes.len() > 1, "the server and what expands macros: {processes:?}");
            if way == "hang-up" {
                thread::sleep(Duration::from_secs(2));
            }
            let document = json!({"textDocument": {"uri": client.uri("src/main.rs")}});
            let symbols = client.request("textDocument/documentSymbol", document);
            assert!(symbols["result"].is_array(), "{symbols}");
            match way {
                "hang-up" => {
                    client.hang_up();
                }
                _ => client.kill(),
            }
            assert_gone(&processes);
        }
        world.stop(engine, &project);
    }
}

/// Processes whose arguments have this word, but for the front end, and all below them.
fn tree_of(mark: &str) -> Vec<u32> {
    let mut parents = Vec::new();
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<_> = words.split(|byte| *byte == 0).collect();
        if words.contains(&mark.as_bytes()) && words[0].ends_with(b"rust-analyzer") {
            found.insert(id);
        }
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse::<u32>().ok());
        parents.extend(parent.map(|parent| (id, parent)));
    }
    loop {
        let more: Vec<u32> = parents
            .iter()
            .filter(|(id, parent)| found.contains(parent) && !found.contains(id))
            .map(|(id, _)| *id)
            .collect();
        if more.is_empty() {
            return found.into_iter().collect();
        }
        found.extend(more);
    }
}

fn assert_gone(processes: &[u32]) {
    let started = Instant::now();
    let is_there = |id: &u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    while processes.iter().any(is_there) {
        assert!(started.elapsed() < Duration::from_secs(30), "still there of {processes:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn only_entry(directory: &Path) -> std::path::PathBuf {
    let mut all = fs::read_dir(directory).expect("directory").map(|entry| entry.expect("entry").path());
    let one = all.next().expect("one");
    assert!(all.next().is_none());
    one
}
