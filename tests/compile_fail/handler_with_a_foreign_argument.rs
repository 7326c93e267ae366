//! A handler whose argument is neither found in a request nor decoded.

use steeple::Router;

struct Connection;

async fn handle(_connection: Connection, _id: u64) {}

fn main() {
    drop(Router::<()>::new().route("Handle", handle));
}
