//! Free ports, kept for the stand while it runs.
use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Result, bail};
use socket2::{Domain, Protocol, Socket, Type};

/// Ports of FHIR endpoints lie below this: peers refuse Endpoint addresses with longer ones.
const ENDPOINT_PORTS: std::ops::Range<u16> = 4000..10_000;

/// A port that nobody else gets while this value lives. The socket is bound but does not listen, so
/// gateways that share ports can listen on it, and no one else's bind succeeds.
#[derive(Debug)]
pub struct Reserved {
    /// The port on the loopback address.
    pub port: u16,
    _socket: Socket,
}

/// Reserves a port for an endpoint.
pub fn endpoint() -> Result<Reserved> {
    let width = u32::from(ENDPOINT_PORTS.end - ENDPOINT_PORTS.start);
    // Parallel stands start their search at different places.
    let offset = rand::random::<u32>() % width;
    for step in 0..width {
        let position = (offset + step) % width;
        let Ok(position) = u16::try_from(position) else { continue };
        if let Ok(socket) = reserve(ENDPOINT_PORTS.start + position) {
            return Ok(Reserved { port: ENDPOINT_PORTS.start + position, _socket: socket });
        }
    }
    bail!("no free port between {} and {}", ENDPOINT_PORTS.start, ENDPOINT_PORTS.end)
}

fn reserve(port: u16) -> std::io::Result<Socket> {
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    // A first bind without port sharing proves that nobody, sharing or not, has the port.
    Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?.bind(&address.into())?;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A free port for a server that cannot share ports; it may be lost to another program before use.
pub fn any() -> Result<u16> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
