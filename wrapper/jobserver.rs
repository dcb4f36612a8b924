//! Where cargo's jobserver is: `CARGO_MAKEFLAGS` names the two ends of a pipe.
//!
//! The variable is cargo's own: it is set after everything that a build script or a configuration file may
//! set. Whatever it names, the wrapper passes on pipes only.

/// The two descriptors that `--jobserver-auth=R,W` (or the older `--jobserver-fds=R,W`) names; the last one
/// counts, as in GNU make. `None` for a fifo (`fifo:PATH`), which has no descriptors, and for anything else.
pub fn descriptors(makeflags: &[u8]) -> Option<(i32, i32)> {
    let mut found = None;
    for word in makeflags.split(|byte| *byte == b' ') {
        let value =
            word.strip_prefix(b"--jobserver-auth=").or_else(|| word.strip_prefix(b"--jobserver-fds="));
        if let Some(value) = value {
            found = pair(value);
        }
    }
    found
}

fn pair(value: &[u8]) -> Option<(i32, i32)> {
    let comma = value.iter().position(|byte| *byte == b',')?;
    let (read, write) = value.split_at_checked(comma)?;
    Some((number(read)?, number(write.get(1..)?)?))
}

fn number(digits: &[u8]) -> Option<i32> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    digits.iter().try_fold(0_i32, |sum, digit| match digit {
        b'0'..=b'9' => Some(sum * 10 + i32::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::descriptors;

    #[test]
    fn cargos_own_form_names_a_pipe() {
        assert_eq!(descriptors(b"-j --jobserver-fds=6,7 --jobserver-auth=6,7"), Some((6, 7)));
        assert_eq!(descriptors(b" -j4 --jobserver-auth=3,4"), Some((3, 4)));
    }

    #[test]
    fn the_last_one_counts() {
        assert_eq!(descriptors(b"--jobserver-auth=3,4 --jobserver-auth=5,6"), Some((5, 6)));
        assert_eq!(descriptors(b"--jobserver-auth=3,4 --jobserver-auth=fifo:/tmp/x"), None);
    }

    #[test]
    fn anything_else_names_nothing() {
        for flags in [
            "",
            "-j",
            "--jobserver-auth=",
            "--jobserver-auth=3",
            "--jobserver-auth=3,",
            "--jobserver-auth=,4",
        ] {
            assert_eq!(descriptors(flags.as_bytes()), None, "{flags}");
        }
        assert_eq!(descriptors(b"--jobserver-auth=-2,4"), None);
        assert_eq!(descriptors(b"--jobserver-auth=99999999999,4"), None);
    }
}
