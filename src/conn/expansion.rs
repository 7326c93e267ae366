//! The memory of bodies that came compressed.

use super::quota::Quota;
use crate::{
    Body, Error, Execution, Kind,
    wire::{Budget, compression},
};

/// What the decompressed bodies of requests may take while their handlers run. Those that wait stay as they came.
#[derive(Clone, Debug)]
pub(super) struct Expansion(Budget);

/// The memory of one body, until this is dropped.
#[derive(Debug)]
pub(super) struct Expanded {
    budget: Budget,
    bytes: usize,
}

/// The bytes of those of a server, or of a connection that has no [`Quota`]: as for messages that are not whole.
pub(super) const MAX_EXPANDED: usize = 1024 * 1024 * 1024;

impl Expansion {
    pub(super) fn new(quota: Option<&Quota>) -> Self {
        let shared = quota.map(|quota| quota.expanded().clone());
        Self(shared.unwrap_or_else(|| Budget::new(MAX_EXPANDED)))
    }

    /// Decompresses the body of a request, if it is compressed.
    ///
    /// # Errors
    /// Not started: there is no memory for it, or it is not what it announces.
    pub(super) fn expand(&self, body: &mut Body) -> Result<Option<Expanded>, Error> {
        if !body.is_compressed() {
            return Ok(None);
        }
        let bytes = compression::plain_len(body) as usize;
        if !self.0.take(bytes) {
            let limit = self.0.limit();
            let text = format!("decompressed requests exceed max_expanded ({limit} bytes)");
            return Err(refusal(Error::new(Kind::Overflow, text)));
        }
        let expanded = Expanded {
            budget: self.0.clone(),
            bytes,
        };
        *body = compression::decompress(std::mem::take(body)).map_err(refusal)?;
        Ok(Some(expanded))
    }
}

impl Drop for Expanded {
    fn drop(&mut self) {
        self.budget.give(self.bytes);
    }
}

fn refusal(error: Error) -> Error {
    error.with_execution(Execution::NotStarted)
}

#[cfg(all(test, feature = "lz4"))]
mod tests {
    use super::*;
    use crate::BodyCompression;

    fn compressed() -> Body {
        let body = Body::from(vec![0; 1000]).with_compression(BodyCompression::Lz4);
        compression::compress(body)
    }

    #[test]
    fn memory_is_held_as_long_as_the_handler_and_refused_above_the_limit() {
        let expansion = Expansion::new(Some(&Quota::new().max_expanded(1500)));
        let (mut first, mut second) = (compressed(), compressed());
        let held = expansion.expand(&mut first).unwrap();
        assert_eq!(first.as_bytes(), &[0; 1000][..]);
        let error = expansion.expand(&mut second).unwrap_err();
        assert_eq!(error.kind(), Kind::Overflow);
        assert_eq!(error.execution(), Execution::NotStarted);
        assert!(error.to_string().contains("max_expanded (1500 bytes)"));
        drop(held);
        assert!(expansion.expand(&mut second).unwrap().is_some());
    }

    #[test]
    fn what_cannot_be_decompressed_holds_nothing() {
        let expansion = Expansion::new(None);
        let mut damaged = compressed();
        damaged.replace_bytes(damaged.as_bytes().slice(..damaged.len() - 1));
        let error = expansion.expand(&mut damaged).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(error.execution(), Execution::NotStarted);
        assert_eq!(expansion.0.used(), 0);
    }

    #[test]
    fn a_plain_body_is_left_alone() {
        let mut body = Body::from("plain");
        assert!(Expansion::new(None).expand(&mut body).unwrap().is_none());
        assert_eq!(body.as_bytes(), "plain");
    }
}
