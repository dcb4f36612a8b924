//! Our own commands, all under `self`.
use super::{FrontEnd, Options};
use std::ffi::OsString;
pub fn run(_: &FrontEnd, _: &Options, _: &[OsString]) -> anyhow::Result<u8> {
    Ok(0)
}
