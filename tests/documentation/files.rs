//! Files that the pages show: whoever reads them in earnest reads them here.

use std::path::PathBuf;

use cargo_sandbox::policy::file::PolicyFile;
use cargo_sandbox::policy::user::UserConfig;

use super::{blocks_of, pages};

/// As a policy, the user's configuration or a manifest of cargo's.
fn read_toml(text: &str) -> Result<(), String> {
    let policy = match PolicyFile::parse(text) {
        Ok(_) => return Ok(()),
        Err(mistake) => mistake.to_string(),
    };
    let directory = tempfile::tempdir().expect("directory");
    let path: PathBuf = directory.path().join("config.toml");
    std::fs::write(&path, text).expect("file");
    let user = match UserConfig::read(&path) {
        Ok(_) => return Ok(()),
        Err(error) => error.to_string(),
    };
    match toml::from_str::<toml::Table>(text) {
        Ok(table) if table.contains_key("package") || table.contains_key("workspace") => Ok(()),
        Ok(_) => Err(format!("no policy ({policy}), no configuration ({user}) and no manifest")),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn every_file_that_is_shown_is_read() {
    let mut read = 0;
    for page in pages() {
        for block in blocks_of(&page) {
            let result = match block.language.as_str() {
                "toml" => read_toml(&block.text),
                "json" => serde_json::from_str::<serde_json::Value>(&block.text)
                    .map(drop)
                    .map_err(|error| error.to_string()),
                _ => continue,
            };
            read += 1;
            result.unwrap_or_else(|error| panic!("{page}:{}: {error}", block.line));
        }
    }
    assert!(read >= 6, "{read}");
    assert!(read_toml("network = true").is_err() && read_toml("idle-second = 1").is_err());
}
