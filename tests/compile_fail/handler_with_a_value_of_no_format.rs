//! A handler whose answer cannot be serialised.

use steeple::{Error, Router};

struct Socket;

async fn open(_id: u64) -> Result<Socket, Error> {
    Ok(Socket)
}

fn main() {
    drop(Router::<()>::new().route("Open", open));
}
