//! The calls about one session, and what their answers mean.
use crate::ffi::*;
use crate::host::{call, host, value, write_log, Level, Record};
use std::any::Any;
use std::ffi::{c_void, CString};
use std::fmt;
use std::os::raw::c_char;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Upstream,
}

impl Side {
    pub(crate) fn number(self) -> u32 {
        match self {
            Side::Client => RUM_CLIENT,
            Side::Upstream => RUM_UPSTREAM,
        }
    }
    pub(crate) fn of(number: u32) -> Side {
        if number == RUM_CLIENT {
            Side::Client
        } else {
            Side::Upstream
        }
    }
}

/// Why a call did nothing: `RUM_E_...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    Argument,
    State,
    Limit,
    Memory,
    Unsupported,
    Failed,
    Again,
    Other(i32),
}

impl Error {
    pub(crate) fn from(status: i32) -> Error {
        match status {
            RUM_E_ARGUMENT => Error::Argument,
            RUM_E_STATE => Error::State,
            RUM_E_LIMIT => Error::Limit,
            RUM_E_MEMORY => Error::Memory,
            RUM_E_UNSUPPORTED => Error::Unsupported,
            RUM_E_FAILED => Error::Failed,
            RUM_E_AGAIN => Error::Again,
            other => Error::Other(other),
        }
    }
    pub(crate) fn of(status: i32) -> Result<(), Error> {
        if status == RUM_OK {
            Ok(())
        } else {
            Err(Error::from(status))
        }
    }
    /// Negative, whatever it is.
    pub(crate) fn status(self) -> i32 {
        match self {
            Error::Argument => RUM_E_ARGUMENT,
            Error::State => RUM_E_STATE,
            Error::Limit => RUM_E_LIMIT,
            Error::Memory => RUM_E_MEMORY,
            Error::Unsupported => RUM_E_UNSUPPORTED,
            Error::Failed => RUM_E_FAILED,
            Error::Again => RUM_E_AGAIN,
            Error::Other(status) if status < 0 => status,
            Error::Other(_) => RUM_E_FAILED,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Argument => "an argument is invalid",
            Error::State => "not now",
            Error::Limit => "a limit is reached",
            Error::Memory => "out of memory",
            Error::Unsupported => "this rum does not have it, or it is not configured",
            Error::Again => "the session is paused; ask again",
            Error::Failed | Error::Other(_) => "failed",
        })
    }
}

/// None for an empty value.
fn some(value: Result<Option<Vec<u8>>, Error>) -> Result<Option<Vec<u8>>, Error> {
    value.map(|bytes| bytes.filter(|bytes| !bytes.is_empty()))
}

impl std::error::Error for Error {}

/// Why a session ended: `RUM_CLOSE_...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason(pub u32);

