//! A small real module in Rust: greets the client, reads its name from the first line, asks the user
//! map for its server, connects and relays. Copy it, rename it, and change the hooks. They are those of
//! rum::Module, which says when rum calls each; the contract below it is rum/module.h.
#![forbid(unsafe_code)]
use rum::{
    text, Breach, Error, Level, Lookup, Metric, Opening, Opt, Reason, Session, Side, Text, Values,
};

const MAX_NAME: usize = 64; // bytes; always limit what a client can send
const MAX_BANNER: usize = 254;
const CLIENTS: u32 = 0; // the index in METRICS

/// The options in the form that sessions use; a reload makes a new one.
struct Config {
    banner: Vec<u8>,
}

/// The state of one session.
struct Login {
    opened: u64,
    name: Vec<u8>, // empty until it is known
}

/// The meaning of a first line. Pure, so that tests need no rum.
#[derive(Debug, PartialEq)]
enum Line<'a> {
    Incomplete,
    Bad,
    Name { name: &'a [u8], consumed: usize },
}

fn parse_line(bytes: &[u8]) -> Line<'_> {
    let end = match bytes.iter().position(|&b| b == b'\n') {
        None if bytes.len() > MAX_NAME + 1 => return Line::Bad,
        None => return Line::Incomplete,
        Some(end) => end,
    };
    let name = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    if name.is_empty() || name.len() > MAX_NAME {
        return Line::Bad;
    }
    Line::Name { name, consumed: end + 1 }
}

impl Login {
    fn refuse(s: &Session, reason: Reason, words: &str) {
        let _ = s.send(Side::Client, words); // fails only if the client has left
        s.close(reason, "");
    }

    /// Connects to the user's server in the map. Empty, for unknown users, selects the default
    /// destination (-d).
    fn connect(&mut self, s: &Session, record: &[u8], server: &[u8]) {
        // Checks the user's rules and limits, which rum reads from the record.
        if let Err(refused) = s.admit(record) {
            return Login::refuse(s, refused.reason(), "you may not\r\n");
        }
        match s.connect(server) {
            Ok(()) => {}
            Err(Error::Unsupported) => s.close(Reason::NO_DESTINATION, ""),
            Err(_) => s.close(Reason::BAD_DESTINATION, ""),
        }
    }
}

impl rum::Module for Login {
    const NAME: Text = text!("greeting");
    const VERSION: Text = text!("1.0");
    const SUMMARY: Text = text!("greets the client, asks its name, relays to where the map says");
    /// Options. Each name starts with the module's; rum checks the type.
    const OPTIONS: &'static [Opt] = &[Opt::text(
        text!("greeting-text"),
        text!("TEXT"),
        text!("The line that every client is greeted with"),
    )
    .or(text!("hello, who are you?"))];
    /// Counters: rum_greeting_clients_total in /metrics.
    const METRICS: &'static [Metric] =
        &[Metric::new(text!("greeting_clients"), text!("Clients that told their name"))];
    type Config = Config;
    type Worker = ();

    // [main]
    fn config(values: &Values<'_>) -> Result<Config, String> {
        let mut banner = values.text("greeting-text").unwrap_or_default().to_vec();
        if banner.len() > MAX_BANNER {
            return Err(format!("the banner has more than {} bytes", MAX_BANNER));
        }
        banner.extend_from_slice(b"\r\n");
        Ok(Config { banner })
    }

    // [worker] A client has connected. rum sends the queued bytes after the hook has returned.
    fn open(s: &Session, with: Opening<'_, Self>) -> Result<Self, Error> {
        s.send(Side::Client, &with.config.banner)?;
        Ok(Login { opened: rum::now(), name: Vec::new() })
    }

    // [worker] Receives all bytes not yet consumed, again with each call: 0 means "wait for more".
    fn client_data(&mut self, s: &Session, bytes: &[u8]) -> Result<usize, Breach> {
        if !self.name.is_empty() {
            return Ok(0); // the bytes after the name are for the server
        }
        let (name, consumed) = match parse_line(bytes) {
            Line::Incomplete => return Ok(0),
            Line::Bad => return Err(Breach), // rum ends the session
            Line::Name { name, consumed } => (name, consumed),
        };
        self.name = name.to_vec();
        let _ = s.identify(name); // in the session's log line
        let _ = s.note("name_after_ms", (rum::now() - self.opened).to_string());
        s.count(CLIENTS, 1);
        match s.lookup(name) {
            Ok(()) => {}
            Err(Error::Unsupported) => self.connect(s, b"", b""), // started without a map
            Err(_) => s.close(Reason::MAP_UNAVAILABLE, ""),
        }
        Ok(consumed)
    }

    // [worker]
    fn looked_up(&mut self, s: &Session, answer: Lookup<'_>) {
        match answer {
            Lookup::Found(record) if record.destination().is_empty() => {
                s.log(Level::Warning, "a user of the map has no destination");
                s.close(Reason::BAD_DESTINATION, "");
            }
            Lookup::Found(record) => self.connect(s, record.0, record.destination()),
            Lookup::NotFound => self.connect(s, b"", b""),
            Lookup::Unavailable => s.close(Reason::MAP_UNAVAILABLE, ""),
        }
    }

    // [worker]
    fn upstream_open(&mut self, s: &Session, outcome: Result<(), Reason>) {
        if outcome.is_ok() {
            let _ = s.relay(); // rum relays all bytes, also those after the line
        }
    }
}

rum::module!(Login);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_the_end_of_the_line() {
        assert_eq!(parse_line(b"ali"), Line::Incomplete);
        assert_eq!(parse_line(&[b'a'; MAX_NAME + 1]), Line::Incomplete);
    }

    #[test]
    fn takes_the_name_and_leaves_what_follows() {
        assert_eq!(parse_line(b"alice\r\nmore"), Line::Name { name: b"alice", consumed: 7 });
    }

    #[test]
    fn refuses_a_name_that_is_empty_or_too_long() {
        assert_eq!(parse_line(b"\n"), Line::Bad);
        assert_eq!(parse_line(&[b'a'; MAX_NAME + 2]), Line::Bad);
    }
}
