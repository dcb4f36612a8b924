//! One message of the Language Server Protocol: a header with the length of what follows, and that much JSON (its
//! specification 3.17, "Base Protocol").

use std::io::{self, BufRead, Read as _, Write};

use serde_json::Value;

/// Longest message, in bytes. The largest that a server sends are lists of all symbols and the like; in this process's
/// memory, which is in no container, a message takes several times as much.
const MAX_MESSAGE: u64 = 32 << 20;

/// Longest header, in bytes.
const MAX_HEADER: u64 = 4096;

/// Reads a message; `None` at the end of the stream.
///
/// # Errors
/// `InvalidData` for what is no message, `UnexpectedEof` for a part of one.
pub fn read(stream: &mut impl BufRead) -> io::Result<Option<Value>> {
    let Some(length) = header(stream)? else { return Ok(None) };
    // Grown as bytes come, so that a length alone makes this process allocate nothing.
    let mut body = Vec::new();
    stream.take(length).read_to_end(&mut body)?;
    if (body.len() as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&body).map(Some).map_err(|error| invalid(&format!("no JSON: {error}")))
}

/// Writes a message, whole: a stream that others write to as well is locked meanwhile by whoever calls.
///
/// # Errors
/// When the stream refuses.
pub fn write(stream: &mut impl Write, message: &Value) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let mut bytes = format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend(body);
    stream.write_all(&bytes)?;
    stream.flush()
}

fn header(stream: &mut impl BufRead) -> io::Result<Option<u64>> {
    let mut header = stream.take(MAX_HEADER);
    let mut length = None;
    let mut first = true;
    loop {
        let mut line = Vec::new();
        if header.read_until(b'\n', &mut line)? == 0 {
            return if first { Ok(None) } else { Err(invalid("a header that does not end")) };
        }
        first = false;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            let length: u64 = length.ok_or_else(|| invalid("a header without `Content-Length`"))?;
            return if length > MAX_MESSAGE {
                Err(invalid(&format!("a message of {length} bytes")))
            } else {
                Ok(Some(length))
            };
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = Some(value.trim().parse().map_err(|_| invalid("a length that is no number"))?);
        }
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not the Language Server Protocol: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_message_comes_back_as_it_was_written() {
        let message = json!({"jsonrpc": "2.0", "id": 1, "result": "ü"});
        let mut stream = Vec::new();
        write(&mut stream, &message).unwrap();
        write(&mut stream, &json!({})).unwrap();
        let mut stream = stream.as_slice();
        assert_eq!(read(&mut stream).unwrap(), Some(message));
        assert_eq!(read(&mut stream).unwrap(), Some(json!({})));
        assert_eq!(read(&mut stream).unwrap(), None);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let kind = |text: &str| read(&mut text.as_bytes()).unwrap_err().kind();
        let invalid = io::ErrorKind::InvalidData;
        assert_eq!(kind("hello\n\n"), invalid);
        assert_eq!(kind("Content-Length: x\r\n\r\n"), invalid);
        assert_eq!(kind("Content-Length: 99999999999\r\n\r\n"), invalid);
        assert_eq!(kind("Content-Length: 1\r\n\r\n{"), invalid);
        assert_eq!(kind("Content-Length: 9\r\n\r\n{}"), io::ErrorKind::UnexpectedEof);
        assert_eq!(kind(&"x".repeat(10_000)), invalid);
        let other = "content-length:2\r\nContent-Type: x\r\n\r\n{}";
        assert_eq!(read(&mut other.as_bytes()).unwrap(), Some(json!({})));
    }
}
