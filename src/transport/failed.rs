//! An I/O error that says what failed, and keeps why.

use std::{error::Error, fmt, io};

/// Says what failed, and keeps why as the source.
pub(super) fn failed(what: impl Into<String>, source: io::Error) -> io::Error {
    let what = what.into();
    io::Error::new(source.kind(), Failed { what, source })
}

#[derive(Debug)]
struct Failed {
    what: String,
    source: io::Error,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}
