//! Text for people and programs: data to stdout, everything else to stderr.

use std::io::{self, ErrorKind, Write};

/// Writes data to stdout. A reader that has seen enough (`tidegate schema | head`) is no error.
///
/// # Errors
/// Whatever stdout says, a closed pipe excepted.
pub fn data(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    forgive_closed(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// Writes a line for people to stderr. When nobody can read it, nobody can be told so either.
pub fn complain(text: &str) {
    drop(writeln!(io::stderr().lock(), "{}", text.trim_end()));
}

fn forgive_closed(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|fault| if fault.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(fault) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_closed_pipe_is_forgiven() {
        assert!(forgive_closed(Err(ErrorKind::BrokenPipe.into())).is_ok());
        assert!(forgive_closed(Err(ErrorKind::StorageFull.into())).is_err());
    }
}
