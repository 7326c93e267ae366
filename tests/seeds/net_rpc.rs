//! Arithmetic: a call that is waited for, one that is started, and one that fails.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use steeple::{Client, Error, Router};

use crate::printed;

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Args {
    a: i64,
    b: i64,
}

#[derive(Serialize, Deserialize)]
struct Quotient {
    quotient: i64,
    remainder: i64,
}

fn multiply(Args { a, b }: Args) -> i64 {
    a * b
}

fn divide(Args { a, b }: Args) -> Result<Quotient, Error> {
    if b == 0 {
        return Err(Error::application(1, "divide by zero"));
    }
    let (quotient, remainder) = (a / b, a % b);
    Ok(Quotient {
        quotient,
        remainder,
    })
}

#[tokio::test]
async fn arith_multiplies_and_divides_and_says_why_it_cannot() {
    let arith = Router::new()
        .route("Multiply", multiply)
        .route("Divide", divide);
    let router = Router::new().nest("Arith", arith);
    let lines = printed(router, async |mut client: Client| {
        let mut out = String::new();
        let Args { a, b } = Args { a: 7, b: 8 };
        let product = client.call::<i64>("Arith.Multiply", &Args { a, b }).await?;
        writeln!(out, "Arith: {a}*{b}={product}").unwrap();

        // It runs while the client calls another method.
        let division = client.call::<Quotient>("Arith.Divide", &Args { a: 23, b: 8 });
        let division = division.start()?;
        client.call::<i64>("Arith.Multiply", &Args { a, b }).await?;
        let Quotient {
            quotient,
            remainder,
        } = division.await?;
        writeln!(out, "Arith: 23/8={quotient} remainder {remainder}").unwrap();

        let division = client.call::<Quotient>("Arith.Divide", &Args { a: 1, b: 0 });
        if let Err(error) = division.await {
            writeln!(out, "arith error: {error}").unwrap();
        }
        Ok(out)
    });
    assert_eq!(
        lines.await,
        "Arith: 7*8=56\n\
         Arith: 23/8=2 remainder 7\n\
         arith error: divide by zero\n"
    );
}
