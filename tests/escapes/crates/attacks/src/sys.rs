//! System calls by number.

use std::ffi::{c_int, c_long};

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn __errno_location() -> *mut c_int;
}

/// Arguments that no address space has something at.
pub const NOWHERE: u64 = 8;
/// -1, as a descriptor or whatever takes it.
pub const NONE: u64 = u64::MAX;

/// What the kernel answers: a value, or the error's number.
///
/// Every call that is made through this either gets plain numbers or pointers to values that live long enough, or
/// [`NOWHERE`], which the kernel refuses.
pub fn call(number: i64, arguments: &[u64]) -> Result<i64, i32> {
    let argument = |index: usize| arguments.get(index).copied().unwrap_or(0);
    // SAFETY: see above.
    let value = unsafe {
        syscall(number, argument(0), argument(1), argument(2), argument(3), argument(4), argument(5))
    };
    // SAFETY: the C library's own address of this thread's errno.
    if value == -1 { Err(unsafe { *__errno_location() }) } else { Ok(value) }
}

pub const EPERM: i32 = 1;
pub const EACCES: i32 = 13;
pub const ENOSYS: i32 = 38;
pub const EAFNOSUPPORT: i32 = 97;
pub const EPROTONOSUPPORT: i32 = 93;

/// The call itself succeeds.
pub fn succeeds(number: i64, arguments: &[u64]) -> Result<String, String> {
    match call(number, arguments) {
        Ok(value) => Ok(format!("returned {value}")),
        Err(error) => Err(word(error)),
    }
}

/// The kernel's code for the call is reached: it succeeds, or fails for a reason that is not who calls.
pub fn reaches(number: i64, arguments: &[u64]) -> Result<String, String> {
    match call(number, arguments) {
        Ok(value) => Ok(format!("returned {value}")),
        Err(error @ (EPERM | EACCES | ENOSYS | EAFNOSUPPORT | EPROTONOSUPPORT)) => Err(word(error)),
        Err(error) => Ok(format!("permitted: {}", word(error))),
    }
}

fn word(error: i32) -> String {
    std::io::Error::from_raw_os_error(error).to_string()
}
