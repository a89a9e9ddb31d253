//! Networks: what containers reach, by which names, and who reaches them.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use takelage_engine::{Container, ContainerSpec, Engine, EngineError, Network};

use crate::base::{Bench, say};

/// A container in the private network `name`, called `hostname`.
pub(crate) fn member<E: Engine>(bench: &Bench<E>, name: &str, hostname: &str) -> ContainerSpec {
    ContainerSpec {
        network: Network::Private(name.to_owned()),
        hostname: Some(hostname.to_owned()),
        ..bench.spec()
    }
}

/// A name for a network that nothing else has.
pub(crate) fn private<E: Engine>(bench: &Bench<E>) -> String {
    format!("{}-net", bench.spec().name)
}

/// Whether the engine has networks of their own. One that has none says so.
async fn has_private<E: Engine>(bench: &Bench<E>) -> bool {
    let has = bench.engine.capabilities().private_networks;
    if !has {
        let error = bench.engine.create(&member(bench, &private(bench), "web")).await.err().unwrap();
        assert!(matches!(error, EngineError::Unsupported { .. }), "{error:?}");
    }
    has
}

/// Has a container serve its host name on port 80.
async fn serve(container: &impl Container) {
    say(container, "hostname > /srv/name && busybox httpd -p 80 -h /srv").await;
}

/// The command that says who answers at port `port` of `host`. Of the programs of a static `busybox`, not all can look
/// up names.
fn asking(host: &str, port: u16) -> String {
    format!("printf 'GET /name HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 5 {host} {port} | busybox tail -n 1")
}

/// Says who answers at `host`.
async fn ask(container: &impl Container, host: &str) -> String {
    say(container, &asking(host, 80)).await
}

/// Says whether `who` answers at `host` each time of three. Docker takes the rule that keeps networks apart out and puts it
/// in again whenever somebody makes a network, and lets through what comes in between.
async fn answers_thrice(container: &impl Container, host: &str, who: &str) -> bool {
    for _ in 0..3 {
        // The same address may be its own there.
        if ask(container, host).await != who {
            return false;
        }
    }
    true
}

/// Returns the first address of a container that is not of its loopback device.
async fn address(container: &impl Container) -> String {
    say(
        container,
        "busybox ip -4 -o addr show scope global | busybox awk '{sub(\"/.*\", \"\", $4); print $4}'",
    )
    .await
}

/// Returns the address that the host has for others. Nothing is sent.
fn host_address() -> IpAddr {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.connect((Ipv4Addr::new(192, 0, 2, 254), 9)).unwrap();
    socket.local_addr().unwrap().ip()
}

/// Has the host answer one request. Returns the port.
fn serve_once(address: IpAddr) -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nfrom outside").unwrap();
    });
    (port, served)
}

pub(crate) async fn a_private_network_reaches_the_outside<E: Engine>(bench: Bench<E>) {
    if !has_private(&bench).await {
        return;
    }
    let address = host_address();
    let (port, served) = serve_once(address);
    bench
        .with(&member(&bench, &private(&bench), "web"), async |container| {
            assert_eq!(say(&container, "ls /sys/class/net").await, "eth0\nlo");
            let answer = say(&container, &asking(&address.to_string(), port)).await;
            assert_eq!(answer, "from outside");
            assert!(say(&container, "cat /etc/resolv.conf").await.contains("nameserver"));
        })
        .await;
    served.join().unwrap();
}

pub(crate) async fn the_host_has_a_name<E: Engine>(bench: Bench<E>) {
    let mut networks = vec![Network::Default];
    if bench.engine.capabilities().private_networks {
        networks.push(Network::Private(private(&bench)));
    }
    for network in networks {
        let (port, served) = serve_once(Ipv4Addr::UNSPECIFIED.into());
        let spec = ContainerSpec { network, hosts: vec!["pier:host-gateway".to_owned()], ..bench.spec() };
        bench
            .with(&spec, async |container| {
                assert_eq!(say(&container, &asking("pier", port)).await, "from outside");
            })
            .await;
        served.join().unwrap();
    }
    let wrong = ContainerSpec { hosts: vec!["pier:nowhere".to_owned()], ..bench.spec() };
    let error = bench.engine.create(&wrong).await.err().unwrap();
    assert!(format!("{error:?}").contains("nowhere"), "{error:?}");
}

