//! A Dockerfile: what belongs to it, and its digest.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use super::ImageError;
use super::digest::Hashing;
use crate::container::spec::Recipe;

/// Files that say that a directory is a project's and not an image's: all of it would go to the engine.
const OF_PROJECTS: &[&str] = &["Cargo.toml", ".git"];

/// Whether a path is taken for a Dockerfile: by its name, as engines do.
pub fn is_one(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    ["dockerfile", "containerfile"].iter().any(|word| {
        name == *word || name.starts_with(&format!("{word}.")) || name.ends_with(&format!(".{word}"))
    })
}

/// Reads a Dockerfile, and what it may copy, to find their digest.
///
/// # Errors
/// When one of the files cannot be read, or it copies from a project's own directory.
pub fn read(file: &Path) -> Result<Recipe, ImageError> {
    let failed = |error: io::Error| ImageError::new(error.to_string());
    let text = fs::read_to_string(file).map_err(failed)?;
    let context = copies(&text);
    let directory = file.parent().unwrap_or(Path::new("/"));
    if let Some(project) = OF_PROJECTS.iter().find(|name| context && directory.join(name).exists()) {
        return Err(ImageError::new(format!(
            "it copies files of its directory, where `{project}` is, so that all of the project would be sent to the engine; \
             put it into a directory with what it copies"
        )));
    }
    let file = file.canonicalize().map_err(failed)?;
    let recipe = Recipe { file, context, digest: String::new() };
    let mut hasher = Hashing::default();
    archive(&recipe, &mut hasher).map_err(failed)?;
    Ok(Recipe { digest: format!("sha256:{}", hasher.finish()), ..recipe })
}

/// Whether it copies anything from where it is.
fn copies(text: &str) -> bool {
    text.lines().map(str::trim_start).any(|line| {
        let mut words = line.split_whitespace();
        let is_copy = words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("copy") || word.eq_ignore_ascii_case("add"));
        is_copy && !words.any(|word| word.starts_with("--from="))
    })
}

/// Writes what an engine builds from: a tar of the Dockerfile under that name, and of what is beside it if that belongs to
/// it. The same files give the same bytes.
///
/// # Errors
/// When one of the files cannot be read, or is none.
pub fn archive(recipe: &Recipe, to: impl Write) -> io::Result<()> {
    let mut builder = Builder::new(to);
    append(&mut builder, Path::new("Dockerfile"), &recipe.file)?;
    if recipe.context {
        let directory = recipe.file.parent().ok_or(io::ErrorKind::InvalidInput)?;
        for path in below(directory, Path::new(""))? {
            // Once, under the name that the engine is told.
            if path != Path::new("Dockerfile") {
                append(&mut builder, &path, &directory.join(&path))?;
            }
        }
    }
    builder.into_inner()?.flush()
}

/// Everything below a directory, in the order of its names, directories before what is in them.
fn below(top: &Path, relative: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names: Vec<_> =
        fs::read_dir(top.join(relative))?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort();
    let mut all = Vec::new();
    for name in names {
        let path = relative.join(name);
        let is_directory = fs::symlink_metadata(top.join(&path))?.is_dir();
        all.push(path.clone());
        if is_directory {
            all.extend(below(top, &path)?);
        }
    }
    Ok(all)
}

fn append(builder: &mut Builder<impl Write>, name: &Path, path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    let mut header = Header::new_gnu();
    header.set_mtime(0);
    header.set_mode(if metadata.is_dir() || metadata.permissions().mode() & 0o100 != 0 {
        0o755
    } else {
        0o644
    });
    header.set_size(0);
    if metadata.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        return builder.append_link(&mut header, name, fs::read_link(path)?);
    }
    if metadata.is_dir() {
        header.set_entry_type(EntryType::Directory);
        return builder.append_data(&mut header, name, io::empty());
    }
    if !metadata.is_file() {
        let text = format!("`{}` is no file", String::from_utf8_lossy(path.as_os_str().as_bytes()));
        return Err(io::Error::other(text));
    }
    let mut content = Vec::new();
    File::open(path)?.read_to_end(&mut content)?;
    header.set_size(content.len() as u64);
    builder.append_data(&mut header, name, content.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dockerfile_is_known_by_its_name() {
        for name in ["Dockerfile", "x/Containerfile", "/a/Dockerfile.ci", "build.dockerfile"] {
            assert!(is_one(Path::new(name)), "{name}");
        }
        for name in ["image", "image.tar", "Dockerfiles/image", "notdockerfile"] {
            assert!(!is_one(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn the_digest_is_of_all_that_counts() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("Dockerfile");
        let beside = directory.path().join("beside");
        let digest = || read(&file).unwrap().digest;
        fs::write(&file, "FROM a\nRUN true\n").unwrap();
        let first = digest();
        fs::write(&beside, "1").unwrap();
        assert_eq!(digest(), first, "nothing is copied");
        fs::write(&file, "FROM a\n  copy beside /\n").unwrap();
        let second = digest();
        assert_ne!(first, second);
        fs::write(&beside, "2").unwrap();
        let third = digest();
        assert_ne!(second, third);
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(third, digest());
        fs::write(directory.path().join("Cargo.toml"), "").unwrap();
        assert!(read(&file).unwrap_err().to_string().contains("Cargo.toml"));
        fs::write(&file, "FROM a\nCOPY --from=b /x /y\n").unwrap();
        assert!(!read(&file).unwrap().context);
    }
}
