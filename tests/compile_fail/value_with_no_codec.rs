//! A value encoded by something that is not a codec.

use steeple::{
    Error,
    codec::{Arena, encode},
};

struct NotACodec;

fn run() -> Result<(), Error> {
    encode(&NotACodec, &7u32, &mut Arena::new())?;
    Ok(())
}

fn main() {
    drop(run());
}
