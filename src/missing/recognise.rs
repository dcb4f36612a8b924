//! What was missing, from the words of compilers, linkers and build scripts.

use serde::{Deserialize, Serialize};

use super::packages;

/// Something that is not installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Missing {
    /// A program in `PATH`.
    Program(String),
    /// A library that `pkg-config` was asked for, by the name of its file.
    PkgConfig(String),
    /// A library that the linker or a build script looked for, as behind `-l`.
    Library(String),
    /// A C or C++ header, as it is included.
    Header(String),
}

/// Makes what is missing of a name.
type Make = fn(String) -> Missing;

/// A way to say that something is missing.
struct Phrase {
    /// What comes before the name.
    before: &'static str,
    /// What must follow it.
    after: &'static str,
    make: Make,
    /// Who says so.
    #[cfg_attr(not(test), expect(dead_code, reason = "for readers of the table"))]
    by: &'static str,
}

const fn phrase(before: &'static str, after: &'static str, make: Make, by: &'static str) -> Phrase {
    Phrase { before, after, make, by }
}

/// In the order in which they are looked for: what says most first. Quotes are looked for as they are and as they stand
/// in JSON.
const PHRASES: &[Phrase] = &[
    phrase("The file `", ".pc` needs to be installed", Missing::PkgConfig, "the crate pkg-config"),
    phrase("Package ", " was not found in the pkg-config search path", Missing::PkgConfig, "pkg-config"),
    phrase("No package '", "' found", Missing::PkgConfig, "pkg-config"),
    phrase("Package '", "', required by ", Missing::PkgConfig, "pkg-config"),
    phrase("linker `", "` not found", Missing::Program, "rustc"),
    phrase("cannot find -l", "", Missing::Library, "GNU ld"),
    phrase("unable to find library -l", "", Missing::Library, "lld"),
    phrase("library not found: ", "", Missing::Library, "mold"),
    phrase("could not find native static library `", "`", Missing::Library, "rustc"),
    phrase("ailed to find tool \"", "\"", Missing::Program, "the crate cc"),
    phrase("Failed to find tool. Is `", "` installed?", Missing::Program, "the crate cc, before 1.2"),
    phrase("is `", "` not installed?", Missing::Program, "the crates cmake and autotools"),
    phrase("Could not find `", "`", Missing::Program, "prost-build, of protoc"),
    phrase("Missing dependency: ", "", Missing::Program, "aws-lc-sys"),
    phrase("fatal error: ", ": No such file or directory", Missing::Header, "gcc"),
    phrase("fatal error: '", "' file not found", Missing::Header, "clang"),
    phrase("sh: 1: ", ": not found", Missing::Program, "dash"),
    phrase("exec: ", ": not found", Missing::Program, "dash, of what takes its place"),
    phrase("sh: ", ": not found", Missing::Program, "busybox"),
    phrase("sh: line 1: ", ": command not found", Missing::Program, "bash"),
    phrase("env: '", "': No such file or directory", Missing::Program, "env, in a script's first line"),
    phrase("env: \u{2018}", "\u{2019}: No such file or directory", Missing::Program, "env, in UTF-8"),
    phrase("make: ", ": No such file or directory", Missing::Program, "make"),
    phrase("unable to find a build program corresponding to \"", "\"", cmake_generator, "cmake"),
    phrase("Could NOT find ", " (missing:", cmake_module, "cmake"),
    phrase("Command '", "' not found", Missing::Program, "openssl-src, of perl"),
    phrase("Failed to find ", " in PATH", Missing::Program, "several"),
];