pub(crate) async fn containers_of_a_private_network_find_each_other<E: Engine>(bench: Bench<E>) {
    if !has_private(&bench).await {
        return;
    }
    let network = private(&bench);
    let web = member(&bench, &network, "web");
    let db = member(&bench, &network, "db");
    bench
        .with(&web, async |one| {
            serve(&one).await;
            bench
                .with(&db, async |two| {
                    serve(&two).await;
                    for name in ["web", web.name.as_str()] {
                        assert_eq!(ask(&two, name).await, "web");
                    }
                    // Who came first knows who came later.
                    for name in ["db", db.name.as_str()] {
                        assert_eq!(ask(&one, name).await, "db");
                    }
                    assert_eq!(ask(&one, "web").await, "web");
                    two.stop(Duration::ZERO).await.unwrap();
                    two.start().await.unwrap();
                    serve(&two).await;
                    assert_eq!((ask(&one, "db").await, ask(&two, "web").await), ("db".into(), "web".into()));
                })
                .await;
            assert_eq!(ask(&one, "db").await, "");
        })
        .await;
}

pub(crate) async fn private_networks_do_not_see_each_other<E: Engine>(bench: Bench<E>) {
    if !has_private(&bench).await {
        return;
    }
    let (one, other) = (private(&bench), private(&bench));
    bench
        .with(&member(&bench, &one, "web"), async |web| {
            serve(&web).await;
            let web_address = address(&web).await;
            bench
                .with(&member(&bench, &other, "eve"), async |eve| {
                    serve(&eve).await;
                    for host in ["web", web_address.as_str()] {
                        assert!(!answers_thrice(&eve, host, "web").await, "{host}");
                    }
                    assert_eq!(ask(&web, "web").await, "web");
                })
                .await;
        })
        .await;
}

/// Publishes port 80 on a free port of the host. The container is made anew if somebody else was faster.
async fn publishing<E: Engine>(bench: &Bench<E>, network: Network) -> (E::Container, u16) {
    for _ in 0..5 {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let ports = vec![format!("127.0.0.1:{port}:80"), format!("127.0.0.1:{port}:80/udp")];
        let spec =
            ContainerSpec { ports, network: network.clone(), hostname: Some("web".into()), ..bench.spec() };
        if let Ok(container) = bench.engine.create(&spec).await {
            return (container, port);
        }
    }
    panic!("no port can be published");
}

pub(crate) async fn a_published_port_answers_until_the_end<E: Engine>(bench: Bench<E>) {
    if !has_private(&bench).await {
        return;
    }
    for network in [Network::Default, Network::Private(private(&bench))] {
        let (container, port) = publishing(&bench, network).await;
        let answered = async {
            serve(&container).await;
            tokio::task::spawn_blocking(move || {
                let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
                stream.set_read_timeout(Some(Duration::from_secs(20)))?;
                stream.write_all(b"GET /name HTTP/1.0\r\n\r\n")?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).map(|_| answer)
            })
            .await
            .unwrap()
        }
        .await;
        let taken = ContainerSpec { ports: vec![format!("127.0.0.1:{port}:80")], ..bench.spec() };
        let second = bench.engine.create(&taken).await;
        container.remove().await.unwrap();
        assert!(answered.unwrap().ends_with("web\n"));
        let error = second.err().unwrap();
        assert!(error.to_string().contains(&port.to_string()), "{error}");
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
        assert!(bench.engine.containers(&taken.labels).await.unwrap().is_empty());
    }
}

pub(crate) async fn without_a_network_there_is_the_loopback_device<E: Engine>(bench: Bench<E>) {
    let spec = ContainerSpec { network: Network::None, ..bench.spec() };
    bench
        .with(&spec, async |container| {
            assert_eq!(say(&container, "ls /sys/class/net").await, "lo");
            serve(&container).await;
            assert_eq!(ask(&container, "127.0.0.1").await, say(&container, "hostname").await);
        })
        .await;
}

pub(crate) async fn what_is_no_port_is_refused<E: Engine>(bench: Bench<E>) {
    let spec = ContainerSpec { ports: vec!["80:".to_owned()], ..bench.spec() };
    let error = bench.engine.create(&spec).await.err().unwrap();
    assert!(
        matches!(&error, EngineError::Unsupported { reason, .. } if reason.contains("`80:`")),
        "{error:?}"
    );
}
