//! The quick start: an echo, within a deadline.

use std::{fmt::Write, time::Duration};

use steeple::{Client, Router};

use crate::printed;

#[tokio::test]
async fn the_quick_start_prints_the_answer_to_its_call() {
    let router = Router::new().route("/echo", |text: String| text);
    let lines = printed(router, async |mut client: Client| {
        let answer = client.call::<String>("/echo", "hello");
        let answer = answer.timeout(Duration::from_secs(5)).await?;
        let mut out = String::new();
        writeln!(out, "Call Response: {answer:?}").unwrap();
        Ok(out)
    });
    assert_eq!(lines.await, "Call Response: \"hello\"\n");
}
