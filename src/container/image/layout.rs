//! Reading an image layout: which manifest is for this machine, and whether every part is what its digest says.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Seek as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::digest::Hashing;
use super::tree::Tree;
use crate::project::private_directory;

/// More than any index, manifest or configuration has.
const LARGEST_JSON: u64 = 16 << 20;

/// What engines mount files of their own on, in `/etc`.
const MOUNTED: &[&str] = &["hosts", "hostname", "resolv.conf"];

/// How deep indexes may be in one another.
const DEPTH: usize = 4;

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ImageError {
    message: String,
}

impl ImageError {
    /// With this reason.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

// What is read of the formats of the OCI image specification. Fields that nothing depends on are left out, so that a newer
// version is no error.

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

#[derive(Debug, Clone, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Debug, Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    layers: Vec<Descriptor>,
}

/// An image in a layout, with the manifest that is for this machine.
#[derive(Debug)]
pub struct Layout {
    directory: PathBuf,
    /// The archive, of which only small parts are in the directory.
    archive: Option<(PathBuf, tempfile::TempDir)>,
    digest: String,
    layers: Vec<Descriptor>,
}

impl Layout {
    /// Opens a directory, or an archive of one (`tar`, with or without gzip), which is taken apart below `temporary`.
    ///
    /// # Errors
    /// When it is none, has no image for this machine or several, or its manifest is not what its digest says.
    pub fn open(path: &Path, temporary: &Path) -> Result<Self, ImageError> {
        if fs::metadata(path).map_err(|error| ImageError::new(error.to_string()))?.is_dir() {
            return Self::of(path.to_owned(), None);
        }
        let failed = |error: io::Error| ImageError::new(format!("failed to read the archive: {error}"));
        private_directory(temporary).map_err(|error| ImageError::new(format!("{error:#}")))?;
        let apart = tempfile::tempdir_in(temporary).map_err(failed)?;
        take_apart(path, apart.path(), 0..=LARGEST_JSON).map_err(failed)?;
        Self::of(apart.path().to_owned(), Some((path.to_owned(), apart)))
    }

    fn of(directory: PathBuf, archive: Option<(PathBuf, tempfile::TempDir)>) -> Result<Self, ImageError> {
        if !directory.join("oci-layout").is_file() {
            return Err(ImageError::new("it has no file `oci-layout`, and so is no image in the OCI layout"));
        }
        let index: Index = json(&directory.join("index.json"))?;
        let descriptor = select(&directory, index.manifests, DEPTH)?;
        let Manifest { layers } = blob_json(&directory, &descriptor)?;
        Ok(Self { directory, archive, digest: descriptor.digest, layers })
    }

    /// The digest of the manifest, `sha256:…`: two images with the same one are the same.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Puts all layers over one another into `root`, which is empty.
    ///
    /// # Errors
    /// When a layer is not what its digest says, is in a form that is not known, or leads out of the image.
    pub fn unpack(&self, root: &Path) -> Result<(), ImageError> {
        if let Some((archive, apart)) = &self.archive {
            take_apart(archive, apart.path(), LARGEST_JSON + 1..=u64::MAX)
                .map_err(|error| ImageError::new(format!("failed to read the archive: {error}")))?;
        }
        let tree = Tree::open(root).map_err(|error| ImageError::new(error.to_string()))?;
        for layer in &self.layers {
            let failed = |error: io::Error| {
                ImageError::new(format!("failed to unpack layer {}: {error}", layer.digest))
            };
            let file = blob(&self.directory, layer)?;
            match layer.media_type.rsplit_once(['+', '.']).map(|(_, form)| form) {
                Some("gzip") => tree.lay(GzDecoder::new(file)).map_err(failed)?,
                Some("tar") => tree.lay(file).map_err(failed)?,
                _ => {
                    return Err(ImageError::new(format!(
                        "layer {} is `{}`; `tar` and `tar+gzip` can be read (`skopeo copy --dest-compress-format gzip`)",
                        layer.digest, layer.media_type
                    )));
                }
            }
        }
        for name in MOUNTED {
            let made = tree.provide(Path::new("etc"), OsStr::new(name));
            made.map_err(|error| ImageError::new(format!("failed to make its /etc/{name}: {error}")))?;
        }
        Ok(())
    }
}

