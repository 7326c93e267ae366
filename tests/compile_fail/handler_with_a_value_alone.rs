//! A handler that returns a value of its own without a `Result` or a `Reply`.

use serde::Serialize;
use steeple::Router;

#[derive(Serialize)]
struct User;

async fn user(_id: u64) -> User {
    User
}

fn main() {
    drop(Router::<()>::new().route("User", user));
}
