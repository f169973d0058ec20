//! Routes POP3 by user name: USER and PASS, or AUTH PLAIN, on a plain connection or after STLS (RFC
//! 1939, 2449, 2595, 5034). Asks the user map for the user's server, lets it check the password, and
//! then relays. Read client_data(), login(), upstream_line() in this order.
//!
//! The server receives what this module parsed, never the client's own bytes: both thus agree on the
//! user whose rules and limits rum has checked.
#![forbid(unsafe_code)]
use rum::{
    text, Breach, Error, Lookup, Opening, Opt, Probe, Reason, Refused, Resumed, Session, Side,
    Text, Timer, TlsMode, Values,
};

const LINE_MOST: usize = 1024; // of a command or an answer before the login; RFC 5034 wants 255
const ERRORS_MOST: u32 = 10;

// dovecot's text, for unknown users, too: it does not reveal which users exist.
const WRONG: &str = "-ERR [AUTH] Authentication failed.\r\n";
const IN_USE: &str = "-ERR [IN-USE] Too many sessions or logins of this user.\r\n";
const BLOCKED: &str = "-ERR [SYS/TEMP] Too many failed logins, try again later.\r\n";
const LATER: &str = "-ERR [SYS/TEMP] The mailbox is not available, try again later.\r\n";

/// What the session waits for.
#[derive(Clone, Copy, Default, PartialEq)]
enum Step {
    #[default]
    Command, // the client's
    Sasl,      // the client's response to AUTH PLAIN
    Map,       // the answer of the map, or of rum's limits
    Greeting,  // the server's
    Stls,      // the server's answer to STLS, and the handshake
    User,      // the server's answer to USER
    Challenge, // the server's answer to AUTH PLAIN
    Verdict,   // the server's reply to the login
    Bye,       // the server's answer to QUIT
    Delay,     // the delay of a wrong password
}

#[derive(Default)]
struct Pop3 {
    delay: u64, // milliseconds
    step: Step,
    errors: u32,
    user: String,
    password: String,
    sasl: bool, // by AUTH PLAIN
    record: Vec<u8>,
    server: Vec<u8>, // empty: the default destination
}

fn say(s: &Session, words: impl AsRef<[u8]>) {
    let _ = s.send(Side::Client, words); // fails only if the client has left
}

/// The first line of `bytes` without its end, and its size with it. None: it is incomplete.
fn line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Breach> {
    match bytes.iter().take(LINE_MOST).position(|&b| b == b'\n') {
        Some(end) => Ok(Some((bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]), end + 1))),
        None if bytes.len() >= LINE_MOST => Err(Breach),
        None => Ok(None),
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn to_base64(bytes: &[u8]) -> String {
    let digit = |word: u32, at: u32| DIGITS[(word >> (18 - 6 * at)) as usize & 63] as char;
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let word = (0..3).fold(0, |w, i| w << 8 | u32::from(*part.get(i).unwrap_or(&0)));
        text.extend((0..4).map(|at| if at as usize <= part.len() { digit(word, at) } else { '=' }));
    }
    text
}

/// None: not a result of to_base64().
fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for part in text.chunks(4) {
        let digits = part.iter().position(|&b| b == b'=').unwrap_or(part.len());
        let word = part.iter().take(digits).try_fold(0u32, |word, &b| {
            Some(word << 6 | DIGITS.iter().position(|&d| d == b)? as u32)
        })?;
        let word = word.checked_shl(6 * (4 - digits as u32))?;
        bytes.extend_from_slice(&word.to_be_bytes()[1..digits.max(1)]);
    }
    (to_base64(&bytes).as_bytes() == text).then_some(bytes)
}

/// Whether the text may be part of a line to the server. Names have no blanks: servers cut there.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.chars().any(|c| c.is_control() || c == ' ')
}
fn is_password(password: &str) -> bool {
    !password.is_empty() && !password.chars().any(|c| matches!(c, '\0' | '\r' | '\n'))
}

/// User and password of a response to AUTH PLAIN: [user] NUL user NUL password. To act for another
/// user is not supported.
fn plain(response: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8(from_base64(response)?).ok()?;
    let parts: Vec<&str> = text.split('\0').collect();
    match parts[..] {
        [as_user, user, password] if as_user.is_empty() || as_user == user => {
            Some((user.to_owned(), password.to_owned()))
        }
        _ => None,
    }
}

