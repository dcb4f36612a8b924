//! The compiler's answers about itself, kept: cargo asks `-vV` and `--print` at the start of every command, and
//! a command that has nothing to build shall start no container.
//!
//! cargo keeps such answers too, in `.rustc_info.json`, and believes what it finds there; it is told not to
//! (`CARGO_CACHE_RUSTC_INFO=0`). These are kept where no job can write.

use std::ffi::OsStr;
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::container::spec::StableHasher;
use crate::project::put_json;

use super::identify::Job;
use super::request::Request;

/// Answers longer than this are not kept, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// An answer that is kept, with the question for certainty.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    question: Vec<Vec<u8>>,
    stdout: Vec<u8>,
}

/// A question that may have been answered before.
#[derive(Debug)]
pub struct Question {
    file: PathBuf,
    question: Vec<Vec<u8>>,
}

impl Question {
    /// The question that a job asks, if its answer depends on nothing but the compiler and the arguments.
    pub fn of(directory: &Path, job: &Job, request: &Request) -> Option<Self> {
        let arguments = job.spec.argv.get(1..)?;
        // Target descriptions are files, unstable options may load things, argument files may change.
        let depends =
            |word: &Vec<u8>| word.ends_with(b".json") || word.starts_with(b"-Z") || word.starts_with(b"@");
        if arguments.iter().any(depends) {
            return None;
        }
        let program = Path::new(OsStr::from_bytes(&job.spec.program));
        let metadata = program.metadata().ok()?;
        let stamp = format!("{}.{} {}", metadata.mtime(), metadata.mtime_nsec(), metadata.len());
        let bootstrap = request.variable("RUSTC_BOOTSTRAP").unwrap_or_default();
        let mut question = vec![job.spec.program.clone(), stamp.into_bytes(), bootstrap.as_bytes().to_vec()];
        question.extend_from_slice(arguments);
        let mut hasher = StableHasher::default();
        question.hash(&mut hasher);
        Some(Self { file: directory.join(format!("{:016x}.json", hasher.finish())), question })
    }

    /// What was answered before.
    pub fn known(&self) -> Option<Vec<u8>> {
        let answer: Answer = serde_json::from_slice(&std::fs::read(&self.file).ok()?).ok()?;
        (answer.question == self.question).then_some(answer.stdout)
    }

    /// Keeps an answer. One that cannot be kept is asked for again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, stdout: Vec<u8>) -> io::Result<()> {
        put_json(&self.file, &Answer { question: self.question.clone(), stdout })
    }
}

/// What a job writes while its answer is being learnt: files that the job writes in the place of its own standard
/// output and error.
#[derive(Debug)]
pub struct Capture {
    /// In the place of standard output.
    pub stdout: std::fs::File,
    /// In the place of standard error.
    pub stderr: std::fs::File,
}

impl Capture {
    /// Two empty files without a name.
    ///
    /// # Errors
    /// When there is no room for them.
    pub fn new() -> io::Result<Self> {
        Ok(Self { stdout: tempfile::tempfile()?, stderr: tempfile::tempfile()? })
    }

    /// Writes on what came to where it belongs; returns it if it can be kept: nothing on standard error, and not
    /// too long.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn forward(mut self, request: &Request) -> io::Result<Option<Vec<u8>>> {
        let mut texts = [Vec::new(), Vec::new()];
        for ((file, text), number) in
            [&mut self.stdout, &mut self.stderr].into_iter().zip(&mut texts).zip(1..)
        {
            file.seek(SeekFrom::Start(0))?;
            file.read_to_end(text)?;
            write_to(request, number, text)?;
        }
        let [stdout, stderr] = texts;
        Ok((stderr.is_empty() && stdout.len() as u64 <= MAX_ANSWER).then_some(stdout))
    }
}

/// Writes to a descriptor of the wrapper.
///
/// # Errors
/// When it is not there, or the other side is gone.
pub fn write_to(request: &Request, number: i32, text: &[u8]) -> io::Result<()> {
    match request.descriptor(number) {
        Some(descriptor) => std::fs::File::from(descriptor.try_clone()?).write_all(text),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::identify::JobKind;
    use super::*;
    use crate::agent::protocol::JobSpec;

    fn job(argument: &str) -> Job {
        let spec = JobSpec {
            program: b"/bin/sh".to_vec(),
            argv: vec![b"rustc".to_vec(), argument.as_bytes().to_vec()],
            cwd: b"/".to_vec(),
            umask: 0o022,
            ..JobSpec::default()
        };
        Job::new(JobKind::Query, String::new(), spec)
    }

    fn request(env: &[&str]) -> Request {
        let env = env.iter().map(|variable| (*variable).into()).collect();
        Request { exe: "/x".into(), cwd: "/".into(), argv: Vec::new(), env, descriptors: Vec::new() }
    }

    #[test]
    fn an_answer_is_kept_for_the_same_question_only() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .unwrap();
        let question =
            |argument: &str, env: &[&str]| Question::of(directory.path(), &job(argument), &request(env));
        question("-vV", &[]).unwrap().keep(b"rustc 1".to_vec()).unwrap();
        assert_eq!(question("-vV", &[]).unwrap().known(), Some(b"rustc 1".to_vec()));
        assert_eq!(question("--print=cfg", &[]).unwrap().known(), None);
        assert_eq!(question("-vV", &["RUSTC_BOOTSTRAP=1"]).unwrap().known(), None);
    }

    #[test]
    fn what_depends_on_files_is_asked_each_time() {
        for argument in ["t.json", "-Zx", "@file"] {
            assert!(Question::of(Path::new("/"), &job(argument), &request(&[])).is_none(), "{argument}");
        }
    }
}
