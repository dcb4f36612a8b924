//! The image of a container that shows the host's own system: no file in it, only the places to mount on.

use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use bollard::body_full;
use bollard::query_parameters::{CreateImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptions};
use futures_util::StreamExt;

use super::build;
use super::connection::Connection;
use super::errors::{explain, status};
use super::labels;
use super::pull;
use crate::container::spec::{ContainerSpec, Image, StableHasher};
use crate::container::{EngineError, docker::container};

/// Name of the images that this tool makes. `localhost/` keeps Podman from putting a registry before it.
const REPOSITORY: &str = "localhost/cargo-sandbox-host";

/// Places that an engine mounts on, or that programs expect.
const DIRECTORIES: &[(&str, u32)] = &[
    ("dev", 0o755),
    ("etc", 0o755),
    ("proc", 0o555),
    ("root", 0o755),
    ("run", 0o755),
    ("sys", 0o555),
    // Docker gives a tmpfs the mode of what it is mounted on, whatever mode it is asked for.
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("var", 0o755),
    ("var/tmp", 0o1777),
];

/// The identifier of the image for `spec`, made first if it is the host's and not there yet.
pub(super) async fn ensure(connection: &Connection, spec: &ContainerSpec) -> Result<String, EngineError> {
    match provided(connection, &spec.image).await? {
        Some(id) => Ok(id),
        // What an image in a file has is mounted, as the host's is.
        None => host(connection, &spec.links).await,
    }
}

/// The identifier of an image that somebody else made, or that is made of one, had first if it is not there.
pub(super) async fn provided(connection: &Connection, image: &Image) -> Result<Option<String>, EngineError> {
    let (base, additions) = match image {
        Image::Extended(base, additions) => (base.as_ref(), Some(additions)),
        image => (image, None),
    };
    let id = match base {
        Image::Named(name) => named(connection, name).await?,
        Image::Built(recipe) => build::built(connection, recipe).await?,
        Image::Host | Image::File(_) | Image::Extended(..) => return Ok(None),
    };
    match additions {
        Some(additions) => build::extended(connection, base, &id, additions).await.map(Some),
        None => Ok(Some(id)),
    }
}

/// The identifier of an image by its name, pulled first if it is not there.
pub(super) async fn named(connection: &Connection, name: &str) -> Result<String, EngineError> {
    if let Some(id) = find(connection, name).await? {
        return Ok(id);
    }
    pull::pull(connection, name).await?;
    // What was asked for by digest is found by that digest alone.
    let message = format!("the engine has pulled {name} and does not know an image of that name");
    find(connection, name).await?.ok_or_else(|| EngineError::failed(message))
}

pub(super) async fn find(connection: &Connection, name: &str) -> Result<Option<String>, EngineError> {
    match connection.docker.inspect_image(name).await {
        Ok(image) => {
            image.id.map(Some).ok_or_else(|| EngineError::failed(format!("image {name} has no identifier")))
        }
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(explain(&format!("cannot inspect image {name}"), &error)),
    }
}

async fn host(connection: &Connection, links: &[(PathBuf, PathBuf)]) -> Result<String, EngineError> {
    let archive = archive(links)
        .map_err(|error| EngineError::failed(format!("cannot write the image of the host: {error}")))?;
    let mut hasher = StableHasher::default();
    archive.hash(&mut hasher);
    let name = format!("{REPOSITORY}:{:016x}", hasher.finish());
    match connection.docker.inspect_image(&name).await {
        Ok(image) => {
            if let Some(id) = image.id {
                return Ok(id);
            }
        }
        Err(error) if status(&error) == Some(404) => {}
        Err(error) => return Err(explain("cannot look for the image of the host", &error)),
    }

    let options = CreateImageOptionsBuilder::new()
        .from_src("-")
        // Podman ignores the parameter `tag`; both take it as a part of the name.
        .repo(&name)
        .changes(vec![format!("LABEL {}=host", labels::IMAGE)])
        .build();
    let mut answers =
        Box::pin(connection.docker.create_image(Some(options), Some(body_full(archive.into())), None));
    while let Some(answer) = answers.next().await {
        answer.map_err(|error| explain("cannot import the image of the host", &error))?;
    }
    let image = connection.docker.inspect_image(&name).await;
    let image =
        image.map_err(|error| explain("cannot find the image of the host after its import", &error))?;
    image.id.ok_or_else(|| EngineError::failed(format!("image {name} has no identifier")))
}

/// A tar of [`DIRECTORIES`], the mount points of our own, and the links of the root directory. The same links
/// give the same bytes.
fn archive(links: &[(PathBuf, PathBuf)]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let own = [container::RUN, container::LIBRARIES].map(|path| path.trim_start_matches('/'));
    let parent = own[0].split('/').next().unwrap_or_default();
    let own = [parent, own[0], own[1]].map(|path| (path, 0o755));
    for (path, mode) in DIRECTORIES.iter().copied().chain(own) {
        let mut header = header(tar::EntryType::Directory, mode);
        archive.append_data(&mut header, path, io::empty())?;
    }
    for (path, target) in links {
        let path = path.strip_prefix("/").unwrap_or(path);
        let mut header = header(tar::EntryType::Symlink, 0o777);
        archive.append_link(&mut header, path, Path::new(target))?;
    }
    archive.into_inner()
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header
}

/// Removes the images that this tool made and that no container uses; the number of bytes.
pub(super) async fn prune(connection: &Connection) -> Result<u64, EngineError> {
    let filters = labels::filter(&[labels::IMAGE.to_owned()]);
    let options = ListImagesOptionsBuilder::new().all(true).filters(&filters).build();
    let images = connection.docker.list_images(Some(options)).await;
    let mut freed = 0;
    for image in images.map_err(|error| explain("cannot list images", &error))? {
        let removal = connection.docker.remove_image(&image.id, None::<RemoveImageOptions>, None).await;
        match removal {
            Ok(_) => freed += u64::try_from(image.size).unwrap_or(0),
            // In use, or another process removed it.
            Err(error) if matches!(status(&error), Some(404 | 409)) => {}
            Err(error) => return Err(explain("cannot remove an image", &error)),
        }
    }
    Ok(freed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_links_give_the_same_image() {
        let links = vec![(PathBuf::from("/bin"), PathBuf::from("usr/bin"))];
        assert_eq!(archive(&links).unwrap(), archive(&links).unwrap());
        assert_ne!(archive(&links).unwrap(), archive(&[]).unwrap());
    }

    #[test]
    fn it_holds_places_and_links_only() {
        let bytes = archive(&[("/bin".into(), "usr/bin".into())]).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut names = Vec::new();
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            assert!(!entry.header().entry_type().is_file());
            names.push(entry.path().unwrap().display().to_string());
        }
        for name in ["tmp", "proc", "bin", ".cargo-sandbox/run", ".cargo-sandbox/lib"] {
            assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
        }
    }
}
