//! What belongs to a whole process, in one of its own: its environment, its default provider.

use std::{env, fs, path::PathBuf, process, process::Command};

use steeple::{
    Client, Server,
    transport::{TlsClient, TlsServer},
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

use crate::{
    certificates::Authority,
    support::echo,
    world::{soon, told},
};

/// Says to a process that it is the one of its own.
const ALONE: &str = "STEEPLE_TEST_ALONE";

/// Whether this is that process. Otherwise it is made, to run only this test, and has to pass it.
fn is_alone(test: &str, environment: &[(&str, &str)]) -> bool {
    if env::var_os(ALONE).is_some() {
        return true;
    }
    let this = env::current_exe().unwrap();
    let child = Command::new(this)
        .args(["--exact", test])
        .env(ALONE, "1")
        .env_remove("SSL_CERT_DIR")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    false
}

/// A server, and the certificate of the authority that vouches for it.
async fn serve() -> (String, String) {
    let authority = Authority::new();
    let tls = TlsServer::new(authority.identity(&["localhost"])).unwrap();
    let server = Server::new(tls.bind("tls://localhost:0").await.unwrap()).spawn(echo());
    let address = server.address().to_string();
    let port = address.rsplit_once(':').unwrap().1;
    (format!("tls://localhost:{port}"), authority.pem())
}

/// A file for this test, by whichever process.
fn file(name: &str) -> PathBuf {
    env::temp_dir().join(format!("steeple-{}-{name}.pem", process::id()))
}

#[tokio::test]
async fn a_client_trusts_whom_the_system_trusts() {
    let path = file("trusted");
    let name = path.to_str().unwrap();
    let test = "alone::a_client_trusts_whom_the_system_trusts";
    if !is_alone(test, &[("SSL_CERT_FILE", name)]) {
        let _ = fs::remove_file(&path);
        return;
    }
    let path = env::var("SSL_CERT_FILE").unwrap();
    let (trusted, certificate) = serve().await;
    fs::write(path, certificate).unwrap();
    let mut client = soon(Client::connect(&*trusted)).await.unwrap();
    let answer: String = soon(client.call("echo", "hello")).await.unwrap();
    assert_eq!(answer, "hello");

    let (unknown, _) = serve().await;
    let error = soon(Client::connect(&*unknown)).await.unwrap_err();
    assert!(
        told(&error).contains("not trusted here"),
        "{}",
        told(&error)
    );
}

#[tokio::test]
async fn a_system_that_trusts_nobody_is_an_error_that_says_so() {
    let test = "alone::a_system_that_trusts_nobody_is_an_error_that_says_so";
    let nowhere = file("nowhere");
    if !is_alone(test, &[("SSL_CERT_FILE", nowhere.to_str().unwrap())]) {
        return;
    }
    let error = TlsClient::system().await.unwrap_err();
    assert!(
        error.to_string().contains("no trusted authorities"),
        "{error}"
    );
    let (endpoint, _) = serve().await;
    let error = soon(Client::connect(&*endpoint)).await.unwrap_err();
    assert!(
        told(&error).contains("no trusted authorities"),
        "{}",
        told(&error)
    );
}

#[tokio::test]
async fn the_default_provider_of_the_process_is_not_asked() {
    let test = "alone::the_default_provider_of_the_process_is_not_asked";
    let trusted = file("provider");
    if !is_alone(test, &[("SSL_CERT_FILE", trusted.to_str().unwrap())]) {
        let _ = fs::remove_file(&trusted);
        return;
    }
    // With this one, nobody could say a word.
    let mute = CryptoProvider {
        cipher_suites: Vec::new(),
        kx_groups: Vec::new(),
        ..ring::default_provider()
    };
    mute.install_default().unwrap();
    let (endpoint, certificate) = serve().await;
    fs::write(env::var("SSL_CERT_FILE").unwrap(), certificate).unwrap();
    let mut client = soon(Client::connect(&*endpoint)).await.unwrap();
    let answer: String = soon(client.call("echo", "hello")).await.unwrap();
    assert_eq!(answer, "hello");
}
