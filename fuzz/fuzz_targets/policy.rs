//! A repository's policy: no text is too much for the parser, and none that asks for nothing gives anything.
#![no_main]

use std::path::PathBuf;

use cargo_sandbox::policy::containers::Own;
use cargo_sandbox::policy::kind::Kind;
use cargo_sandbox::policy::layers::Policy;
use cargo_sandbox::policy::package::{Package, Provenance};
use cargo_sandbox::policy::paths::Places;
use cargo_sandbox::policy::repository::RepositoryPolicy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let user = Own { memory: 8 << 30, ..Own::default() };
    let alone = user.settings(None);
    let file = PathBuf::from("/srv/project/cargo-sandbox.toml");
    let Ok(own) = RepositoryPolicy::parse(file, text.to_owned(), &Policy::default(), &user) else { return };
    for item in own.question.iter().flat_map(|question| &question.items) {
        let shown = item.show("cargo-sandbox.toml".as_ref()).to_string();
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{9b}'), "{shown:?}");
    }
    let (root, home) = (PathBuf::from("/srv/project"), PathBuf::from("/home/nobody"));
    let places = Places {
        target_dir: root.join("target"),
        cargo_home: home.join(".cargo"),
        sysroot: "/toolchain".into(),
        root,
        home,
        own: Vec::new(),
    };
    let settings = user.settings(Some(&own.written));
    assert!(settings.is_within(&alone), "{settings:?}");
    let Ok(policy) = Policy::new(&[own.written], &places, user.base(&settings)) else { return };
    let Ok(without) = Policy::new(&[], &places, user.base(&alone)) else { return };
    for name in ["a-1.0.0", "ring-0.17.8", "openssl-sys-0.9.1"] {
        for provenance in [Provenance::Registry, Provenance::Repository] {
            let package = Package::of_directory(name, provenance).expect("a package");
            for kind in Kind::ALL {
                let job = policy.effective(&package, kind);
                // What asks is not trusted, and what does not ask gives nothing.
                assert!(job.is_within(&without.effective(&package, kind)), "{kind} of {package}: {job:?}");
            }
        }
    }
});
