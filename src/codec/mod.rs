//! Values ⇄ bytes.
//!
//! A [`Codec`] is a serde format: it appends a value to a buffer and reads one from a slice. Four ship, each
//! behind the feature of its name, and one of your own is two methods and two facts.
//!
//! ```text
//!            encode                                   decode
//!   value ─┬─ text, bytes ──► raw body      raw body ──► text, bytes ─┬─► value
//!          └─ all else ─► guard ─► codec    codec ◄─ guard ◄─ all else┘
//!                            │                 ▲
//!                          Arena             slice of the read buffer
//! ```
//!
//! * **Raw.** Text and bytes travel uncoded, whatever the codec, as [`encode`] tells in detail.
//! * **The guard** stands around every codec of this crate: at most [`MAX_DEPTH`] levels of nesting, nothing
//!   reserved or looped over for a length that is only announced, and no byte left over after a value.
//! * **The [`Arena`]** is where values are written, many to one allocation.
//!
//! # Which codec
//!
//! | | size | speed | describes itself | for |
//! |---|---|---|---|---|
//! | `Bincode` | integers of fixed width | fastest | no | services that share their types |
//! | `Postcard` | a fifth smaller | fast | no | the same, where bytes count |
//! | `MsgPack` | names of fields | fast | yes | types that change at different times |
//! | `Json` | largest | slowest | yes | people, tools and other languages |
//!
//! More than the format, it matters that bytes inside of a struct are bytes to serde: a `Vec<u8>` is a
//! sequence of numbers, and several times slower than a [`Bytes`](bytes::Bytes) or a `serde_bytes` field.
//!
//! # The default, and how to leave it
//!
//! [`DefaultCodec`] is `Bincode`, because with integers of fixed width it is the fastest that serde has.
//! The bincode library is no longer maintained (RUSTSEC-2025-0141). That is a reason to be able to leave
//! it and not one to avoid it: one file of this crate names it, it is given only slices with a limit, and
//! the guard stands before what its decoder does not check. To leave it, name another codec – one line – or
//! turn the feature `bincode` off. And its layout is a way out that breaks no peer: it is that of bincode 1,
//! which other libraries write byte for byte, so that this file can be written anew over one of them.

mod any;
mod arena;
#[cfg(feature = "bincode")]
mod bincode;
mod body;
mod error_ext;
#[cfg(any(
    feature = "bincode",
    feature = "json",
    feature = "postcard",
    feature = "msgpack"
))]
mod guard;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "msgpack")]
mod msgpack;
#[cfg(feature = "postcard")]
mod postcard;
mod raw;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

#[cfg(feature = "bincode")]
pub use self::bincode::Bincode;
#[cfg(feature = "json")]
pub use self::json::Json;
#[cfg(feature = "msgpack")]
pub use self::msgpack::MsgPack;
#[cfg(feature = "postcard")]
pub use self::postcard::Postcard;
pub use self::{
    any::AnyCodec,
    arena::Arena,
    body::{decode, decode_borrowed, decode_owned, encode, encode_borrowed, encode_owned},
    error_ext::ErrorExt,
};
use crate::{Encoding, Error, wire::numbers::encoding::name};

#[cfg(not(any(feature = "bincode", feature = "json")))]
#[doc(no_inline)]
pub use self::any::AnyCodec as DefaultCodec;
/// What is used where no codec is named: [`Bincode`], or [`Json`] where the feature `bincode` is off. A type and
/// a value.
///
/// With both features off it is only a type, [`AnyCodec`]: a client or a router is then told which codec it is.
#[cfg(feature = "bincode")]
#[doc(no_inline)]
pub use self::bincode::Bincode as DefaultCodec;
#[cfg(all(feature = "json", not(feature = "bincode")))]
#[doc(no_inline)]
pub use self::json::Json as DefaultCodec;

/// The deepest nesting of a value, in levels: each sequence, map, struct, enum variant with content,
/// `Some` and newtype is one.
///
/// That is more than people nest by hand, and its frames fit a small stack also in a debug build.
pub const MAX_DEPTH: usize = 128;

/// A way to write values as bytes and to read them back.
///
/// A codec is a cheap value: clients and routers hold one each. A body that is text or bytes as a whole
/// never comes to it, see [`encode`].
///
/// A codec of one's own is a public contract with the peer and stands before whatever the peer sends, so it
/// has to keep what the codecs here keep: no panic, no overflow of the stack and nothing allocated for a
/// length that is only announced.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a codec",
    label = "this is asked to encode and decode values",
    note = "`steeple::codec` has `Bincode`, `Json`, `Postcard` and `MsgPack`, each behind the feature of its name"
)]
pub trait Codec: Clone + Send + Sync + 'static {
    /// Its number on the wire; a codec of one's own takes one from 64 on.
    fn encoding(&self) -> Encoding;

    /// What its serializer and deserializer answer to serde's question of that name.
    fn is_human_readable(&self) -> bool;

    /// Appends `value` to `out`.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid), not sent, with the cause as its source. What was appended
    /// before is then left in `out`, for the caller to discard.
    fn encode<T: Serialize + ?Sized>(&self, value: &T, out: &mut BytesMut) -> Result<(), Error>;

    /// The value that all of `bytes` stand for; it may borrow from them.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid), maybe executed, with the cause as its source; also if bytes are
    /// left over.
    fn decode<'de, T: Deserialize<'de>>(&self, bytes: &'de [u8]) -> Result<T, Error>;
}
