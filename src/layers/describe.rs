//! What the log of a call says of its message.

use steeple_layers::log::Describe;

use crate::{Address, Body, Request, Response};

/// Adds the caller's address, on a server, and the bytes of both bodies to a
/// [`LogLayer`](super::LogLayer).
#[derive(Clone, Copy, Debug, Default)]
pub struct PeerAndSizes;

impl Describe<Request<Body>, Response<Body>> for PeerAndSizes {
    type Peer = Address;

    fn peer(&self, request: &Request<Body>) -> Option<Address> {
        request.connection()?.get::<Address>().cloned()
    }

    fn request_bytes(&self, request: &Request<Body>) -> Option<usize> {
        Some(request.body().as_bytes().len())
    }

    fn response_bytes(&self, response: &Response<Body>) -> Option<usize> {
        Some(response.body().as_bytes().len())
    }
}
