//! A handler of two values: a call carries one, which may be a tuple.

use steeple::Router;

fn add(a: i64, b: i64) -> i64 {
    a + b
}

fn main() {
    drop(Router::<()>::new().route("Add", add));
}
