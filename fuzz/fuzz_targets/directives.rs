//! What build scripts and macros say to cargo: whatever passes holds nothing that the filters exist for.
#![no_main]

use cargo_sandbox::broker::directives::{Grants, Verdict, filter};
use cargo_sandbox::broker::messages::{Sources, printed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let directories = vec!["/package".into(), "/build".into()];
    let grants = Grants { package: "/package".into(), directories, variables: vec!["LD_LIBRARY_PATH".into()] };
    let passed = match filter(line, &grants) {
        Verdict::Pass => line.to_vec(),
        Verdict::Replace(instead) => instead,
        Verdict::Refuse(_) => Vec::new(),
    };
    assert!(!passed.contains(&b'\n'), "one line stays one");
    // Read as cargo reads it, by another way than the filter's.
    let text = String::from_utf8_lossy(&passed);
    let text = text.trim();
    for start in ["cargo:rustc-env=", "cargo::rustc-env="] {
        if let Some(variable) = text.strip_prefix(start).filter(|_| std::str::from_utf8(&passed).is_ok())
            && let Some((name, _)) = variable.split_once('=')
        {
            let loaders = name.starts_with("LD_") && name != "LD_LIBRARY_PATH";
            assert!(!loaders && name != "PATH" && name != "RUSTC", "{text:?}");
        }
    }
    if text.starts_with("cargo:warning=") || text.starts_with("cargo::warning=") {
        assert!(!text.contains('\u{1b}') && !text.contains('\u{9b}'), "{text:?}");
    }

    if printed(line) == Verdict::Pass
        && let Ok(serde_json::Value::Object(message)) = serde_json::from_slice(line)
    {
        assert!(!message.contains_key("reason"), "{line:?}");
    }
    let sources = Sources { cwd: "/package".into(), readable: vec!["/package".into()] };
    match sources.said(line) {
        Verdict::Replace(instead) => {
            assert_ne!(instead, line);
            assert_eq!(sources.said(&instead), Verdict::Pass, "judged once, judged for good");
        }
        Verdict::Pass | Verdict::Refuse(_) => {}
    }
});
