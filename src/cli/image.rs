//! What containers show of a system: the host's, or that of an image in a file.

use anyhow::{Context as _, bail};

use crate::container::host::{SystemWorld, UserIdentity, system_world};
use crate::container::image::{self, Layout};
use crate::container::{Image, ImageFile};
use crate::policy::effective::Said;
use crate::policy::layers::Source;
use crate::project::StateDirectory;

/// What is mounted of the system for an image. One in a file is unpacked first, if that was not done yet.
///
/// # Errors
/// When it cannot be read, is another one than it should be, or a repository does not say which one it should be.
pub fn system(
    image: &Said<Image>,
    state: &StateDirectory,
    user: &UserIdentity,
) -> anyhow::Result<SystemWorld> {
    let file = match &image.value {
        Image::Host => {
            return system_world(&state.etc(), user).context("failed to look at the system's directories");
        }
        // The engine has it.
        Image::Named(_) => return Ok(SystemWorld { mounts: Vec::new(), links: Vec::new() }),
        Image::File(file) => file,
    };
    let failed = || format!("failed to use the image `{file}`, which {} names", image.by);
    let layout = Layout::open(&file.path, &state.images()).with_context(failed)?;
    check(file, layout.digest(), image)?;
    let say = || eprintln!("{:>12} image {file}", "Unpacking");
    let root = image::unpacked(&state.images(), &layout, say).with_context(failed)?;
    image::world(&root).with_context(failed)
}

fn check(file: &ImageFile, found: &str, image: &Said<Image>) -> anyhow::Result<()> {
    match &file.digest {
        Some(digest) if digest != found => bail!(
            "the image `{}` is not the one that {} names: its digest is {found}\n\nhint: if that is what you want, \
             write `@{found}` there",
            file.path.display(),
            image.by
        ),
        None if image.by.source == Some(Source::Repository) => bail!(
            "{} names the image `{file}`, and not which one that must be: your trust could not be for it\n\nhint: \
             write `@{found}` behind the path",
            image.by
        ),
        _ => Ok(()),
    }
}
