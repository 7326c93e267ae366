//! Blocks of LZ4.

use lz4_flex::block;

use crate::wire::numbers::compression::PREFIX;

/// The compressed bytes behind room for the prefix, if all of that is shorter than what is given.
pub(super) fn compress(plain: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = vec![0; PREFIX + block::get_maximum_output_size(plain.len())];
    let len = PREFIX + block::compress_into(plain, &mut bytes[PREFIX..]).ok()?;
    bytes.truncate(len);
    bytes.shrink_to_fit();
    (len < plain.len()).then_some(bytes)
}

/// The plain bytes, of which there are at most `len`.
pub(super) fn decompress(bytes: &[u8], len: usize) -> Result<Vec<u8>, String> {
    let mut plain = vec![0; len];
    let given = block::decompress_into(bytes, &mut plain);
    let given = given.map_err(|error| format!("a body cannot be decompressed by LZ4: {error}"))?;
    plain.truncate(given);
    Ok(plain)
}