/// What is said with no name in it, or with another one's, and what it means.
type Sentence = (&'static str, fn() -> Missing);

/// Looked for before the phrases.
const SENTENCES: &[Sentence] = &[
    ("The pkg-config command could not be found", || Missing::Program("pkg-config".into())),
    ("`pkg-config` could not be found", || Missing::Program("pkg-config".into())),
    ("couldn't find any valid shared libraries matching: ['libclang", || Missing::Library("clang".into())),
    ("Unable to find libclang", || Missing::Library("clang".into())),
    ("no Python 3.x interpreter found", || Missing::Program("python3".into())),
    ("No CMAKE_C_COMPILER could be found", || Missing::Program("cc".into())),
    ("No CMAKE_CXX_COMPILER could be found", || Missing::Program("c++".into())),
    ("cannot find crti.o", || Missing::Library("c".into())),
    ("cannot find Scrt1.o", || Missing::Library("c".into())),
    ("cannot find crt1.o", || Missing::Library("c".into())),
    ("nasm not found", || Missing::Program("nasm".into())),
    ("Make sure you have nasm installed", || Missing::Program("nasm".into())),
];

/// Longest name that is believed.
const LONGEST: usize = 80;

impl Missing {
    /// What a failed job's words say was missing, the most telling first.
    pub fn recognise(text: &str) -> Option<Self> {
        // The crate cc asks compilers of other languages who they are, and goes on without an answer.
        let heard: Vec<&str> =
            text.lines().filter(|line| !line.contains("Compiler family detection")).collect();
        let text = &heard.join("\n");
        if let Some((_, make)) = SENTENCES.iter().find(|(sentence, _)| text.contains(sentence)) {
            return Some(make());
        }
        PHRASES.iter().find_map(|phrase| phrase.find(text))
    }

    /// Whether it may not be the system's at all, but what a build script leaves for the linker or the next compiler:
    /// no package is known that has it.
    pub fn may_be_made(&self) -> bool {
        matches!(self, Self::Library(_) | Self::Header(_)) && packages::providing(self).is_none()
    }

    /// The file that a search for packages would look for.
    pub fn file(&self) -> String {
        match self {
            Self::Program(name) | Self::Header(name) => name.clone(),
            Self::PkgConfig(name) => format!("{name}.pc"),
            Self::Library(name) => format!("lib{name}.so"),
        }
    }
}

impl Phrase {
    fn find(&self, text: &str) -> Option<Missing> {
        // A name in quotes may stand in a string of JSON.
        let quoted = (self.before.ends_with('"')).then(|| self.before.replace('"', "\\\""));
        let starts = [Some(self.before.to_owned()), quoted];
        starts.into_iter().flatten().find_map(|before| {
            let mut rest = text;
            while let Some(at) = rest.find(&before) {
                rest = &rest[at + before.len()..];
                if let Some(name) = self.name(rest) {
                    return Some((self.make)(name.to_owned()));
                }
            }
            None
        })
    }

    /// The name with which a text starts, if what has to follow does.
    fn name<'a>(&self, text: &'a str) -> Option<&'a str> {
        let of_name = |c: char| c.is_ascii_alphanumeric() || "_-+./".contains(c);
        let length = text.find(|c| !of_name(c)).unwrap_or(text.len());
        let (mut name, mut behind) = text.split_at(length);
        // `.pc` is part of what follows a name, and a full stop of the sentence.
        if let Some(end) = self.after.find(|c| !of_name(c)).filter(|end| *end > 0) {
            name = name.strip_suffix(&self.after[..end])?;
            behind = &text[name.len()..];
        }
        let name = name.trim_end_matches('.');
        let follows = behind.starts_with(self.after) || behind.replace("\\\"", "\"").starts_with(self.after);
        let plausible = !name.is_empty()
            && name.len() <= LONGEST
            && !name.starts_with(['/', '-', '.'])
            && name.contains(|c: char| c.is_ascii_alphabetic());
        (follows && plausible).then_some(name)
    }
}

/// What cmake calls a generator is not the name of its program.
fn cmake_generator(name: String) -> Missing {
    Missing::Program(if name.starts_with("Unix") { "make".into() } else { name.to_lowercase() })
}