macro_rules! reasons {
    ($($name:ident = $value:ident),* $(,)?) => {
        impl Reason { $(pub const $name: Reason = Reason($value);)* }
    };
}
reasons! {
    CLIENT = RUM_CLOSE_CLIENT, UPSTREAM = RUM_CLOSE_UPSTREAM,
    CLIENT_RESET = RUM_CLOSE_CLIENT_RESET, UPSTREAM_RESET = RUM_CLOSE_UPSTREAM_RESET,
    CLIENT_GONE = RUM_CLOSE_CLIENT_GONE, UPSTREAM_GONE = RUM_CLOSE_UPSTREAM_GONE,
    LOGIN_TIMEOUT = RUM_CLOSE_LOGIN_TIMEOUT, CONNECT_TIMEOUT = RUM_CLOSE_CONNECT_TIMEOUT,
    FIRST_BYTE_TIMEOUT = RUM_CLOSE_FIRST_BYTE_TIMEOUT, IDLE_TIMEOUT = RUM_CLOSE_IDLE_TIMEOUT,
    HALF_CLOSE_TIMEOUT = RUM_CLOSE_HALF_CLOSE_TIMEOUT,
    CONNECT_REFUSED = RUM_CLOSE_CONNECT_REFUSED, CONNECT_FAILED = RUM_CLOSE_CONNECT_FAILED,
    UNRESOLVED = RUM_CLOSE_UNRESOLVED, NO_DESTINATION = RUM_CLOSE_NO_DESTINATION,
    BAD_DESTINATION = RUM_CLOSE_BAD_DESTINATION, MAP_UNAVAILABLE = RUM_CLOSE_MAP_UNAVAILABLE,
    DENIED = RUM_CLOSE_DENIED, UPSTREAM_DENIED = RUM_CLOSE_UPSTREAM_DENIED,
    CLIENT_PROTOCOL = RUM_CLOSE_CLIENT_PROTOCOL, UPSTREAM_PROTOCOL = RUM_CLOSE_UPSTREAM_PROTOCOL,
    UNSUPPORTED = RUM_CLOSE_UNSUPPORTED, LIMIT = RUM_CLOSE_LIMIT,
    NO_RESOURCES = RUM_CLOSE_NO_RESOURCES, TLS = RUM_CLOSE_TLS, MODULE = RUM_CLOSE_MODULE,
    DRAIN = RUM_CLOSE_DRAIN, KILLED = RUM_CLOSE_KILLED, PROBED = RUM_CLOSE_PROBED,
    BLOCKED = RUM_CLOSE_BLOCKED, NOT_ALLOWED = RUM_CLOSE_NOT_ALLOWED,
    MAINTENANCE = RUM_CLOSE_MAINTENANCE,
}

/// Why a user may not log in, by what the client is to be told. See `rum_limits` in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Just what a wrong password is told, after the same time; `login_failed()`. Reasons that a later
    /// rum has are this as well, and so are errors.
    Denied,
    /// That a limit is reached: the user has too many sessions or logins.
    Limit,
    /// Too many logins have failed from the client's address.
    Blocked,
    /// Of `try_login()`: the session is paused; ask again when `resumed` is called.
    Again,
}

impl Refused {
    fn of(verdict: i32) -> Result<(), Refused> {
        match verdict {
            RUM_OK => Ok(()),
            RUM_REFUSED_CONNECTIONS | RUM_REFUSED_RATE => Err(Refused::Limit),
            RUM_REFUSED_BLOCKED => Err(Refused::Blocked),
            RUM_E_AGAIN => Err(Refused::Again),
            _ => Err(Refused::Denied),
        }
    }
    pub fn reason(self) -> Reason {
        match self {
            Refused::Limit => Reason::LIMIT,
            Refused::Blocked => Reason::BLOCKED,
            Refused::Denied | Refused::Again => Reason::DENIED,
        }
    }
}

/// What the operator wants of TLS for a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    Off,
    On,
    Require,
    Mirror,
    Verify,
}

/// The answer of the user map.
#[derive(Clone, Copy, Debug)]
pub enum Lookup<'a> {
    Found(Record<'a>),
    NotFound,
    /// The map could not be asked, which is not the same as not found.
    Unavailable,
}

/// What to do at the end of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    End,
    Keep,
}

/// A timer of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer(pub(crate) u64);

/// Ends a pause, on any thread and once. Dropped unused it resumes with `Error::Failed`.
#[derive(Debug)]
pub struct Ticket(u64);

impl Ticket {
    pub fn id(&self) -> u64 {
        self.0
    }
    /// [any] The hook `resumed` gets both; if the session has gone, the payload is dropped, on any
    /// thread.
    pub fn resume<P: Any + Send>(self, status: i32, payload: P) {
        let payload: Box<dyn Any + Send> = Box::new(payload);
        self.end(status, Some(payload));
        std::mem::forget(self);
    }
    fn end(&self, status: i32, payload: Option<Box<dyn Any + Send>>) {
        let resume = match host().ok().and_then(|h| h.calls.resume) {
            Some(resume) => resume,
            None => return,
        };
        let pointer = payload.map_or(std::ptr::null_mut(), |p| Box::into_raw(Box::new(p)));
        // SAFETY: rum hands the payload to the hook or to drop_payload(), once.
        unsafe { resume(self.0, status, pointer as *mut c_void, Some(drop_payload)) }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.end(RUM_E_FAILED, None);
    }
}

