//! The environment that cargo gets, and with it every job.
//!
//! An allow-list. cargo hands its whole environment to what it starts, and writes the values of variables that
//! a build script names (`cargo::rerun-if-env-changed`) into files that later jobs can read; so what is secret
//! must not be in cargo's environment at all.

use std::ffi::{OsStr, OsString};

/// Variables that pass, each with the reason.
const NAMES: &[(&str, &str)] = &[
    ("PATH", "finding system tools"),
    ("HOME", "cargo's own directories"),
    ("USER", "cargo new"),
    ("LOGNAME", "as USER"),
    ("LANG", "messages"),
    ("LANGUAGE", "messages"),
    ("TZ", "time stamps"),
    ("TERM", "colours and progress"),
    ("COLORTERM", "colours"),
    ("COLUMNS", "width of progress"),
    ("LINES", "terminal"),
    ("NO_COLOR", "colours"),
    ("FORCE_COLOR", "colours"),
    ("CLICOLOR", "colours"),
    ("CLICOLOR_FORCE", "colours"),
    ("CI", "cargo shows no progress there"),
    ("TMPDIR", "cargo's temporary files"),
    ("SOURCE_DATE_EPOCH", "reproducible builds"),
    ("RUST_BACKTRACE", "diagnostics"),
    ("RUST_LIB_BACKTRACE", "diagnostics"),
    ("RUST_MIN_STACK", "compiler"),
    ("RUST_TEST_THREADS", "test runs"),
    ("RUST_TEST_NOCAPTURE", "test runs"),
    ("RUST_TEST_SHUFFLE", "test runs"),
    ("RUST_TEST_TIME_UNIT", "test runs"),
    ("RUST_LOG", "logging of what is run"),
    ("RUSTC_BOOTSTRAP", "compiler"),
    ("RUSTFLAGS", "compiler"),
    ("RUSTDOCFLAGS", "compiler"),
    ("CARGO_HOME", "cargo's own directories"),
    ("CARGO_INSTALL_ROOT", "cargo's own directories"),
    ("CARGO_INCREMENTAL", "compiler"),
    ("CARGO_ENCODED_RUSTFLAGS", "compiler"),
    ("CARGO_ENCODED_RUSTDOCFLAGS", "compiler"),
    ("CARGO_CACHE_AUTO_CLEAN_FREQUENCY", "cargo's own directories"),
    ("CARGO_LOG", "cargo's own log"),
    ("MAKEFLAGS", "a make above us and its jobserver"),
    ("MFLAGS", "as MAKEFLAGS"),
    ("CARGO_MAKEFLAGS", "as MAKEFLAGS"),
    ("NUM_JOBS", "build scripts"),
    ("http_proxy", "cargo's downloads"),
    ("https_proxy", "cargo's downloads"),
    ("HTTPS_PROXY", "cargo's downloads"),
    ("HTTP_TIMEOUT", "cargo's downloads"),
    ("ALL_PROXY", "cargo's downloads"),
    ("all_proxy", "cargo's downloads"),
    ("NO_PROXY", "cargo's downloads"),
    ("no_proxy", "cargo's downloads"),
    ("SSL_CERT_FILE", "cargo's downloads"),
    ("SSL_CERT_DIR", "cargo's downloads"),
    ("SSH_AUTH_SOCK", "cargo's git fetches; no job can see the socket"),
    ("CC", "C compilers in build scripts"),
    ("CXX", "C compilers in build scripts"),
    ("AR", "C compilers in build scripts"),
    ("NM", "C compilers in build scripts"),
    ("LD", "C compilers in build scripts"),
    ("RANLIB", "C compilers in build scripts"),
    ("STRIP", "C compilers in build scripts"),
    ("CFLAGS", "C compilers in build scripts"),
    ("CXXFLAGS", "C compilers in build scripts"),
    ("CPPFLAGS", "C compilers in build scripts"),
    ("LDFLAGS", "C compilers in build scripts"),
    ("ARFLAGS", "C compilers in build scripts"),
    ("CRATE_CC_NO_DEFAULTS", "C compilers in build scripts"),
    ("CMAKE", "build tools"),
    ("MAKE", "build tools"),
    ("PYTHON", "build tools"),
    ("PROTOC", "build tools"),
    ("PROTOC_INCLUDE", "build tools"),
    ("LIBCLANG_PATH", "bindgen"),
    ("LLVM_CONFIG_PATH", "bindgen"),
    ("CLANG_PATH", "bindgen"),
    ("BINDGEN_EXTRA_CLANG_ARGS", "bindgen"),
    ("PKG_CONFIG", "finding system libraries"),
    ("LLVM_COV_FLAGS", "cargo-llvm-cov's settings"),
    ("LLVM_PROFDATA_FLAGS", "cargo-llvm-cov's settings"),
    ("VCPKG_ROOT", "finding system libraries"),
];

/// Beginnings of names that pass.
const PREFIXES: &[(&str, &str)] = &[
    ("LC_", "messages"),
    ("CARGO_NET_", "cargo's settings"),
    ("CARGO_HTTP_", "cargo's settings"),
    ("CARGO_TERM_", "cargo's settings"),
    ("CARGO_PROFILE_", "cargo's settings"),
    ("CARGO_BUILD_", "cargo's settings; the ones that this tool decides are set over it"),
    ("CARGO_TARGET_", "cargo's settings; the ones that this tool decides are set over it"),
    ("CARGO_FUTURE_INCOMPAT_REPORT_", "cargo's settings"),
    ("CARGO_RESOLVER_", "cargo's settings"),
    ("CARGO_UNSTABLE_", "cargo's settings"),
    ("CARGO_CFG_", "build scripts"),
    ("PKG_CONFIG_", "finding system libraries"),
    ("NEXTEST_", "cargo-nextest's settings"),
    ("CC_", "C compilers in build scripts, per target"),
    ("CXX_", "C compilers in build scripts, per target"),
    ("AR_", "C compilers in build scripts, per target"),
    ("CFLAGS_", "C compilers in build scripts, per target"),
    ("CXXFLAGS_", "C compilers in build scripts, per target"),
    ("TARGET_", "C compilers in build scripts, per target"),
    ("HOST_", "C compilers in build scripts, per target"),
    ("CMAKE_", "build tools"),
    ("BINDGEN_EXTRA_CLANG_ARGS_", "bindgen, per target"),
];

