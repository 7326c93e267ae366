//! Unix sockets: their names, and what becomes of their files.

use std::{
    env, fs, io,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use steeple::{
    Channel, Client, Endpoint, Error, Extensions, Kind, Request, Response, Server, ServerHandle,
    server::Accepted,
    transport::{Listener, UnixDialer, UnixListener},
};
use tokio::net::unix::UCred;
use tower::{Service, ServiceExt, service_fn};

use crate::{
    support::{call, echo},
    world::{soon, told},
};

/// A path that is nobody else's, and removed in the end.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        Self(env::temp_dir().join(format!("steeple-{}-{number}.sock", process::id())))
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        format!("unix://{}", self.0.display()).parse().unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

async fn serve(endpoint: &Endpoint) -> ServerHandle {
    let server = Server::bind(endpoint.as_str()).await.unwrap();
    let handle = server.handle();
    tokio::spawn(server.serve(echo()));
    handle
}

/// User and group of what this process makes.
fn owner() -> (u32, u32) {
    let place = Place::new();
    let made = fs::File::create_new(&place.0).unwrap().metadata().unwrap();
    (made.uid(), made.gid())
}

async fn bind_error(endpoint: &Endpoint) -> io::Error {
    UnixListener::bind(endpoint).await.unwrap_err()
}

#[tokio::test]
async fn a_server_on_a_path_is_called_by_it() {
    let place = Place::new();
    let server = serve(&place.endpoint()).await;
    assert_eq!(server.address().to_string(), place.endpoint().as_str());
    let client = Client::connect(place.endpoint()).await.unwrap();
    let answer: String = soon(client.clone().call("echo", "hello")).await.unwrap();
    assert_eq!(answer, "hello");
}

#[tokio::test]
async fn a_handler_and_what_makes_its_service_know_which_process_calls() {
    let place = Place::new();
    let of = |known: &Extensions| {
        let peer: &UCred = known.get().unwrap();
        (peer.pid(), peer.uid(), peer.gid())
    };
    let make = service_fn(move |accepted: Accepted| async move {
        let made = of(&accepted.extensions);
        Ok::<_, Error>(service_fn(move |request: Request| async move {
            assert_eq!(of(request.connection().unwrap()), made);
            Ok::<_, Error>(Response::new(format!("{made:?}").into()))
        }))
    });
    let unix = UnixListener::bind(&place.endpoint()).await.unwrap();
    let server = Server::new(unix);
    tokio::spawn(server.serve_with(make));
    let mut channel = Channel::connect(place.endpoint()).await.unwrap();
    let answer = soon(channel.call(call("who", ""))).await.unwrap();
    // Both sides are this process; what a file of its own belongs to is who it is.
    let (uid, gid) = owner();
    let expected = format!("{:?}", (Some(process::id() as i32), uid, gid));
    assert_eq!(answer.body().as_bytes(), &expected);

    // The same by the scheme alone.
    drop(channel);
    let place = Place::new();
    let server = Server::bind(place.endpoint()).await.unwrap();
    tokio::spawn(server.serve(service_fn(move |request: Request| async move {
        let (_, uid, _) = of(request.connection().unwrap());
        Ok::<_, Error>(Response::new(uid.to_string().into()))
    })));
    let mut channel = Channel::connect(place.endpoint()).await.unwrap();
    let answer = soon(channel.call(call("who", ""))).await.unwrap();
    assert_eq!(answer.body().as_bytes(), &uid.to_string());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_with_an_abstract_name_is_called_by_it_and_leaves_no_file() {
    let name = format!("unix://@steeple-{}", process::id());
    let server = serve(&name.parse().unwrap()).await;
    let mut channel = Channel::connect(server.address()).await.unwrap();
    soon(channel.call(call("echo", "hello"))).await.unwrap();
    assert_eq!(channel.address().unwrap().to_string(), name);
    let error = bind_error(&name.parse().unwrap()).await;
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn the_file_goes_with_the_listener() {
    let place = Place::new();
    let listener = UnixListener::bind(&place.endpoint()).await.unwrap();
    assert!(place.0.exists());
    drop(listener);
    assert!(!place.0.exists());
}

#[tokio::test]
async fn a_file_that_another_has_put_there_stays() {
    let place = Place::new();
    let listener = UnixListener::bind(&place.endpoint()).await.unwrap();
    fs::remove_file(&place.0).unwrap();
    fs::write(&place.0, "mine").unwrap();
    drop(listener);
    assert_eq!(fs::read(&place.0).unwrap(), b"mine");
}

#[tokio::test]
async fn a_socket_to_which_nobody_listens_is_replaced() {
    let place = Place::new();
    // As a process leaves it that was killed.
    drop(std::os::unix::net::UnixListener::bind(&place.0).unwrap());
    assert!(place.0.exists());
    let error = UnixDialer::new().oneshot(place.endpoint()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert!(
        error.to_string().contains(place.endpoint().as_str()),
        "{error}"
    );

    let server = serve(&place.endpoint()).await;
    let mut channel = Channel::connect(server.address()).await.unwrap();
    soon(channel.call(call("echo", "hello"))).await.unwrap();
}

#[tokio::test]
async fn a_socket_to_which_somebody_listens_is_an_error() {
    let place = Place::new();
    let server = serve(&place.endpoint()).await;
    let error = Server::bind(place.endpoint()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    let told = told(&error);
    assert!(told.contains("somebody listens there"), "{told}");
    let mut channel = Channel::connect(server.address()).await.unwrap();
    soon(channel.call(call("echo", "still here")))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let place = Place::new();
    fs::write(&place.0, "precious").unwrap();
    let error = told(&bind_error(&place.endpoint()).await);
    assert!(error.contains("not a socket"), "{error}");
    assert_eq!(fs::read(&place.0).unwrap(), b"precious");
}

#[tokio::test]
async fn a_path_that_is_too_long_is_named() {
    let long = format!("unix:///{}", "x".repeat(200)).parse().unwrap();
    let error = bind_error(&long).await;
    assert!(error.to_string().contains(long.as_str()), "{error}");
}

#[tokio::test]
async fn a_listener_that_was_bound_elsewhere_knows_where() {
    let place = Place::new();
    let inner = tokio::net::UnixListener::bind(&place.0).unwrap();
    let listener = UnixListener::from_tokio(inner).unwrap();
    assert_eq!(
        listener.local_address().to_string(),
        place.endpoint().as_str()
    );
    drop(listener);
    assert!(place.0.exists());
}
