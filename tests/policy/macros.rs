//! Macros that read files (templates, migrations, `include_str!`): the project's own by rule, and no other.

use super::*;

/// A macro crate as it comes from a registry: `own!` reads a file of the package that uses it, as askama and
/// `embed_migrations!` do, and `any!` any file.
const MACROS: &str = r#"use proc_macro::TokenStream;

fn said(read: std::io::Result<String>) -> TokenStream {
    let text = read.unwrap_or_else(|error| format!("{:?}", error.kind()));
    format!("{:?}", text.trim()).parse().unwrap()
}

fn path(input: TokenStream) -> String {
    input.to_string().trim_matches('"').to_owned()
}

#[proc_macro]
pub fn own(input: TokenStream) -> TokenStream {
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    said(std::fs::read_to_string(std::path::Path::new(&package).join(path(input))))
}

#[proc_macro]
pub fn any(input: TokenStream) -> TokenStream {
    said(std::fs::read_to_string(path(input)))
}
"#;

#[test]
fn a_macro_reads_the_projects_files_and_no_other() {
    let Some(world) = world("policy-macros") else { return };
    let project = world.work().join("reads");
    let (beside, home) = (world.work().join("beside.txt"), world.home.join("private.txt"));
    world.write(&beside, "the file beside");
    world.write(&home, "the file in the home");
    let vendored = project.join("vendor/reads-files");
    let manifest = |name: &str, rest: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\n{rest}")
    };
    world.write(&vendored.join("Cargo.toml"), &manifest("reads-files", "[lib]\nproc-macro = true\n"));
    world.write(&vendored.join("src/lib.rs"), MACROS);
    world.write(&vendored.join(".cargo-checksum.json"), "{\"files\":{}}");
    let source =
        "[source.crates-io]\nreplace-with = \"vendored\"\n[source.vendored]\ndirectory = \"vendor\"\n";
    world.write(&project.join(".cargo/config.toml"), source);
    world.write(&project.join("Cargo.toml"), "[workspace]\nmembers = [\"member\"]\nresolver = \"3\"\n");
    world.write(
        &project.join("member/Cargo.toml"),
        &manifest("member", "[dependencies]\nreads-files = \"1\"\n"),
    );
    world.write(&project.join("member/templates/page.html"), "the template");
    world.write(&project.join("shared.txt"), "shared by members");
    let program = format!(
        "fn main() {{\n    println!(\"<{{}}>\", reads_files::own!(\"templates/page.html\"));\n    \
         println!(\"<{{}}>\", reads_files::own!(\"../shared.txt\"));\n    \
         println!(\"<{{}}>\", include_str!(\"../templates/page.html\"));\n    \
         println!(\"<{{}}>\", include_bytes!(\"../../shared.txt\").len());\n    \
         println!(\"beside <{{}}>\", reads_files::any!({beside:?}));\n    \
         println!(\"home <{{}}>\", reads_files::any!({home:?}));\n}}\n"
    );
    world.write(&project.join("member/src/main.rs"), &program);
    let own = ["<the template>", "<shared by members>", "<17>"];
    let plain = run(&mut line::plain(&world, &project, "run -q")).success("control");
    for said in own.into_iter().chain(["beside <the file beside>", "home <the file in the home>"]) {
        assert!(plain.stdout.contains(said), "{said}: {}", plain.stdout);
    }
    for engine in engines() {
        run(&mut sandbox(&world, engine, &project, "clean")).success("clean");
        let output = run(&mut sandbox(&world, engine, &project, "run -q")).success("run");
        for said in own {
            assert!(output.stdout.contains(said), "{said}: {}", output.stdout);
        }
        assert!(!output.stdout.contains("the file"), "{}", output.stdout);
        world.stop(engine, &project);
    }
}