impl Pop3 {
    fn command(&mut self, s: &Session, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let plain = s.tls_mode(Side::Client) == TlsMode::Require && !s.tls_active(Side::Client);
        match (verb.to_ascii_uppercase().as_str(), rest) {
            ("CAPA", _) => say(s, self.capabilities(s, plain)),
            ("QUIT", _) => self.refuse(s, Reason::CLIENT_GONE, "+OK Bye.\r\n"),
            ("STLS", "") => match self.offers_tls(s) && s.start_tls(Side::Client, "").is_ok() {
                true => say(s, "+OK Begin TLS.\r\n"),
                false => self.error(s, "-ERR There is no TLS.\r\n"),
            },
            ("USER" | "PASS" | "AUTH", _) if plain => {
                self.error(s, "-ERR [AUTH] Say STLS first.\r\n")
            }
            ("USER", name) if is_name(name) => {
                self.user = name.to_owned();
                say(s, "+OK\r\n");
            }
            // The password is the rest of the line, blanks included.
            ("PASS", password) if !self.user.is_empty() && is_password(password) => {
                self.password = password.to_owned();
                self.login(s);
            }
            ("AUTH", "") => say(s, "+OK\r\nPLAIN\r\n.\r\n"),
            ("AUTH", how) if how.eq_ignore_ascii_case("PLAIN") => {
                self.step = Step::Sasl;
                say(s, "+ \r\n");
            }
            ("AUTH", how) if how.to_ascii_uppercase().starts_with("PLAIN ") => {
                self.login_plain(s, how[6..].as_bytes())
            }
            _ => self.error(s, "-ERR Log in first.\r\n"),
        }
    }
    fn error(&mut self, s: &Session, words: &str) {
        say(s, words);
        self.errors += 1;
        if self.errors >= ERRORS_MOST {
            s.close(Reason::CLIENT_PROTOCOL, "too many errors before the login");
        }
    }
    fn offers_tls(&self, s: &Session) -> bool {
        s.tls_mode(Side::Client) != TlsMode::Off && !s.tls_active(Side::Client)
    }
    fn capabilities(&self, s: &Session, plain_text: bool) -> String {
        let stls = if self.offers_tls(s) { "STLS\r\n" } else { "" };
        let login = if plain_text { "" } else { "USER\r\nSASL PLAIN\r\n" };
        let always = "+OK\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n";
        [always, login, stls, ".\r\n"].concat()
    }
    fn login_plain(&mut self, s: &Session, response: &[u8]) {
        self.step = Step::Command;
        match plain(response) {
            Some((user, password)) if is_name(&user) && is_password(&password) => {
                (self.user, self.password, self.sasl) = (user, password, true);
                self.login(s);
            }
            _ => self.error(s, "-ERR [AUTH] This is no response to AUTH PLAIN.\r\n"),
        }
    }
    /// From here on, the client's bytes wait for the server.
    fn login(&mut self, s: &Session) {
        self.step = Step::Map;
        self.user.make_ascii_lowercase(); // as dovecot does: case does not matter
        let _ = s.identify(&self.user);
        match s.lookup(&self.user) {
            Ok(()) => {}
            Err(Error::Unsupported) => self.admit(s), // no map: all to the default destination
            Err(_) => self.refuse(s, Reason::MAP_UNAVAILABLE, LATER),
        }
    }
    fn admit(&mut self, s: &Session) {
        if self.password.is_empty() {
            return self.connect(s); // a probe
        }
        match s.admit(&self.record).and_then(|()| s.try_login()) {
            Ok(()) => self.connect(s),
            Err(Refused::Again) => {} // paused; resumed() follows
            Err(Refused::Denied) => self.deny(s),
            Err(Refused::Limit) => self.refuse(s, Reason::LIMIT, IN_USE),
            Err(Refused::Blocked) => self.refuse(s, Reason::BLOCKED, BLOCKED),
        }
    }
    fn connect(&mut self, s: &Session) {
        self.step = Step::Greeting;
        match s.connect(&self.server) {
            Ok(()) => {}
            Err(Error::Unsupported) if self.server.is_empty() => self.deny(s), // an unknown user
            Err(_) => self.refuse(s, Reason::BAD_DESTINATION, LATER),
        }
    }
    fn refuse(&mut self, s: &Session, reason: Reason, words: &str) {
        say(s, words);
        let _ = s.send(Side::Upstream, "QUIT\r\n"); // if there is a server
        s.close(reason, "");
    }
    /// Sends a server's reply to a wrong password, after the delay of a server.
    fn deny(&mut self, s: &Session) {
        self.step = Step::Delay;
        let _ = s.timer(self.delay);
    }
    fn wants_tls(s: &Session) -> bool {
        let mode = s.tls_mode(Side::Upstream);
        let mirrored = mode != TlsMode::Mirror || s.tls_active(Side::Client);
        mode != TlsMode::Off && mirrored && !s.tls_active(Side::Upstream)
    }
    fn send_login(&mut self, s: &Session) {
        match self.user.as_str() {
            "" => self.ask(s, Step::Bye, "QUIT\r\n"), // a probe is for nobody
            _ if self.sasl => self.ask(s, Step::Challenge, "AUTH PLAIN\r\n"),
            user => self.ask(s, Step::User, &format!("USER {}\r\n", user)),
        }
    }
    fn ask(&mut self, s: &Session, step: Step, words: &str) {
        self.step = step;
        let _ = s.send(Side::Upstream, words);
    }
    /// Handles a line of the server. False: the line stays unconsumed, for the relay.
    fn upstream_line(&mut self, s: &Session, line: &[u8]) -> bool {
        let good = line.starts_with(b"+OK");
        match self.step {
            Step::Greeting if good && Pop3::wants_tls(s) => self.ask(s, Step::Stls, "STLS\r\n"),
            Step::Greeting if good => self.send_login(s),
            Step::Stls if good && s.start_tls(Side::Upstream, "").is_ok() => {}
            Step::Bye if good => s.close(Reason::PROBED, ""),
            Step::User if good => {
                self.ask(s, Step::Verdict, &format!("PASS {}\r\n", self.password))
            }
            Step::Challenge if line.starts_with(b"+") && !good => {
                let response = to_base64(format!("\0{}\0{}", self.user, self.password).as_bytes());
                self.ask(s, Step::Verdict, &(response + "\r\n"))
            }
            Step::Verdict if good => match s.confirm() {
                Ok(()) => return s.relay().is_err(), // passes on the answer and what follows it
                Err(refused) => self.refuse(s, refused.reason(), IN_USE),
            },
            Step::User | Step::Challenge | Step::Verdict if line.starts_with(b"-ERR") => {
                let busy = line.starts_with(b"-ERR [SYS/") || line.starts_with(b"-ERR [IN-USE]");
                if !busy {
                    s.login_failed();
                }
                self.refuse(s, Reason::UPSTREAM_DENIED, if busy { LATER } else { WRONG });
            }
            _ => self.refuse(s, Reason::UPSTREAM_PROTOCOL, LATER),
        }
        true
    }
}

