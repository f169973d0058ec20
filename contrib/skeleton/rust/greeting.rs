// A small real module in Rust: greets the client, reads its name from the first line, then connects
// to the default destination and relays. No crates; rum.rs is the contract, bound by hand.
// The hooks are thin: they turn pointers into references and slices, and call safe code.
#[macro_use]
mod rum;

use rum::{Host, Metric, Module, ModuleOption, Session};
use std::ffi::{c_void, CStr};
use std::mem::size_of;
use std::os::raw::c_char;
use std::ptr::{null, null_mut};
use std::slice;
use std::sync::atomic::{AtomicPtr, Ordering};

const MAX_NAME: usize = 64; // of a name, in bytes; what a client sends always has a bound
const MAX_BANNER: usize = 254;

// What the user may set. The name starts with the module's, rum checks the type.
static OPTIONS: [ModuleOption; 1] = [ModuleOption {
    name: text!("greeting-text"),
    value: text!("TEXT"),
    default_value: text!("hello, who are you?"),
    help: text!("The line that every client is greeted with"),
    kind: rum::OPTION_TEXT,
    short_name: 0,
}];

// What is counted: rum_greeting_clients_total in /metrics.
const CLIENTS: u32 = 0;
static METRICS: [Metric; 1] = [Metric {
    name: text!("greeting_clients"),
    help: text!("Clients that told their name"),
}];

static HOST: AtomicPtr<Host> = AtomicPtr::new(null_mut());

fn host() -> &'static Host {
    // Set once by init, before any other hook, and good until the process ends.
    unsafe { &*HOST.load(Ordering::Relaxed) }
}

// The options in the form that sessions use; a reload makes a new one.
struct Config {
    banner: Vec<u8>,
}

// What belongs to one session.
struct Greeting {
    opened: u64,
}

// What a first line means. Pure, so that it can be tested without rum.
#[derive(Debug, PartialEq)]
enum Line<'a> {
    Incomplete,
    Bad,
    Name { name: &'a [u8], consumed: usize },
}

fn parse_line(bytes: &[u8]) -> Line<'_> {
    let end = match bytes.iter().position(|&b| b == b'\n') {
        None if bytes.len() > MAX_NAME => return Line::Bad,
        None => return Line::Incomplete,
        Some(end) => end,
    };
    let name = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    if name.is_empty() || name.len() > MAX_NAME {
        return Line::Bad;
    }
    Line::Name { name, consumed: end + 1 }
}

fn write_error(error: *mut c_char, size: usize, text: &str) {
    if size == 0 {
        return;
    }
    let length = text.len().min(size - 1);
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr() as *const c_char, error, length);
        *error.add(length) = 0;
    }
}

// [main]
unsafe extern "C" fn init(host: *const Host, _error: *mut c_char, _size: usize) -> i32 {
    HOST.store(host as *mut Host, Ordering::Relaxed);
    rum::OK
}

// [main]
unsafe extern "C" fn config_new(
    values: *const *const c_char,
    count: usize,
    out: *mut *mut c_void,
    error: *mut c_char,
    error_size: usize,
) -> i32 {
    let mut banner = Vec::new();
    if count > 0 && !(*values).is_null() {
        banner.extend_from_slice(CStr::from_ptr(*values).to_bytes());
    }
    if banner.len() > MAX_BANNER {
        write_error(error, error_size, "the greeting has more than 254 bytes");
        return rum::E_ARGUMENT;
    }
    banner.extend_from_slice(b"\r\n");
    *out = Box::into_raw(Box::new(Config { banner })) as *mut c_void;
    rum::OK
}

// [any]
unsafe extern "C" fn config_free(config: *mut c_void) {
    drop(Box::from_raw(config as *mut Config));
}

// [worker] A client is there. What is sent leaves when the hook has returned.
unsafe extern "C" fn session_open(
    session: *mut Session,
    config: *const c_void,
    _worker_data: *mut c_void,
    data: *mut *mut c_void,
) -> i32 {
    let config = &*(config as *const Config);
    let greeting = Box::new(Greeting { opened: (host().now)() });
    *data = Box::into_raw(greeting) as *mut c_void;
    let banner = &config.banner;
    (host().send)(session, rum::CLIENT, banner.as_ptr() as *const c_void, banner.len());
    rum::OK
}

