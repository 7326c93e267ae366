//! The bytes that are written out in the specification of the native wire.

/// The two directions of its example: the side that dialled, and the one that accepted.
pub(crate) fn example() -> [Vec<u8>; 2] {
    let page = include_str!("../../src/wire/native/mod.rs");
    let (_, example) = page.split_once("//! # A call, byte by byte").unwrap();
    let blocks: Vec<_> = example.split("//! ```").collect();
    [bytes(blocks[1]), bytes(blocks[3])]
}

/// The hexadecimal bytes of these lines, each of which ends with two blanks and a comment.
fn bytes(block: &str) -> Vec<u8> {
    let lines = block.lines().filter_map(|line| line.strip_prefix("//! "));
    let code = lines.filter_map(|line| line.split("  ").next());
    let digits: Vec<_> = code
        .flat_map(str::chars)
        .filter_map(|digit| digit.to_digit(16))
        .collect();
    let pairs = digits.chunks_exact(2);
    pairs.map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}
