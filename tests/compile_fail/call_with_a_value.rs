//! Values are passed by reference.

use steeple::{Client, Error};

async fn add(mut client: Client) -> Result<i32, Error> {
    client.call("Add", (2, 3)).await
}

fn main() {
    let _ = add;
}
