use std::path::Path;
use super::vetted::Vetted;
pub fn run(_vetted: &Vetted<'_>, _root: &Path) -> anyhow::Result<u8> { anyhow::bail!("x") }
