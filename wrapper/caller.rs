//! How a wrapper that no front end stands above finds its broker: by the process that started it.
//!
//! There is one background broker per cargo process. It listens under a name made of the user, that process and the
//! time of its start, as the kernel tells them: a build script can set every variable of the wrapper
//! (`cargo::rustc-env`), and none of these. The wrapper and the broker make the name by this one file.

/// Longest name: three numbers of 64 bits and what is between them fit.
const NAME_LENGTH: usize = 96;

/// First argument of `cargo-sandbox` as a background broker; the second is the name.
pub const BROKER_ARGUMENT: &str = "internal-broker";

/// The descriptor by which a background broker says why it cannot serve; it closes it when it can.
pub const REPORT_DESCRIPTOR: i32 = 3;

/// The front end's executable, which starts as a background broker.
const FRONT_END: &[u8] = b"/cargo-sandbox";

/// What `/proc/<pid>/stat` says (proc_pid_stat(5)), numbers in decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat<'a> {
    /// The process.
    pub pid: &'a [u8],
    /// Its parent.
    pub parent: &'a [u8],
    /// When it started, in ticks since the system did.
    pub started: &'a [u8],
}

impl<'a> Stat<'a> {
    /// Reads it; the second field, the program's name, may contain anything.
    pub fn parse(stat: &'a [u8]) -> Option<Self> {
        let pid = stat.split(|byte| *byte == b' ').next()?;
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let mut fields = stat.get(end + 2..)?.split(|byte| matches!(byte, b' ' | b'\n'));
        // State, parent, and sixteen more before the start (fields 3, 4 and 22).
        let parent = fields.nth(1)?;
        let started = fields.nth(17)?;
        let number = |field: &[u8]| !field.is_empty() && field.iter().all(u8::is_ascii_digit);
        [pid, parent, started].into_iter().all(number).then_some(Self { pid, parent, started })
    }
}

/// The name under which the broker of one cargo process listens, as an abstract socket's (unix(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    bytes: [u8; NAME_LENGTH],
    length: usize,
}

impl Name {
    /// The name for a user and a process.
    pub fn new(user: u32, stat: &Stat<'_>) -> Option<Self> {
        let mut name = Self { bytes: [0; NAME_LENGTH], length: 0 };
        name.push(b"cargo-sandbox/")?;
        name.push_number(user)?;
        for number in [stat.pid, stat.started] {
            name.push(b"/")?;
            name.push(number)?;
        }
        Some(name)
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        // The last byte stays NUL, so that the name is an argument as well.
        let place = self.bytes.get_mut(self.length..NAME_LENGTH - 1)?.get_mut(..bytes.len())?;
        place.copy_from_slice(bytes);
        self.length += bytes.len();
        Some(())
    }

    fn push_number(&mut self, number: u32) -> Option<()> {
        let mut divisor = 1_000_000_000;
        while divisor > 1 && number < divisor {
            divisor /= 10;
        }
        while divisor > 0 {
            let digit = u8::try_from(number / divisor % 10).ok()?;
            self.push(&[b'0' + digit])?;
            divisor /= 10;
        }
        Some(())
    }

    /// The name.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// The name with the NUL behind it.
    pub fn with_nul(&self) -> &[u8] {
        self.bytes.get(..=self.length).unwrap_or_default()
    }
}

/// Where the front end of a wrapper may be, most likely first: `nth` counts from 0. The path is written into `place`
/// with a NUL behind it; `None` when there is no further one.
///
/// It is beside the wrapper, and beside the copies of the wrapper in a project's `bin`. A shim is somewhere below the
/// project's `shims`. All of these are directories that nobody but the user writes in.
pub fn front_end<'a>(exe: &[u8], nth: usize, place: &'a mut [u8]) -> Option<&'a [u8]> {
    const SHIMS: &[u8] = b"/shims/";
    let (directory, below): (&[u8], &[u8]) = if nth == 0 {
        (exe.get(..exe.iter().rposition(|byte| *byte == b'/')?)?, b"")
    } else {
        let mut before = exe;
        for _ in 0..nth {
            let at = before.windows(SHIMS.len()).rposition(|window| window == SHIMS)?;
            before = exe.get(..at)?;
        }
        (before, b"/bin")
    };
    let mut end = 0;
    for part in [directory, below, FRONT_END, b"\0"] {
        place.get_mut(end..end + part.len())?.copy_from_slice(part);
        end += part.len();
    }
    place.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &[u8] =
        b"4711 (a) name) ) S 12 4711 4711 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3\n";

    #[test]
    fn a_stat_is_read_whatever_the_program_is_called() {
        let expected = Stat { pid: b"4711", parent: b"12", started: b"987654" };
        assert_eq!(Stat::parse(STAT), Some(expected));
        assert_eq!(Stat::parse(b""), None);
        assert_eq!(Stat::parse(b"1 (x) S 0 1"), None);
        assert_eq!(Stat::parse(&STAT[..STAT.len() - 30]), None);
    }

    #[test]
    fn the_kernels_own_stat_is_read() {
        let text = std::fs::read("/proc/self/stat").unwrap();
        let stat = Stat::parse(&text).unwrap();
        assert_eq!(stat.pid, std::process::id().to_string().as_bytes());
        assert_eq!(stat.parent, std::os::unix::process::parent_id().to_string().as_bytes());
    }

    #[test]
    fn a_name_has_all_three_numbers() {
        let stat = Stat::parse(STAT).unwrap();
        assert_eq!(Name::new(1000, &stat).unwrap().as_bytes(), b"cargo-sandbox/1000/4711/987654");
        assert_eq!(Name::new(0, &stat).unwrap().with_nul(), b"cargo-sandbox/0/4711/987654\0");
        let name = Name::new(u32::MAX, &stat).unwrap();
        assert!(name.as_bytes().starts_with(b"cargo-sandbox/4294967295/"));
        let long = [b'1'; 200];
        assert_eq!(Name::new(0, &Stat { started: &long, ..stat }), None);
    }

    #[test]
    fn the_front_end_is_beside_the_wrapper_or_in_the_projects_bin() {
        let of = |exe: &str, nth| {
            let mut place = [0; 64];
            let found = front_end(exe.as_bytes(), nth, &mut place).map(<[u8]>::to_vec);
            found.map(|path| String::from_utf8(path).unwrap())
        };
        assert_eq!(of("/b/cargo-sandbox-rustc", 0).unwrap(), "/b/cargo-sandbox\0");
        assert_eq!(of("/b/cargo-sandbox-rustc", 1), None);
        let shim = "/h/shims/p/shims/debug/build/x";
        assert_eq!(of(shim, 1).unwrap(), "/h/shims/p/bin/cargo-sandbox\0");
        assert_eq!(of(shim, 2).unwrap(), "/h/bin/cargo-sandbox\0");
        assert_eq!(of(shim, 3), None);
        assert_eq!(of(&"/long".repeat(20), 0), None, "no room");
    }
}
