//! The limits that stand around every codec, whatever its library checks or does not.
//!
//! A value is written and read through [`Guarded`], a serde adapter that only counts:
//!
//! * **Depth.** A hostile body of 1 MiB can nest a recursive type a million times, and a stack overflow is
//!   no panic that could be caught. More than [`MAX_DEPTH`] levels are an error, in both directions.
//! * **Announced lengths.** A sequence or map of more elements than its input has bytes is refused: before
//!   anything is reserved for it or, where it does not tell its size, as it is read. Owned text and bytes
//!   are asked for as borrowed ones: a codec then checks their length against the input before they are
//!   copied.
//!
//! The adapter is generic all the way down and holds a number and a reference, so it inlines to a counter.

mod de;
mod ser;

use std::{cell::Cell, fmt, marker::PhantomData};

use serde::Serialize;
use steeple_layers::{BoxError, Error, Execution, Kind};

use super::{MAX_DEPTH, name};
use crate::Encoding;

/// How many elements that take no bytes, such as `()` in bincode, one value may have: without a limit,
/// eight bytes could ask for 2⁶² turns of a loop.
const MAX_EMPTY_ELEMENTS: usize = 4096;

/// A serde value, serializer, deserializer, visitor or access that counts.
///
/// `OPEN` is a visitor or access for which the sender chooses how many elements there are; those of a tuple
/// or a struct are known from its type.
pub(super) struct Guarded<'a, T, const OPEN: bool = false> {
    inner: T,
    guard: Guard<'a>,
}

/// What is left of the limits at one place of a value: two whole words, so that it is passed in registers.
#[derive(Clone, Copy)]
struct Guard<'a> {
    levels: usize,
    tally: &'a Tally,
}

/// What is counted over the whole of a value, and the limit that was passed: some codecs drop the text of
/// an error that comes from outside.
struct Tally {
    elements: Cell<usize>,
    passed: Cell<Option<Limit>>,
}

#[derive(Clone, Copy)]
enum Limit {
    Depth,
    Elements,
}

/// Encodes `value` with `write`, which is given its guarded form.
pub(super) fn encode<T, E>(
    encoding: Encoding,
    value: &T,
    write: impl FnOnce(&Guarded<'_, &T>) -> Result<(), E>,
) -> Result<(), Error>
where
    T: Serialize + ?Sized,
    E: Into<BoxError>,
{
    let tally = Tally::new(0);
    write(&Guarded::root(value, &tally))
        .map_err(|error| tally.error("encoded", encoding, error.into()))
}

/// Decodes a value with `read`, which is given a seed and returns also the number of bytes left over.
pub(super) fn decode<T>(
    encoding: Encoding,
    bytes: &[u8],
    read: impl FnOnce(Guarded<'_, PhantomData<T>>) -> Result<(T, usize), BoxError>,
) -> Result<T, Error> {
    let tally = Tally::new(bytes.len().saturating_add(MAX_EMPTY_ELEMENTS));
    let (value, left) = read(Guarded::root(PhantomData, &tally)).map_err(|error| {
        tally
            .error("decoded", encoding, error)
            .with_execution(Execution::MaybeExecuted)
    })?;
    match left {
        0 => Ok(value),
        left => Err(invalid(left_over(left)).with_execution(Execution::MaybeExecuted)),
    }
}

impl<'a, T> Guarded<'a, T> {
    fn root(inner: T, tally: &'a Tally) -> Self {
        let levels = MAX_DEPTH;
        Guard { levels, tally }.over(inner)
    }
}

impl<'a> Guard<'a> {
    #[inline]
    fn over<T>(self, inner: T) -> Guarded<'a, T> {
        Guarded { inner, guard: self }
    }

    /// One level down. `custom` makes the codec's error.
    #[inline]
    fn enter<E>(self, custom: impl FnOnce(Limit) -> E) -> Result<Self, E> {
        match self.levels.checked_sub(1) {
            Some(levels) => Ok(Self { levels, ..self }),
            None => Err(self.pass(Limit::Depth, custom)),
        }
    }

    /// So many elements more.
    #[inline]
    fn count<E>(self, elements: usize, custom: impl FnOnce(Limit) -> E) -> Result<(), E> {
        match self.tally.elements.get().checked_sub(elements) {
            Some(left) => {
                self.tally.elements.set(left);
                Ok(())
            }
            None => Err(self.pass(Limit::Elements, custom)),
        }
    }

    #[cold]
    fn pass<E>(self, limit: Limit, custom: impl FnOnce(Limit) -> E) -> E {
        self.tally.passed.set(Some(limit));
        custom(limit)
    }
}

impl Tally {
    fn new(elements: usize) -> Self {
        Self {
            elements: Cell::new(elements),
            passed: Cell::new(None),
        }
    }

    #[cold]
    fn error(&self, done: &str, encoding: Encoding, source: BoxError) -> Error {
        match self.passed.get() {
            Some(limit) => invalid(limit.to_string()),
            None => invalid(format!("the value cannot be {done} as {}", name(encoding)))
                .with_source(source),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Depth => write!(f, "the value is nested deeper than {MAX_DEPTH} levels"),
            Self::Elements => {
                f.write_str("the value announces more elements than its bytes can hold")
            }
        }
    }
}

fn invalid(message: String) -> Error {
    Error::new(Kind::Invalid, message)
}

#[cold]
fn left_over(bytes: usize) -> String {
    let s = if bytes == 1 { "" } else { "s" };
    format!("{bytes} byte{s} left over after the value")
}