/// What an image's architecture is called here.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The one manifest for this machine.
fn select(directory: &Path, all: Vec<Descriptor>, depth: usize) -> Result<Descriptor, ImageError> {
    let fits = |descriptor: &Descriptor| {
        descriptor
            .platform
            .as_ref()
            .is_none_or(|platform| platform.os == "linux" && platform.architecture == architecture())
    };
    let mut fitting: Vec<Descriptor> = all.into_iter().filter(fits).collect();
    let Some(one) = fitting.pop() else {
        return Err(ImageError::new(format!("it has no image for linux/{}", architecture())));
    };
    if !fitting.is_empty() {
        return Err(ImageError::new(format!(
            "it has several images for linux/{}; put the one that is meant into a layout of its own",
            architecture()
        )));
    }
    if !one.media_type.ends_with(".index.v1+json") {
        return Ok(one);
    }
    if depth == 0 {
        return Err(ImageError::new("its indexes are too deep in one another"));
    }
    let index: Index = blob_json(directory, &one)?;
    select(directory, index.manifests, depth - 1)
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T, ImageError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let file =
        File::open(path).map_err(|error| ImageError::new(format!("failed to read its {name}: {error}")))?;
    parse(file, &name)
}

fn parse<T: DeserializeOwned>(file: File, name: &str) -> Result<T, ImageError> {
    serde_json::from_reader(io::BufReader::new(file.take(LARGEST_JSON)))
        .map_err(|error| ImageError::new(format!("failed to read its {name}: {error}")))
}

fn blob_json<T: DeserializeOwned>(directory: &Path, descriptor: &Descriptor) -> Result<T, ImageError> {
    parse(blob(directory, descriptor)?, &descriptor.digest)
}

/// A part, if it is what it should be.
fn blob(directory: &Path, descriptor: &Descriptor) -> Result<File, ImageError> {
    let digest = &descriptor.digest;
    let hex = digest.strip_prefix("sha256:").filter(|hex| is_sha256(hex));
    let hex = hex.ok_or_else(|| ImageError::new(format!("`{digest}` is no SHA-256 digest")))?;
    let failed = |error: io::Error| ImageError::new(format!("failed to read {digest}: {error}"));
    let mut file = File::open(directory.join("blobs/sha256").join(hex)).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(ImageError::new(format!("{digest} is no file")));
    }
    let mut hasher = Hashing::default();
    let length = io::copy(&mut file, &mut hasher).map_err(failed)?;
    let found = hasher.finish();
    if length != descriptor.size || found != hex {
        return Err(ImageError::new(format!(
            "what is stored as {digest} is something else (sha256:{found})"
        )));
    }
    file.rewind().map_err(failed)?;
    Ok(file)
}

fn is_sha256(hex: &str) -> bool {
    hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Takes out of an archive what belongs to a layout and has one of these `sizes`, and nothing else.
fn take_apart(archive: &Path, directory: &Path, sizes: RangeInclusive<u64>) -> io::Result<()> {
    let mut file = File::open(archive)?;
    let mut magic = [0; 2];
    let is_gzip = file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    file.rewind()?;
    fs::create_dir_all(directory.join("blobs/sha256"))?;
    if is_gzip {
        return take(tar::Archive::new(GzDecoder::new(file)).entries()?, directory, &sizes);
    }
    // What is not taken is not even read.
    take(tar::Archive::new(file).entries_with_seek()?, directory, &sizes)
}

fn take<R: Read>(
    entries: tar::Entries<'_, R>,
    directory: &Path,
    sizes: &RangeInclusive<u64>,
) -> io::Result<()> {
    for entry in entries {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let name = path.strip_prefix(".").unwrap_or(&path).to_string_lossy().into_owned();
        let belongs = matches!(name.as_str(), "oci-layout" | "index.json")
            || name.strip_prefix("blobs/sha256/").is_some_and(is_sha256);
        if belongs && entry.header().entry_type().is_file() && sizes.contains(&entry.size()) {
            io::copy(&mut entry, &mut File::create(directory.join(name))?)?;
        }
    }
    Ok(())
}