/// What cmake's modules look for, by the name that others know it by.
fn cmake_module(name: String) -> Missing {
    match name.as_str() {
        "PkgConfig" => Missing::Program("pkg-config".into()),
        "Git" | "Perl" | "BISON" | "FLEX" | "Doxygen" => Missing::Program(name.to_lowercase()),
        "Python3" | "Python" | "PythonInterp" => Missing::Program("python3".into()),
        "OpenSSL" => Missing::PkgConfig("openssl".into()),
        "ZLIB" => Missing::PkgConfig("zlib".into()),
        "BZip2" => Missing::PkgConfig("bzip2".into()),
        "CURL" => Missing::PkgConfig("libcurl".into()),
        "LibXml2" => Missing::PkgConfig("libxml-2.0".into()),
        "PostgreSQL" => Missing::PkgConfig("libpq".into()),
        "SQLite3" => Missing::PkgConfig("sqlite3".into()),
        "X11" => Missing::PkgConfig("x11".into()),
        _ => Missing::Library(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(name: &str) -> Option<Missing> {
        Some(Missing::Program(name.to_owned()))
    }

    /// As these programs and crates write it.
    #[test]
    fn what_they_say_is_understood() {
        let library = |name: &str| Some(Missing::Library(name.to_owned()));
        let pkg_config = |name: &str| Some(Missing::PkgConfig(name.to_owned()));
        let header = |name: &str| Some(Missing::Header(name.to_owned()));
        for (text, expected) in [
            ("error: linker `cc` not found\n  |\n  = note: No such file or directory", program("cc")),
            (
                r#"{"rendered":"error: linking with `cc` failed\n  = note: /usr/bin/ld: cannot find -lfoo-1.0: No such file or directory\n"}"#,
                library("foo-1.0"),
            ),
            ("ld.lld: error: unable to find library -lssl", library("ssl")),
            ("mold: fatal: library not found: z", library("z")),
            (
                "error: could not find native static library `git2`, perhaps an -L flag is missing?",
                library("git2"),
            ),
            (
                "The system library `libudev` required by crate `libudev-sys` was not found.\nThe file `libudev.pc` \
                 needs to be installed and the PKG_CONFIG_PATH environment variable must contain its parent directory.",
                pkg_config("libudev"),
            ),
            ("Package gtk+-3.0 was not found in the pkg-config search path.", pkg_config("gtk+-3.0")),
            ("No package 'glib-2.0' found", pkg_config("glib-2.0")),
            (
                "Could not run `PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 pkg-config --libs x`\nThe pkg-config command could \
                 not be found.",
                program("pkg-config"),
            ),
            (
                "error occurred in cc-rs: failed to find tool \"c++\": No such file or directory",
                program("c++"),
            ),
            (
                "Failed to find tool. Is `x86_64-linux-gnu-g++` installed? (see",
                program("x86_64-linux-gnu-g++"),
            ),
            ("failed to execute command: No such file\nis `cmake` not installed?", program("cmake")),
            ("Could not find `protoc`. If `protoc` is installed, try setting", program("protoc")),
            (
                "Unable to find libclang: \"couldn't find any valid shared libraries matching: ['libclang.so']\"",
                library("clang"),
            ),
            ("x.c:1:10: fatal error: openssl/ssl.h: No such file or directory", header("openssl/ssl.h")),
            ("x.c:1:10: fatal error: 'zlib.h' file not found", header("zlib.h")),
            ("sh: 1: make: not found", program("make")),
            (
                "cargo:warning=Compiler family detection failed due to error: failed to find tool \"c++\": No\nautoreconf: \
                 1: exec: autoreconf: not found",
                program("autoreconf"),
            ),
            ("/bin/sh: line 1: autoconf: command not found", program("autoconf")),
            ("/usr/bin/env: \u{2018}python3\u{2019}: No such file or directory", program("python3")),
            ("error: no Python 3.x interpreter found", program("python3")),
            ("Missing dependency: cmake.", program("cmake")),
            ("was unable to find a build program corresponding to \"Ninja\".", program("ninja")),
            (r#"{"rendered":"corresponding to \"Unix Makefiles\" was"}"#, None),
            ("Could NOT find OpenSSL (missing: OPENSSL_CRYPTO_LIBRARY)", pkg_config("openssl")),
            ("/usr/bin/ld: cannot find Scrt1.o: No such file", library("c")),
        ] {
            assert_eq!(Missing::recognise(text), expected, "{text}");
        }
    }

    #[test]
    fn what_names_nothing_is_left_alone() {
        for text in [
            "",
            "linker `` not found",
            "linker `/opt/x/ld` not found",
            "fatal error: too many errors emitted, stopping now",
            "sh: 1: ./configure: not found",
            "cannot find -l",
            "is `a b` not installed?",
        ] {
            assert_eq!(Missing::recognise(text), None, "{text}");
        }
    }

    #[test]
    fn every_phrase_says_whose_it_is() {
        assert!(PHRASES.iter().all(|phrase| !phrase.by.is_empty() && !phrase.before.is_empty()));
    }
}
