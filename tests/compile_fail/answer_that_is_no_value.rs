//! An answer is decoded, so it has to be something that can be.

use steeple::{Client, Error};

struct Sum(#[expect(dead_code)] i32);

async fn add(mut client: Client) -> Result<Sum, Error> {
    client.call("Add", &(2, 3)).await
}

fn main() {
    let _ = add;
}
