//! Every command of the documentation is run as it stands, and every file that it shows is read by what reads it.
//! Pages are found by themselves; what cannot be run is in a table, each with a reason.

#[path = "../support/mod.rs"]
mod support;

mod blocks;
mod commands;
mod files;
mod newcomer;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

use blocks::{Block, blocks};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The page of a newcomer, which has a test of its own.
const README: &str = "README.md";

/// All pages, by their path in the repository.
fn pages() -> Vec<String> {
    let mut pages = vec![README.to_owned(), "SECURITY.md".into()];
    for directory in ["docs", "examples/hello-native", "examples/hostile"] {
        let entries = fs::read_dir(Path::new(ROOT).join(directory)).expect("directory");
        let names = entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned());
        pages.extend(names.filter(|name| name.ends_with(".md")).map(|name| format!("{directory}/{name}")));
    }
    pages.sort();
    pages
}

fn text_of(page: &str) -> String {
    let path = PathBuf::from(ROOT).join(page);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn blocks_of(page: &str) -> Vec<Block> {
    blocks(&text_of(page))
}
