//! What the agent needs beside itself to start in any image: its loader and its shared libraries.
//!
//! The agent is this very program, so what it needs is what this process has mapped. Each file is shown in the
//! container under the name by which others ask for it (`DT_SONAME`), which may differ from the file's own
//! (`libc.so.6` was `libc-2.31.so` until glibc 2.34).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use object::elf::FileHeader64;
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
use object::read::{ReadCache, ReadRef};
use object::{Endianness, elf};

use crate::container::EngineError;

/// How to start one executable with libraries from the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Libraries {
    /// The loader's name among [`Self::files`]; none for a static executable.
    pub loader: Option<String>,
    /// Files by the name under which the container shows them.
    pub files: BTreeMap<String, PathBuf>,
}

/// Finds the loader and libraries of `executable` among the files that this process has mapped.
///
/// # Errors
/// When a library is not among them (it was replaced while this program runs, or `executable` is not this
/// program), or a file cannot be read as ELF.
pub(super) fn of(executable: &Path) -> Result<Libraries, EngineError> {
    let agent = read(executable)?;
    let Some(loader) = agent.interpreter else {
        return Ok(Libraries { loader: None, files: BTreeMap::new() });
    };
    let maps = fs::read_to_string("/proc/self/maps")
        .map_err(|error| EngineError::failed(format!("cannot read /proc/self/maps: {error}")))?;
    let mut mapped = BTreeMap::new();
    for path in shared_objects(&maps) {
        let Ok(object) = read(&path) else { continue };
        let own = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        mapped.insert(object.name.clone().unwrap_or(own), (path, object));
    }

    // The loader is known by the name in its file, which libraries ask for too.
    let loader = loader.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut wanted = agent.needed;
    wanted.push(loader.clone());
    let mut files = BTreeMap::new();
    while let Some(name) = wanted.pop() {
        if files.contains_key(&name) {
            continue;
        }
        let Some((path, object)) = mapped.get(&name) else {
            let message = format!("cannot find {name}, which {} needs", executable.display());
            return Err(EngineError::failed(message).hint("was it replaced just now? try again"));
        };
        wanted.extend(object.needed.iter().cloned());
        files.insert(name, path.clone());
    }
    Ok(Libraries { loader: Some(loader), files })
}

/// The loader of another program by its path, and what it needs by the names that it has for it.
pub(crate) type Needed = (Option<PathBuf>, BTreeMap<String, PathBuf>);

/// Finds what another program of this machine needs: beside it, as toolchains have their libraries, and in the directories
/// of what this process has mapped, which are the system's.
///
/// # Errors
/// When a library is not there, or a file cannot be read as ELF.
pub(crate) fn of_program(program: &Path) -> Result<Needed, EngineError> {
    let object = read(program)?;
    let maps = fs::read_to_string("/proc/self/maps")
        .map_err(|error| EngineError::failed(format!("cannot read /proc/self/maps: {error}")))?;
    let beside = program.parent().and_then(Path::parent).map(|parent| parent.join("lib"));
    let mapped = shared_objects(&maps).into_iter().filter_map(|path| Some(path.parent()?.to_owned()));
    let loader = object.interpreter.as_deref().and_then(Path::parent).map(Path::to_owned);
    let directories: Vec<PathBuf> = beside.into_iter().chain(mapped).chain(loader).collect();
    let mut wanted = object.needed;
    let mut files = BTreeMap::new();
    while let Some(name) = wanted.pop() {
        if files.contains_key(&name) {
            continue;
        }
        let found = directories.iter().map(|directory| directory.join(&name)).find(|path| path.is_file());
        let Some(path) = found.and_then(|path| path.canonicalize().ok()) else {
            return Err(EngineError::failed(format!(
                "cannot find {name}, which {} needs",
                program.display()
            )));
        };
        wanted.extend(read(&path)?.needed);
        files.insert(name, path);
    }
    Ok((object.interpreter, files))
}

/// The files of a `/proc/<pid>/maps` that look like shared objects.
fn shared_objects(maps: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = maps
        .lines()
        .filter_map(|line| line.find('/').map(|start| &line[start..]))
        .filter(|path| path.contains(".so") && !path.ends_with(" (deleted)"))
        .map(PathBuf::from)
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

/// What an ELF file says of itself.
#[derive(Debug, Default)]
struct Object {
    interpreter: Option<PathBuf>,
    name: Option<String>,
    needed: Vec<String>,
}

fn read(path: &Path) -> Result<Object, EngineError> {
    let failed = |error: String| EngineError::failed(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    // An executable with its debug information has a hundred megabytes, of which a few pages matter here.
    parse(&ReadCache::new(file)).map_err(|error| failed(error.to_string()))
}

fn parse<'data>(bytes: impl ReadRef<'data>) -> object::Result<Object> {
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let mut result = Object::default();
    for segment in header.program_headers(endian, bytes)? {
        if let Some(path) = segment.interpreter(endian, bytes)? {
            result.interpreter = Some(PathBuf::from(String::from_utf8_lossy(path).into_owned()));
        }
    }
    let sections = header.sections(endian, bytes)?;
    let Some((entries, link)) = sections.dynamic(endian, bytes)? else { return Ok(result) };
    let strings = sections.strings(endian, bytes, link)?;
    for entry in entries {
        let tag: u64 = entry.d_tag(endian);
        let (needed, name) = (u64::from(elf::DT_NEEDED), u64::from(elf::DT_SONAME));
        if tag != needed && tag != name {
            continue;
        }
        let offset = u32::try_from(entry.d_val(endian)).ok();
        let Some(Ok(text)) = offset.map(|offset| strings.get(offset)) else { continue };
        let text = String::from_utf8_lossy(text).into_owned();
        if tag == name {
            result.name = Some(text);
        } else {
            result.needed.push(text);
        }
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_can_be_started_with_what_is_found() {
        let executable = std::env::current_exe().unwrap();
        let libraries = of(&executable).unwrap();
        let loader = libraries.loader.unwrap();
        assert!(libraries.files.contains_key("libc.so.6"), "{:?}", libraries.files);
        assert!(libraries.files[&loader].is_file());
    }

    #[test]
    fn only_shared_objects_that_still_exist_are_taken() {
        let maps = "7f-8f r-xp 00000000 fe:00 1 /usr/lib/libc.so.6\n\
                    7f-8f r--p 00000000 fe:00 1 /usr/lib/libc.so.6\n\
                    7f-8f r-xp 00000000 fe:00 2 /usr/lib/libold.so.1 (deleted)\n\
                    55-56 r-xp 00000000 fe:00 3 /home/a/cargo-sandbox\n\
                    55-56 rw-p 00000000 00:00 0 [heap]\n";
        assert_eq!(shared_objects(maps), [PathBuf::from("/usr/lib/libc.so.6")]);
    }
}
