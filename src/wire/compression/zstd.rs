//! Frames of Zstandard.

use std::{cell::RefCell, io};

use ::zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::CParameter,
};

use crate::wire::numbers::compression::PREFIX;

/// The fastest: the higher ones cost a multiple and gain some percent on bodies of a few KiB.
const LEVEL: i32 = 1;

/// How far back a body refers to itself, as a power of two: 128 KiB. It bounds what a thread keeps.
const WINDOW: u32 = 17;

thread_local! {
    /// Kept, since to make one costs more than to compress a short body.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The compressed bytes behind room for the prefix, if all of that is shorter than what is given.
pub(super) fn compress(plain: &[u8]) -> Option<Vec<u8>> {
    // With no more room than that it ends as soon as it sees that it does not get shorter.
    let mut bytes = vec![0; plain.len().checked_sub(1)?];
    let room = bytes.get_mut(PREFIX..)?;
    let len = with(&COMPRESSOR, compressor, |compressor| {
        compressor.compress_to_buffer(plain, room)
    });
    bytes.truncate(PREFIX + len.ok()?);
    bytes.shrink_to_fit();
    Some(bytes)
}

/// The plain bytes, of which there are at most `len`.
pub(super) fn decompress(bytes: &[u8], len: usize) -> Result<Vec<u8>, String> {
    let mut plain = Vec::with_capacity(len);
    let given = with(&DECOMPRESSOR, Decompressor::new, |decompressor| {
        decompressor.decompress_to_buffer(bytes, &mut plain)
    });
    given.map_err(|error| format!("a body cannot be decompressed by Zstandard: {error}"))?;
    Ok(plain)
}

fn compressor() -> io::Result<Compressor<'static>> {
    let mut compressor = Compressor::new(LEVEL)?;
    compressor.set_parameter(CParameter::WindowLog(WINDOW))?;
    Ok(compressor)
}

/// Does something with the thread's own.
fn with<T, R>(
    own: &'static std::thread::LocalKey<RefCell<Option<T>>>,
    make: impl FnOnce() -> io::Result<T>,
    f: impl FnOnce(&mut T) -> io::Result<R>,
) -> io::Result<R> {
    own.with_borrow_mut(|own| {
        let mut context = match own.take() {
            Some(context) => context,
            None => make()?,
        };
        let result = f(&mut context);
        *own = Some(context);
        result
    })
}
