//! Counts the starts of programs from outside of their sandboxes: each program connects and says its name.

use std::{
    collections::HashMap,
    io::Read,
    net::{IpAddr, SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    time::Duration,
};

/// A listener that counts. It ends with the test's process.
#[derive(Debug, Clone)]
pub struct Counter {
    address: SocketAddr,
    starts: Arc<Mutex<HashMap<String, usize>>>,
}

impl Counter {
    /// Listens where programs reach it: `CARREL_E2E_HOST_ADDRESS` for pods, loopback otherwise.
    #[must_use]
    pub fn start() -> Self {
        let host: IpAddr = std::env::var("CARREL_E2E_HOST_ADDRESS")
            .map_or_else(|_| [127, 0, 0, 1].into(), |text| text.parse().expect("an address"));
        let listener = TcpListener::bind((host, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let starts: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let counted = Arc::clone(&starts);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(mut connection) = connection else { continue };
                let mut name = String::new();
                let _ = connection.set_read_timeout(Some(Duration::from_secs(5)));
                if connection.read_to_string(&mut name).is_ok() {
                    *counted.lock().expect("no panic while counting").entry(name).or_default() += 1;
                }
            }
        });
        Self { address, starts }
    }

    /// A program that says `name`, sleeps for so many seconds, and prints `done`.
    #[must_use]
    pub fn program(&self, name: &str, seconds: f64) -> String {
        format!(
            "import socket, time\n\
             with socket.create_connection(({:?}, {}), 10) as s: s.sendall({name:?}.encode())\n\
             time.sleep({seconds})\n\
             open('made.txt', 'w').write({name:?})\n\
             print('done')",
            self.address.ip().to_string(),
            self.address.port(),
        )
    }

    /// How often it was started.
    #[must_use]
    pub fn starts(&self, name: &str) -> usize {
        self.starts.lock().expect("no panic while counting").get(name).copied().unwrap_or(0)
    }
}
