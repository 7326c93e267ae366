//! In the place of an algorithm whose feature is off.

pub(super) fn compress(_: &[u8]) -> Option<Vec<u8>> {
    None
}

pub(super) fn decompress(_: &[u8], _: usize) -> Result<Vec<u8>, String> {
    Err("the feature of this compression is off".into())
}
