//! What containers show of a system: the host's, or that of an image in a file.

use anyhow::{Context as _, bail};

use crate::container::host::{SystemWorld, UserIdentity, system_world};
use crate::container::image::{self, Layout, recipe};
use crate::container::{Image, ImageFile};
use crate::policy::effective::Said;
use crate::policy::layers::Source;
use crate::project::StateDirectory;

/// What containers are made from, and what is mounted of the system for it. An image in the OCI layout is unpacked first, if
/// that was not done yet; what is built or pulled is the engine's, and later.
///
/// # Errors
/// When it cannot be read, is another one than it should be, or a repository does not say which one it should be.
pub fn system(
    image: &Said<Image>,
    state: &StateDirectory,
    user: &UserIdentity,
) -> anyhow::Result<(Image, SystemWorld)> {
    let nothing = SystemWorld { mounts: Vec::new(), links: Vec::new() };
    let file = match &image.value {
        Image::Host => {
            let world =
                system_world(&state.etc(), user).context("failed to look at the system's directories")?;
            return Ok((Image::Host, world));
        }
        Image::Named(_) | Image::Built(_) | Image::Extended(..) => {
            return Ok((image.value.clone(), nothing));
        }
        Image::File(file) => file,
    };
    let failed = || format!("failed to use the image `{file}`, which {} names", image.by);
    if recipe::is_one(&file.path) {
        let recipe = recipe::read(&file.path).with_context(failed)?;
        check(file, &recipe.digest, image)?;
        return Ok((Image::Built(recipe), nothing));
    }
    let layout = Layout::open(&file.path, &state.images()).with_context(failed)?;
    check(file, layout.digest(), image)?;
    let say = || eprintln!("{:>12} image {file}", "Unpacking");
    let root = image::unpacked(&state.images(), &layout, say).with_context(failed)?;
    Ok((image.value.clone(), image::world(&root).with_context(failed)?))
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
