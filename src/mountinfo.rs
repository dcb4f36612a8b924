//! `/proc/<pid>/mountinfo`, read.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountEntry {
    /// The kernel's number of it.
    pub id: u64,
    /// The file system, by the kernel's number, which is the same in every mount namespace.
    pub device: String,
    /// Which part of the file system this is.
    pub root: PathBuf,
    /// Where it is.
    pub target: PathBuf,
    /// Whether this mount, or the file system as a whole, is read-only.
    pub read_only: bool,
    /// Type of the file system.
    pub kind: String,
}

/// Every mount, in the kernel's order: a later one covers an earlier one at the same place.
pub(crate) fn parse(text: &str) -> Vec<MountEntry> {
    text.lines().filter_map(entry).collect()
}

/// `36 35 98:0 /root /target rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn entry(line: &str) -> Option<MountEntry> {
    let (front, back) = line.split_once(" - ")?;
    let mut front = front.split(' ');
    let id = front.next()?.parse().ok()?;
    let device = front.nth(1)?.to_owned();
    let root = unescape(front.next()?);
    let target = unescape(front.next()?);
    let options = front.next()?;
    let mut back = back.split(' ');
    let kind = back.next()?.to_owned();
    let super_options = back.nth(1).unwrap_or_default();
    let has_ro = |options: &str| options.split(',').any(|option| option == "ro");
    Some(MountEntry { id, device, root, target, read_only: has_ro(options) || has_ro(super_options), kind })
}

/// Space, tab, newline and backslash are written as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let bytes = text.as_bytes();
    let mut result = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(&byte) = bytes.get(index) {
        let octal = (byte == b'\\').then(|| text.get(index + 1..index + 4)).flatten();
        if let Some(value) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            result.push(value);
            index += 4;
        } else {
            result.push(byte);
            index += 1;
        }
    }
    PathBuf::from(OsString::from_vec(result))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_optional_fields_it_has() {
        let text = "36 35 98:0 / /a\\040b ro,noatime shared:1 master:2 - ext4 /dev/x rw\n\
                    37 36 0:5 / /b rw - tmpfs tmpfs ro,size=1k\n\
                    38 36 0:6 / /c rw,relatime - proc proc rw\n";
        let entries = parse(text);
        assert_eq!(entries[0].target, PathBuf::from("/a b"));
        assert_eq!((entries[1].device.as_str(), entries[1].root.as_path()), ("0:5", "/".as_ref()));
        assert_eq!(entries.iter().map(|entry| entry.read_only).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(entries[2].kind, "proc");
    }

    #[test]
    fn nonsense_is_left_out() {
        assert!(parse("a b c\n\n1 2 3 - x").is_empty());
    }
}