// [worker] All bytes not consumed so far come again, more of them each time: 0 means "wait".
unsafe extern "C" fn client_data(
    data: *mut c_void,
    session: *mut Session,
    bytes: *const u8,
    size: usize,
) -> i64 {
    // rum calls no hook from inside a host call: this reference is the only one while it lives.
    let greeting = &mut *(data as *mut Greeting);
    match parse_line(slice::from_raw_parts(bytes, size)) {
        Line::Incomplete => 0,
        Line::Bad => rum::E_ARGUMENT as i64, // a breach of our protocol: rum ends the session
        Line::Name { name, consumed } => {
            greeting.enter(session, name);
            consumed as i64
        }
    }
}

impl Greeting {
    unsafe fn enter(&mut self, session: *mut Session, name: &[u8]) {
        // The user is in the log line from here on, and counts for the limits per user. There is no
        // map here, so there is no record to show: a module with one asks when it has answered.
        (host().identify)(session, name.as_ptr() as *const c_void, name.len());
        let limits = (host().extension)(text!("rum.limits/1")) as *const rum::Limits;
        if !limits.is_null() && ((*limits).admit)(session, null(), 0) != rum::OK {
            let full = b"too many of you\r\n";
            (host().send)(session, rum::CLIENT, full.as_ptr() as *const c_void, full.len());
            (host().close)(session, rum::CLOSE_LIMIT, null(), 0);
            return;
        }
        let waited = ((host().now)() - self.opened).to_string();
        let key = text!("name_after_ms");
        (host().note)(session, key, waited.as_ptr() as *const c_void, waited.len());
        (host().metric_add)(session, CLIENTS, 1);

        // Size 0 is the default destination (-d); a module with a map would call lookup() instead.
        if (host().connect)(session, text!(""), 0) != rum::OK {
            (host().close)(session, rum::CLOSE_NO_DESTINATION, null(), 0);
            return;
        }
        // From here on the bytes flow unseen, those behind the line included.
        (host().relay)(session);
    }
}

// [worker] Once for each session_open that returned OK, whatever happened.
unsafe extern "C" fn session_close(data: *mut c_void, _session: *mut Session, _reason: u32) {
    drop(Box::from_raw(data as *mut Greeting));
}

// The one symbol of the file. Hooks that are None are explained in the header.
#[no_mangle]
#[allow(non_upper_case_globals)]
pub static rum_module_v1: Module = Module {
    struct_size: size_of::<Module>() as u32,
    abi: rum::MODULE_ABI,
    host_size_min: size_of::<Host>() as u32,
    reserved: 0,
    name: text!("greeting"),
    version: text!("1.0"),
    summary: text!("greets the client, asks its name, relays to the default destination"),
    options: OPTIONS.as_ptr(),
    option_count: OPTIONS.len(),
    option_size: size_of::<ModuleOption>(),
    metrics: METRICS.as_ptr(),
    metric_count: METRICS.len(),
    metric_size: size_of::<Metric>(),
    init: Some(init),
    config_new: Some(config_new),
    config_free: Some(config_free),
    worker_start: None,
    worker_reload: None,
    worker_stop: None,
    session_open: Some(session_open),
    client_data: Some(client_data),
    upstream_open: None,
    upstream_data: None,
    looked_up: None,
    tls_open: None,
    side_end: None,
    timeout: None,
    resumed: None,
    session_close: Some(session_close),
    refusal: None,
    stats: None,
    probe_open: None,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_the_end_of_the_line() {
        assert_eq!(parse_line(b"ali"), Line::Incomplete);
    }

    #[test]
    fn takes_the_name_and_leaves_what_follows() {
        assert_eq!(parse_line(b"alice\r\nmore"), Line::Name { name: b"alice", consumed: 7 });
    }

    #[test]
    fn refuses_a_name_that_is_empty_or_too_long() {
        assert_eq!(parse_line(b"\n"), Line::Bad);
        assert_eq!(parse_line(&[b'a'; MAX_NAME + 1]), Line::Bad);
    }
}
