//! What benchmarks measure: figures of a run, put in order and written down.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// What so many of a hundred are below; the median is 50.
pub fn percentile(mut all: Vec<f64>, percent: usize) -> f64 {
    all.sort_by(f64::total_cmp);
    let place = (all.len() * percent / 100).min(all.len().saturating_sub(1));
    all.get(place).copied().unwrap_or_default()
}

/// What `--sandbox-trace` has written, a job each.
pub fn trace(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).expect("a trace");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The microseconds of a stage of these jobs.
pub fn stage<'a>(jobs: impl Iterator<Item = &'a Value>, name: &str) -> Vec<f64> {
    jobs.filter_map(|job| job["microseconds"][name].as_f64()).collect()
}

/// Writes them to `<name>.json` in the directory that `CSB_BENCH_JSON` names, if it does.
pub fn write(name: &str, all: &[Value]) {
    if let Some(directory) = std::env::var_os("CSB_BENCH_JSON").map(PathBuf::from) {
        fs::create_dir_all(&directory).expect("a directory for the figures");
        let text = serde_json::to_string_pretty(all).expect("JSON");
        fs::write(directory.join(format!("{name}.json")), text).expect("a file for the figures");
    }
}