impl rum::Module for Pop3 {
    const NAME: Text = text!("pop3");
    const VERSION: Text = text!("1.0");
    const SUMMARY: Text = text!("routes POP3 by user name");
    const OPTIONS: &'static [Opt] = &[Opt::duration(
        text!("pop3-failure-delay"),
        text!("TIME"),
        text!("How long an unknown user waits for the answer; as long as the servers take"),
    )
    .or(text!("2s"))];
    const PROBES: bool = true;
    type Config = u64;
    type Worker = ();

    fn config(values: &Values<'_>) -> Result<u64, String> {
        Ok(values.number("pop3-failure-delay").unwrap_or(0))
    }
    fn open(s: &Session, with: Opening<'_, Self>) -> Result<Self, Error> {
        s.send(Side::Client, "+OK POP3 ready.\r\n")?;
        Ok(Pop3 { delay: **with.config, ..Default::default() })
    }
    fn probe(s: &Session, probe: Probe<'_>, with: Opening<'_, Self>) -> Result<Self, Error> {
        let mut new = Pop3 { delay: **with.config, step: Step::Greeting, ..Default::default() };
        if probe.destination.is_none() {
            new.user = String::from_utf8_lossy(probe.user.unwrap_or(b"")).into();
            new.login(s);
        }
        Ok(new)
    }
    fn client_data(&mut self, s: &Session, bytes: &[u8]) -> Result<usize, Breach> {
        if self.step != Step::Command && self.step != Step::Sasl {
            return Ok(0); // for the server
        }
        let (line, consumed) = line(bytes)?.unwrap_or((b"", 0));
        match self.step {
            _ if consumed == 0 => {}
            Step::Sasl => self.login_plain(s, line), // "*" cancels; it is not base64
            _ => self.command(s, std::str::from_utf8(line).unwrap_or("")),
        }
        Ok(consumed)
    }
    fn looked_up(&mut self, s: &Session, answer: Lookup<'_>) {
        match answer {
            Lookup::Found(record) => {
                (self.record, self.server) = (record.0.to_vec(), record.destination().to_vec());
                if self.server.is_empty() {
                    return self.refuse(s, Reason::BAD_DESTINATION, LATER);
                }
                self.admit(s)
            }
            Lookup::NotFound => self.admit(s),
            Lookup::Unavailable => self.refuse(s, Reason::MAP_UNAVAILABLE, LATER),
        }
    }
    fn resumed(&mut self, s: &Session, _: Resumed) {
        self.admit(s);
    }
    fn timeout(&mut self, s: &Session, _: Timer) {
        s.login_failed();
        self.refuse(s, Reason::DENIED, WRONG);
    }
    fn tls_open(&mut self, s: &Session, side: Side, outcome: Result<(), Error>) {
        match (side, outcome) {
            (Side::Client, Ok(())) => self.user.clear(), // data from before TLS is not trusted
            (Side::Upstream, Ok(())) => self.send_login(s),
            _ => {} // the session ends
        }
    }
    fn upstream_open(&mut self, s: &Session, outcome: Result<(), Reason>) {
        outcome.unwrap_or_else(|_| say(s, LATER));
    }
    fn upstream_data(&mut self, s: &Session, bytes: &[u8]) -> Result<usize, Breach> {
        match line(bytes)? {
            Some((line, consumed)) if self.upstream_line(s, line) => Ok(consumed),
            _ => Ok(0),
        }
    }
    fn close(&mut self, s: &Session, reason: Reason) {
        if reason == Reason::LOGIN_TIMEOUT || reason == Reason::UPSTREAM_GONE {
            say(s, LATER);
        }
    }
    fn refusal(_: &u64, _: Reason) -> Vec<u8> {
        LATER.into()
    }
}

rum::module!(Pop3);

#[cfg(test)]
mod tests;
