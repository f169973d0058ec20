//! A small real module in Rust: greets the client, reads its name from the first line, asks the user
//! map for its server, connects and relays. Copy it, rename it, and change the hooks. They are those of
//! rum::Module, which says when each is called; the contract below it is rum/module.h.
#![forbid(unsafe_code)]
use rum::{
    text, Breach, Error, Level, Lookup, Metric, Opening, Opt, Reason, Session, Side, Text, Values,
};

const MAX_NAME: usize = 64; // of a name, in bytes; what a client sends always has a bound
const MAX_BANNER: usize = 254;
const CLIENTS: u32 = 0; // the index in METRICS

/// The options in the form that sessions use; a reload makes a new one.
struct Config {
    banner: Vec<u8>,
}

/// What belongs to one session.
struct Login {
    opened: u64,
    name: Vec<u8>, // empty until it is known
}

/// What a first line means. Pure, so that it can be tested without rum.
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
        let _ = s.send(Side::Client, words); // a client that has gone need not hear it
        s.close(reason, "");
    }

    /// To the server of the map, or for those that it does not know to the default destination (-d),
    /// which is what an empty text means.
    fn connect(&mut self, s: &Session, record: &[u8], server: &[u8]) {
        // The rules and limits of the user, which rum reads out of the record.
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
    /// What the user may set. The name starts with the module's; rum checks the type.
    const OPTIONS: &'static [Opt] = &[Opt::text(
        text!("greeting-text"),
        text!("TEXT"),
        text!("The line that every client is greeted with"),
    )
    .or(text!("hello, who are you?"))];
    /// What is counted: rum_greeting_clients_total in /metrics.
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

    // [worker] A client is there. What is sent leaves when the hook has returned.
    fn open(s: &Session, with: Opening<'_, Self>) -> Result<Self, Error> {
        s.send(Side::Client, &with.config.banner)?;
        Ok(Login { opened: rum::now(), name: Vec::new() })
    }

    // [worker] All bytes not consumed so far come again, more of them each time: 0 means "wait".
    fn client_data(&mut self, s: &Session, bytes: &[u8]) -> Result<usize, Breach> {
        if !self.name.is_empty() {
            return Ok(0); // what follows the name is for the server
        }
        let (name, consumed) = match parse_line(bytes) {
            Line::Incomplete => return Ok(0),
            Line::Bad => return Err(Breach), // rum ends the session
            Line::Name { name, consumed } => (name, consumed),
        };
        self.name = name.to_vec();
        let _ = s.identify(name); // in the log line from here on
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
            let _ = s.relay(); // the bytes flow unseen, those behind the line included
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