/// Endings of names that pass: how `-sys` crates are told where a library is.
const SUFFIXES: &[(&str, &str)] = &[
    ("_LIB_DIR", "finding system libraries"),
    ("_INCLUDE_DIR", "finding system libraries"),
    ("_NO_VENDOR", "finding system libraries"),
    ("_NO_PKG_CONFIG", "finding system libraries"),
    ("_STATIC", "finding system libraries"),
];

/// Words in a name that make it a secret, whatever list it is on.
const SECRET_WORDS: &[&str] =
    &["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "PRIVATE_KEY", "API_KEY"];

/// Names that this tool decides itself: what a caller had there does not count.
const DECIDED: &[&str] = &[
    "CARGO_BUILD_RUSTC",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTDOC",
    "CARGO_BUILD_BUILD_DIR",
];

/// Whether this tool decides a variable itself, so that nobody passes it on.
pub fn is_decided(name: &str) -> bool {
    DECIDED.contains(&name) || name.starts_with("CARGO_TARGET_") && name.ends_with("_RUNNER")
}

/// Whether a variable holds a secret, by its name.
pub fn is_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    SECRET_WORDS.iter().any(|word| upper.contains(word))
}

/// Whether a variable of the user's passes on to cargo. `asked` are the names that the user passed on by
/// option.
pub fn passes(name: &OsStr, asked: &[String]) -> bool {
    let Some(name) = name.to_str() else { return false };
    if asked.iter().any(|asked| asked == name) {
        return true;
    }
    if is_decided(name) || is_secret(name) {
        return false;
    }
    NAMES.iter().any(|(known, _)| *known == name)
        || PREFIXES.iter().any(|(prefix, _)| name.starts_with(prefix))
        || SUFFIXES.iter().any(|(suffix, _)| name.ends_with(suffix))
}

/// Why a variable passes that compilers in build scripts, and what finds libraries for them, obey.
const OF_COMPILERS: &[&str] = &[
    "C compilers in build scripts",
    "C compilers in build scripts, per target",
    "build tools",
    "bindgen",
    "bindgen, per target",
    "finding system libraries",
];

/// Whether a variable is for compilers in build scripts and what finds libraries for them, and for nothing else.
pub fn is_of_compilers(name: &str) -> bool {
    let known = |list: &[(&str, &str)], matches: &dyn Fn(&str) -> bool| {
        list.iter().any(|(part, why)| OF_COMPILERS.contains(why) && matches(part))
    };
    !is_decided(name)
        && !is_secret(name)
        && (known(NAMES, &|known| known == name)
            || known(PREFIXES, &|prefix| name.starts_with(prefix))
            || known(SUFFIXES, &|suffix| name.ends_with(suffix)))
}

/// What passes of the given environment.
pub fn scrub(
    environment: impl Iterator<Item = (OsString, OsString)>,
    asked: &[String],
) -> Vec<(OsString, OsString)> {
    environment.filter(|(name, _)| passes(name, asked)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(name: &str) -> bool {
        passes(OsStr::new(name), &[])
    }

    #[test]
    fn what_builds_need_passes() {
        for name in [
            "PATH",
            "LC_ALL",
            "RUSTFLAGS",
            "CARGO_PROFILE_DEV_DEBUG",
            "CC_x86_64-unknown-linux-gnu",
            "OPENSSL_LIB_DIR",
            "PKG_CONFIG_PATH",
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER",
        ] {
            assert!(pass(name), "{name}");
        }
    }

    #[test]
    fn secrets_and_loader_variables_do_not() {
        for name in [
            "CARGO_REGISTRY_TOKEN",
            "CARGO_REGISTRIES_MINE_TOKEN",
            "GITHUB_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_ACCESS_KEY_ID",
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "DATABASE_URL",
            "GIT_SSH_COMMAND",
            "RUSTC_WRAPPER",
            "DOCKER_HOST",
            "CARGO_HTTP_PROXY_PASSWORD",
            "CARGO_BUILD_RUSTC",
            "CARGO_TARGET_A_B_RUNNER",
            "NPM_TOKEN_STATIC",
        ] {
            assert!(!pass(name), "{name}");
        }
    }

    #[test]
    fn what_is_for_compilers_is_nothing_of_cargos() {
        for name in ["CC", "CFLAGS_x86_64-unknown-linux-gnu", "PKG_CONFIG_PATH", "OPENSSL_LIB_DIR", "PROTOC"]
        {
            assert!(is_of_compilers(name), "{name}");
        }
        for name in ["PATH", "RUSTFLAGS", "CARGO_HOME", "MAKEFLAGS", "http_proxy", "NIX_CC", "LD_PRELOAD"] {
            assert!(!is_of_compilers(name), "{name}");
        }
    }

    #[test]
    fn the_user_may_name_more() {
        assert!(passes(OsStr::new("DATABASE_URL"), &["DATABASE_URL".to_owned()]));
    }
}
