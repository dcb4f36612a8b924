//! `self setup --editor`: the setting by which an editor starts the confined language server.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use serde_json::json;

use crate::cargo::run::own_executable;
use crate::editor::server::NAME;

use super::super::FrontEnd;
use super::super::language_server::REMEMBERED;

/// Editors whose setting is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Editor {
    /// Visual Studio Code: settings.json
    Vscode,
    /// Helix: languages.toml
    Helix,
    /// Neovim, 0.11 or newer: init.lua
    Neovim,
    /// Zed: settings.json
    Zed,
}

impl Editor {
    /// Where the setting belongs.
    fn place(self) -> &'static str {
        match self {
            Self::Vscode => "the user's settings.json (command `Preferences: Open User Settings (JSON)`)",
            Self::Helix => "~/.config/helix/languages.toml",
            Self::Neovim => "~/.config/nvim/init.lua",
            Self::Zed => "~/.config/zed/settings.json",
        }
    }
}

/// Prints the setting.
pub fn run(front_end: &FrontEnd, editor: Editor, server: Option<&Path>) -> anyhow::Result<u8> {
    let server = server.map(|path| named(&front_end.cwd.join(path))).transpose()?;
    let own = own_executable()?;
    let setting = match editor {
        Editor::Vscode => vscode(&stand_in(&front_end.data()?, &own, server.as_deref())?)?,
        Editor::Helix => helix(&command(&own, server.as_deref())?),
        Editor::Neovim => neovim(&command(&own, server.as_deref())?)?,
        Editor::Zed => zed(&command(&own, server.as_deref())?)?,
    };
    print!("{setting}");
    eprintln!("\nnote: this belongs into {}; docs/editors.md says what is confined by it", editor.place());
    Ok(0)
}

fn named(path: &Path) -> anyhow::Result<PathBuf> {
    path.canonicalize().with_context(|| format!("failed to find the server `{}`", path.display()))
}

/// The command with its arguments.
fn command(own: &Path, server: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let mut words = vec![text(own)?, "self".to_owned(), NAME.to_owned()];
    if let Some(server) = server {
        words.extend(["--server".to_owned(), text(server)?]);
    }
    Ok(words)
}

/// A path that every configuration file can hold as it is.
fn text(path: &Path) -> anyhow::Result<String> {
    match path.to_str() {
        Some(text)
            if !text.chars().any(|character| character.is_control() || "\"'\\".contains(character)) =>
        {
            Ok(text.to_owned())
        }
        _ => bail!("the path `{}` cannot be written into a configuration file", path.display()),
    }
}

/// This program under the server's name, for an editor that takes a path and no arguments.
fn stand_in(data: &Path, own: &Path, server: Option<&Path>) -> anyhow::Result<PathBuf> {
    let directory = data.join("editor");
    let failed = || format!("failed to write in `{}`", directory.display());
    std::fs::create_dir_all(&directory).with_context(failed)?;
    let stand_in = directory.join(NAME);
    link(own, &stand_in).with_context(failed)?;
    let remembered = directory.join(REMEMBERED);
    match server {
        Some(server) => link(server, &remembered).with_context(failed)?,
        None => match std::fs::remove_file(&remembered) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(failed);
            }
            _ => {}
        },
    }
    Ok(stand_in)
}

fn link(to: &Path, link: &Path) -> std::io::Result<()> {
    let temporary = link.with_extension(format!("new{}", std::process::id()));
    let _stale = std::fs::remove_file(&temporary);
    std::os::unix::fs::symlink(to, &temporary)?;
    std::fs::rename(&temporary, link)
}

fn vscode(stand_in: &Path) -> anyhow::Result<String> {
    let settings = json!({ "rust-analyzer.server.path": text(stand_in)? });
    Ok(format!("{}\n", serde_json::to_string_pretty(&settings)?))
}

fn helix(command: &[String]) -> String {
    let [program, arguments @ ..] = command else { return String::new() };
    let arguments: Vec<String> = arguments.iter().map(|word| format!("\"{word}\"")).collect();
    format!("[language-server.rust-analyzer]\ncommand = \"{program}\"\nargs = [{}]\n", arguments.join(", "))
}

/// Not under the name that nvim-lspconfig uses: its way to find a project runs plain cargo.
fn neovim(command: &[String]) -> anyhow::Result<String> {
    let words: Vec<String> = command.iter().map(|word| format!("\"{word}\"")).collect();
    Ok(format!(
        "vim.lsp.config(\"cargo_sandbox\", {{\n  cmd = {{ {} }},\n  filetypes = {{ \"rust\" }},\n  root_markers = {{ {{ \
         \"Cargo.lock\" }}, {{ \"Cargo.toml\" }} }},\n}})\nvim.lsp.enable(\"rust_analyzer\", \
         false)\nvim.lsp.enable(\"cargo_sandbox\")\n",
        words.join(", ")
    ))
}

fn zed(command: &[String]) -> anyhow::Result<String> {
    let [program, arguments @ ..] = command else { bail!("there is no command") };
    let binary = json!({ "path": program, "arguments": arguments });
    let settings = json!({ "lsp": { "rust-analyzer": { "binary": binary } } });
    Ok(format!("{}\n", serde_json::to_string_pretty(&settings)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_is_of_its_language() {
        let command = command(Path::new("/a b/cargo-sandbox"), Some(Path::new("/s/rust-analyzer"))).unwrap();
        let arguments = ["self", "rust-analyzer", "--server", "/s/rust-analyzer"];
        let helix: toml::Value = toml::from_str(&helix(&command)).unwrap();
        let server = &helix["language-server"]["rust-analyzer"];
        assert_eq!(server["command"].as_str(), Some("/a b/cargo-sandbox"));
        let given: Vec<_> =
            server["args"].as_array().unwrap().iter().filter_map(toml::Value::as_str).collect();
        assert_eq!(given, arguments);
        let zed: serde_json::Value = serde_json::from_str(&zed(&command).unwrap()).unwrap();
        let binary = &zed["lsp"]["rust-analyzer"]["binary"];
        assert_eq!(*binary, json!({"path": "/a b/cargo-sandbox", "arguments": arguments}));
        let lua = neovim(&command).unwrap();
        assert!(
            lua.contains("cmd = { \"/a b/cargo-sandbox\", \"self\", \"rust-analyzer\", \"--server\""),
            "{lua}"
        );
        let code: serde_json::Value =
            serde_json::from_str(&vscode(Path::new("/d/rust-analyzer")).unwrap()).unwrap();
        assert_eq!(code["rust-analyzer.server.path"], "/d/rust-analyzer");
        for path in ["/a\"b", "/a\\b", "/a\nb"] {
            assert!(text(Path::new(path)).is_err());
        }
    }

    #[test]
    fn the_stand_in_leads_here_and_to_the_server_that_was_named() {
        let data = tempfile::tempdir().unwrap();
        let own = Path::new("/x/cargo-sandbox");
        let stand_in_of = |server| stand_in(data.path(), own, server).unwrap();
        let path = stand_in_of(Some(Path::new("/s/rust-analyzer")));
        assert_eq!(std::fs::read_link(&path).unwrap(), own);
        let remembered = path.with_file_name(REMEMBERED);
        assert_eq!(std::fs::read_link(&remembered).unwrap(), Path::new("/s/rust-analyzer"));
        assert_eq!(stand_in_of(None), path);
        assert!(!remembered.is_symlink());
    }
}