unsafe extern "C" fn drop_payload(payload: *mut c_void) {
    // SAFETY: made by Ticket::end(), or NULL.
    let payload = unsafe { take_payload(payload) };
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(payload)));
}

/// SAFETY: `payload` was made by Ticket::end() and is not used again, or is NULL.
pub(crate) unsafe fn take_payload(payload: *mut c_void) -> Option<Box<dyn Any + Send>> {
    // SAFETY: as said above.
    (!payload.is_null()).then(|| unsafe { *Box::from_raw(payload as *mut Box<dyn Any + Send>) })
}

/// How a pause has ended: what `Ticket::resume` was given. After `Refused::Again` there is no payload.
#[derive(Debug)]
pub struct Resumed {
    pub ticket: u64,
    pub status: i32,
    pub payload: Option<Box<dyn Any + Send>>,
}

/// One session, as long as a hook runs. [worker]
pub struct Session {
    raw: *mut rum_session,
}

impl Session {
    /// SAFETY: `raw` is what rum gave to the running hook, and the value does not outlive that.
    pub(crate) unsafe fn of(raw: *mut rum_session) -> Session {
        Session { raw }
    }

    /// Sends bytes to a side. Never blocks; they leave when the hook has returned.
    pub fn send(&self, side: Side, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
        let bytes = bytes.as_ref();
        // SAFETY: rum copies the bytes. So in all calls below.
        Error::of(unsafe {
            call!(calls.send)(self.raw, side.number(), bytes.as_ptr() as *const c_void, bytes.len())
        })
    }
    /// The next data hook of this side comes once `size` unconsumed bytes are there, or its end.
    pub fn need(&self, side: Side, size: usize) -> Result<(), Error> {
        Error::of(unsafe { call!(calls.need)(self.raw, side.number(), size) })
    }
    /// Passes the next `size` unconsumed bytes on unseen, those still to come included.
    pub fn forward(&self, from: Side, size: u64) -> Result<(), Error> {
        Error::of(unsafe { call!(calls.forward)(self.raw, from.number(), size) })
    }
    /// From here on both ways are rum's.
    pub fn relay(&self) -> Result<(), Error> {
        Error::of(unsafe { call!(calls.relay)(self.raw) })
    }
    /// Hands one way over, and goes on with the other.
    pub fn relay_from(&self, side: Side) -> Result<(), Error> {
        Error::of(unsafe { call!(calls.relay_from)(self.raw, side.number()) })
    }
    /// Takes that way back.
    pub fn take_back(&self, side: Side) -> Result<(), Error> {
        Error::of(unsafe { call!(calls.take_back)(self.raw, side.number()) })
    }
    /// Asks the user map; the hook `looked_up` brings the answer.
    pub fn lookup(&self, key: impl AsRef<[u8]>) -> Result<(), Error> {
        let key = key.as_ref();
        Error::of(unsafe {
            call!(calls.lookup)(self.raw, key.as_ptr() as *const c_void, key.len())
        })
    }
    /// Says who the client is: for the log, the statistics, and the rules and limits.
    pub fn identify(&self, user: impl AsRef<[u8]>) -> Result<(), Error> {
        let user = user.as_ref();
        Error::of(unsafe {
            call!(calls.identify)(self.raw, user.as_ptr() as *const c_void, user.len())
        })
    }
    /// Connects the upstream side; empty: to the default destination (-d). The hook `upstream_open`
    /// brings the outcome. With an upstream there, that one is given up for the new one.
    pub fn connect(&self, address: impl AsRef<[u8]>) -> Result<(), Error> {
        let address = address.as_ref();
        Error::of(unsafe {
            call!(calls.connect)(self.raw, address.as_ptr() as *const c_char, address.len())
        })
    }
    /// Turns a side to TLS: what the running data hook does not consume belongs to the handshake. On the
    /// upstream side `server_name` is verified and sent; empty: the destination's host.
    pub fn start_tls(&self, side: Side, server_name: &str) -> Result<(), Error> {
        let name = server_name.as_ptr() as *const c_char;
        Error::of(unsafe {
            call!(calls.start_tls)(self.raw, side.number(), name, server_name.len())
        })
    }
    /// Stops the data hooks until the ticket is used. None: a pause is out already.
    pub fn pause(&self) -> Option<Ticket> {
        let pause = host().ok()?.calls.pause?;
        Some(unsafe { pause(self.raw) }).filter(|&ticket| ticket != 0).map(Ticket)
    }
    /// Calls the hook `timeout` after that time. None: as many as may run already.
    pub fn timer(&self, milliseconds: u64) -> Option<Timer> {
        let timer = host().ok()?.calls.timer?;
        Some(unsafe { timer(self.raw, milliseconds) }).filter(|&ticket| ticket != 0).map(Timer)
    }
    /// The same in microseconds.
    pub fn timer_micros(&self, microseconds: u64) -> Option<Timer> {
        let timer = host().ok()?.clock.timer?;
        Some(unsafe { timer(self.raw, microseconds) }).filter(|&ticket| ticket != 0).map(Timer)
    }
    pub fn cancel(&self, timer: Timer) {
        if let Some(cancel) = host().ok().and_then(|h| h.calls.timer_cancel) {
            unsafe { cancel(self.raw, timer.0) }
        }
    }
    /// The address of a side as text.
    pub fn peer(&self, side: Side) -> String {
        let peer = match host().ok().and_then(|h| h.calls.peer) {
            Some(peer) => peer,
            None => return String::new(),
        };
        let mut text = vec![0u8; 160]; // a path of a unix socket has at most 107 bytes
                                       // SAFETY: as many bytes are written as there is room for.
        let size =
            unsafe { peer(self.raw, side.number(), text.as_mut_ptr() as *mut c_char, text.len()) };
        text.truncate(size.min(text.len() - 1));
        String::from_utf8_lossy(&text).into_owned()
    }
    /// Where the upstream is connected to, as `connect` takes it. Error::State: it is not connected.
    pub fn destination(&self) -> Result<Vec<u8>, Error> {
        let destination = call!(sessions.destination);
        // SAFETY: as many bytes are written as there is room for.
        let text = value(|room, size| unsafe { destination(self.raw, room as *mut c_char, size) })?;
        Ok(text.unwrap_or_default())
    }
    /// What this session relays is no login, such as a request to cancel what another one does.
    pub fn no_login(&self) -> Result<(), Error> {
        Error::of(unsafe { call!(sessions.no_login)(self.raw) })
    }
    /// Bytes that were sent and that the side's socket has not taken yet.
    pub fn waiting(&self, side: Side) -> u64 {
        let size = host().ok().and_then(|h| h.queue.size);
        size.map_or(0, |size| unsafe { size(self.raw, side.number()) })
    }
    /// Calls `drained` once, when at most `below` bytes wait for the side, or it takes none any more.
    pub fn wait_until_drained(&self, side: Side, below: u64) -> Result<(), Error> {
        Error::of(unsafe { call!(queue.r#await)(self.raw, side.number(), below) })
    }
    /// Adds `key=value` to the session's log line. Never a secret.
    pub fn note(&self, key: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
        let key = CString::new(key).map_err(|_| Error::Argument)?;
        let value = value.as_ref();
        Error::of(unsafe {
            call!(calls.note)(self.raw, key.as_ptr(), value.as_ptr() as *const c_void, value.len())
        })
    }
    /// One line to the log, with the number of the session. Never a secret.
    pub fn log(&self, level: Level, text: &str) {
        write_log(self.raw, level, text)
    }
    /// Adds to a counter of the module's table.
    pub fn count(&self, metric: u32, delta: u64) {
        if let Some(add) = host().ok().and_then(|h| h.calls.metric_add) {
            unsafe { add(self.raw, metric, delta) }
        }
    }
    /// Ends the session when the hook has returned. `text` is for its log line, and may be empty.
    pub fn close(&self, reason: Reason, text: &str) {
        if let Some(close) = host().ok().and_then(|h| h.calls.close) {
            unsafe { close(self.raw, reason.0, text.as_ptr() as *const c_char, text.len()) }
        }
    }

    /// What the operator wants of TLS for a side; Off also where there is no certificate.
    pub fn tls_mode(&self, side: Side) -> TlsMode {
        let mode = host().ok().and_then(|h| h.tls.mode);
        match mode.map(|mode| unsafe { mode(self.raw, side.number()) }) {
            Some(RUM_TLS_ON) => TlsMode::On,
            Some(RUM_TLS_REQUIRE) => TlsMode::Require,
            Some(RUM_TLS_MIRROR) => TlsMode::Mirror,
            Some(RUM_TLS_VERIFY) => TlsMode::Verify,
            _ => TlsMode::Off,
        }
    }
    /// The side is TLS now, or begins to be.
    pub fn tls_active(&self, side: Side) -> bool {
        let active = host().ok().and_then(|h| h.tls.active);
        active.map_or(false, |active| unsafe { active(self.raw, side.number()) } == 1)
    }
    /// SHA-256 of the certificate that the client side shows.
    pub fn fingerprint(&self) -> Result<[u8; 32], Error> {
        let mut digest = [0u8; 32];
        Error::of(unsafe { call!(tls.fingerprint)(self.raw, digest.as_mut_ptr()) })?;
        Ok(digest)
    }
    /// Before `start_tls`: the protocols (ALPN) to offer, or of which the first that the client offers,
    /// too, is selected.
    pub fn set_alpn(&self, side: Side, protocols: &[&[u8]]) -> Result<(), Error> {
        let mut list = Vec::new();
        for name in protocols {
            list.push(u8::try_from(name.len()).map_err(|_| Error::Argument)?);
            list.extend_from_slice(name);
        }
        Error::of(unsafe {
            let p = list.as_ptr() as *const c_void;
            call!(tls.set_alpn)(self.raw, side.number(), p, list.len())
        })
    }
    /// The protocol that was agreed on; None: the two have none in common, or one of them named none.
    pub fn alpn(&self, side: Side) -> Result<Option<Vec<u8>>, Error> {
        let call = call!(tls.alpn);
        // SAFETY: of this and the calls below: as many bytes are written as there is room for.
        some(value(|room, size| unsafe {
            call(self.raw, side.number(), room as *mut c_char, size)
        }))
    }
    /// The protocols that the client has offered.
    pub fn offered_alpn(&self) -> Result<Vec<Vec<u8>>, Error> {
        let call = call!(tls.offered_alpn);
        let list = some(value(|room, size| unsafe { call(self.raw, room as *mut u8, size) }))?;
        let (mut names, mut rest) = (Vec::new(), &list.unwrap_or_default()[..]);
        while let Some((&size, more)) = rest.split_first() {
            let (name, after) = more.split_at((size as usize).min(more.len()));
            names.push(name.to_vec());
            rest = after;
        }
        Ok(names)
    }
    /// The name (SNI) that the client asked for; nobody has verified it.
    pub fn server_name(&self) -> Result<Option<Vec<u8>>, Error> {
        let call = call!(tls.server_name);
        some(value(|room, size| unsafe { call(self.raw, room as *mut c_char, size) }))
    }
    /// 0x0303 is TLS 1.2, 0x0304 is TLS 1.3.
    pub fn tls_version(&self, side: Side) -> Result<u16, Error> {
        let version = unsafe { call!(tls.version)(self.raw, side.number()) };
        u16::try_from(version).map_err(|_| Error::from(version))
    }
    /// The certificate of the side's peer in DER form.
    pub fn certificate(&self, side: Side) -> Result<Option<Vec<u8>>, Error> {
        let call = call!(tls.certificate);
        some(value(|room, size| unsafe { call(self.raw, side.number(), room, size) }))
    }
    /// The channel binding tls-server-end-point of the side. Error::Unsupported: it has none.
    pub fn end_point(&self, side: Side) -> Result<Vec<u8>, Error> {
        let call = call!(tls.end_point);
        let hash = value(|room, size| unsafe { call(self.raw, side.number(), room, size) })?;
        Ok(hash.unwrap_or_default())
    }
    /// The protocol has a good-bye: who just ends the connection was cut off.
    pub fn end_is_cut(&self, side: Side) -> Result<(), Error> {
        Error::of(unsafe { call!(tls.end_is_cut)(self.raw, side.number()) })
    }

    /// Whether the user of `identify()` may log in; `record` is empty for one that the map does not
    /// know. A rum without limits admits everybody.
    pub fn admit(&self, record: impl AsRef<[u8]>) -> Result<(), Refused> {
        let record = record.as_ref();
        let admit = match host().ok().and_then(|h| h.limits.admit) {
            Some(admit) => admit,
            None => return Ok(()),
        };
        let pointer = if record.is_empty() { std::ptr::null() } else { record.as_ptr() };
        Refused::of(unsafe { admit(self.raw, pointer as *const c_void, record.len()) })
    }
    /// To be asked before a proof of the password is judged or passed on.
    pub fn try_login(&self) -> Result<(), Refused> {
        let try_login = match host().ok().and_then(|h| h.limits.try_login) {
            Some(try_login) => try_login,
            None => return Ok(()),
        };
        Refused::of(unsafe { try_login(self.raw) })
    }
    /// The user has proved to be that user; to be said before the client is told.
    pub fn confirm(&self) -> Result<(), Refused> {
        let confirm = match host().ok().and_then(|h| h.limits.confirm) {
            Some(confirm) => confirm,
            None => return Ok(()),
        };
        Refused::of(unsafe { confirm(self.raw) })
    }
    /// The client's login failed.
    pub fn login_failed(&self) {
        if let Some(failed) = host().ok().and_then(|h| h.limits.login_failed) {
            unsafe { failed(self.raw) }
        }
    }
    /// Too many logins have failed from the client's address.
    pub fn blocked(&self) -> bool {
        let blocked = host().ok().and_then(|h| h.limits.blocked);
        blocked.map_or(false, |blocked| unsafe { blocked(self.raw) } == 1)
    }

    /// Puts a value into the table that all workers see ([`Module::SHARES`](crate::Module::SHARES)).
    /// None: it goes with the session, else after that many milliseconds.
    pub fn share(&self, key: &[u8], value: &[u8], lifetime: Option<u64>) -> Result<(), Error> {
        let (k, v) = (key.as_ptr() as *const c_void, value.as_ptr() as *const c_void);
        Error::of(unsafe {
            call!(shared.put)(self.raw, k, key.len(), v, value.len(), lifetime.unwrap_or(0))
        })
    }
    /// Asks all processes that share for what a session has put under this key; the hook
    /// `shared_found` brings the answer.
    pub fn find_shared(&self, key: &[u8]) -> Result<(), Error> {
        Error::of(unsafe {
            call!(shared.find)(self.raw, key.as_ptr() as *const c_void, key.len())
        })
    }
    /// Removes what this session has put under the key. True: somebody has found it before; false:
    /// nobody has, and nobody will. None: the session has no such entry.
    pub fn unshare(&self, key: &[u8]) -> Result<Option<bool>, Error> {
        let remove = call!(shared.remove);
        match unsafe { remove(self.raw, key.as_ptr() as *const c_void, key.len()) } {
            RUM_SEEN => Ok(Some(true)),
            RUM_OK => Ok(Some(false)),
            RUM_NOT_FOUND => Ok(None),
            status => Err(Error::from(status)),
        }
    }
}
