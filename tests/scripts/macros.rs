//! Macros of a dependency that read files (askama's templates, diesel's migrations, `include_str`): those of the member that uses
//! them, and nobody else's.

use std::path::Path;

use super::each_engine;
use super::support::line;
use super::support::run::run;
use super::support::world::World;

/// `read!("path")` is the file's text, relative to the package that uses it; `names!("path")` what is in a directory.
const READER: &str = r#"use proc_macro::{Literal, TokenStream, TokenTree};
fn path(input: TokenStream) -> std::path::PathBuf {
    let text = input.to_string();
    std::path::Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join(text.trim_matches('"'))
}
fn text(text: String) -> TokenStream { TokenTree::from(Literal::string(&text)).into() }
#[proc_macro]
pub fn read(input: TokenStream) -> TokenStream {
    text(std::fs::read_to_string(path(input)).map_or_else(|error| format!("{:?}", error.kind()), |text| text.trim().to_owned()))
}
#[proc_macro]
pub fn names(input: TokenStream) -> TokenStream {
    let entries = std::fs::read_dir(path(input)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    text(names.join(" "))
}
"#;

fn vendored(world: &World, project: &Path, name: &str, manifest: &str, source: &str) {
    let directory = project.join("vendor").join(name);
    let head = format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n{manifest}");
    world.write(&directory.join("Cargo.toml"), &head);
    world.write(&directory.join(".cargo-checksum.json"), "{\"files\":{}}");
    world.write(&directory.join("src/lib.rs"), source);
}

#[test]
fn a_macro_reads_the_files_of_the_member_that_uses_it() {
    each_engine("macros", |world, engine| {
        let project = world.work().join("macros");
        let other = world.work().join("other/templates/page.html");
        let home = world.home.join("notes.txt");
        world.write(&other, "another project's");
        world.write(&home, "the user's");
        let outside = [other, home].map(|path| path.display().to_string());
        vendored(world, &project, "reader", "[lib]\nproc-macro = true\n", READER);
        // The same macro, in the compiler of a package that is not the workspace's.
        let member = project.join("templates/page.html").display().to_string();
        let source = format!("pub const WORKSPACE: &str = reader::read!({member:?});\n");
        vendored(world, &project, "user", "[dependencies]\nreader = \"1\"\n", &source);
        world.write(
            &project.join("Cargo.toml"),
            "[package]\nname = \"macros\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\nreader = \"1\"\nuser = \"1\"\n\
             [workspace]\nexclude = [\"vendor\"]\n",
        );
        world.write(
            &project.join(".cargo/config.toml"),
            "[source.crates-io]\nreplace-with = \"vendored\"\n[source.vendored]\ndirectory = \"vendor\"\n",
        );
        world.write(&project.join("templates/page.html"), "a page\n");
        world.write(&project.join("migrations/2_more/up.sql"), "");
        world.write(&project.join("migrations/1_first/up.sql"), "create");
        let [other, home] = &outside;
        world.write(
            &project.join("src/main.rs"),
            &format!(
                "fn main() {{\n println!(\"{{}}, {{}}, {{}}, {{}}\", reader::read!(\"templates/page.html\"), \
                 reader::names!(\"migrations\"), reader::read!(\"migrations/1_first/up.sql\"), \
                 include_str!(\"../templates/page.html\").trim());\n println!(\"{{}}, {{}}, {{}}\", \
                 reader::read!({other:?}), reader::read!({home:?}), user::WORKSPACE);\n}}\n"
            ),
        );
        let own = "a page, 1_first 2_more, create, a page\n";
        let plain = run(&mut line::plain(world, &project, "run --quiet")).success("cargo run");
        let reached = "another project's, the user's, a page\n";
        assert_eq!(plain.stdout, format!("{own}{reached}"), "control: under cargo all of it is read");
        let here = run(&mut line::sandbox(world, engine, &project, "run --quiet")).success("run");
        let (read, refused) = here.stdout.split_at(own.len());
        assert_eq!(read, own);
        for said in refused.trim().split(", ") {
            assert!(["NotFound", "PermissionDenied"].contains(&said), "{engine}: {refused}");
        }
        assert_eq!(refused.split(", ").count(), 3, "{refused}");
        world.stop(engine, &project);
    });
}
