//! `rum/module.h`, version 1, bound by hand: the same names in the same order. What a call does, on
//! which thread it may be made and how long a pointer is good is said there. A test compares the two.
//!
//! Tables of the host may be shorter than here, if the rum that runs is older: copy the smaller of the
//! two sizes over zeroes, and what is missing reads `None`. The safe layer does so.
#![allow(non_camel_case_types)]
use std::ffi::c_void;
use std::os::raw::c_char;

pub const RUM_MODULE_ABI: u32 = 1;
pub const RUM_CLIENT: u32 = 0;
pub const RUM_UPSTREAM: u32 = 1;
pub const RUM_OK: i32 = 0;
pub const RUM_E_ARGUMENT: i32 = -1;
pub const RUM_E_STATE: i32 = -2;
pub const RUM_E_LIMIT: i32 = -3;
pub const RUM_E_MEMORY: i32 = -4;
pub const RUM_E_UNSUPPORTED: i32 = -5;
pub const RUM_E_FAILED: i32 = -6;
pub const RUM_E_AGAIN: i32 = -7;
pub const RUM_FOUND: i32 = 0;
pub const RUM_NOT_FOUND: i32 = 1;
pub const RUM_SEEN: i32 = 2;
pub const RUM_END: i32 = 0;
pub const RUM_KEEP: i32 = 1;
pub const RUM_LOG_ERROR: u32 = 0;
pub const RUM_LOG_WARNING: u32 = 1;
pub const RUM_LOG_INFO: u32 = 2;
pub const RUM_LOG_DEBUG: u32 = 3;
pub const RUM_CLOSE_CLIENT: u32 = 1;
pub const RUM_CLOSE_UPSTREAM: u32 = 2;
pub const RUM_CLOSE_CLIENT_RESET: u32 = 3;
pub const RUM_CLOSE_UPSTREAM_RESET: u32 = 4;
pub const RUM_CLOSE_CLIENT_GONE: u32 = 5;
pub const RUM_CLOSE_UPSTREAM_GONE: u32 = 6;
pub const RUM_CLOSE_LOGIN_TIMEOUT: u32 = 7;
pub const RUM_CLOSE_CONNECT_TIMEOUT: u32 = 8;
pub const RUM_CLOSE_FIRST_BYTE_TIMEOUT: u32 = 9;
pub const RUM_CLOSE_IDLE_TIMEOUT: u32 = 10;
pub const RUM_CLOSE_HALF_CLOSE_TIMEOUT: u32 = 11;
pub const RUM_CLOSE_CONNECT_REFUSED: u32 = 12;
pub const RUM_CLOSE_CONNECT_FAILED: u32 = 13;
pub const RUM_CLOSE_UNRESOLVED: u32 = 14;
pub const RUM_CLOSE_NO_DESTINATION: u32 = 15;
pub const RUM_CLOSE_BAD_DESTINATION: u32 = 16;
pub const RUM_CLOSE_MAP_UNAVAILABLE: u32 = 17;
pub const RUM_CLOSE_DENIED: u32 = 18;
pub const RUM_CLOSE_UPSTREAM_DENIED: u32 = 19;
pub const RUM_CLOSE_CLIENT_PROTOCOL: u32 = 20;
pub const RUM_CLOSE_UPSTREAM_PROTOCOL: u32 = 21;
pub const RUM_CLOSE_UNSUPPORTED: u32 = 22;
pub const RUM_CLOSE_LIMIT: u32 = 23;
pub const RUM_CLOSE_NO_RESOURCES: u32 = 24;
pub const RUM_CLOSE_TLS: u32 = 25;
pub const RUM_CLOSE_MODULE: u32 = 26;
pub const RUM_CLOSE_DRAIN: u32 = 27;
pub const RUM_CLOSE_KILLED: u32 = 28;
pub const RUM_CLOSE_PROBED: u32 = 29;
pub const RUM_CLOSE_BLOCKED: u32 = 30;
pub const RUM_CLOSE_NOT_ALLOWED: u32 = 31;
pub const RUM_CLOSE_MAINTENANCE: u32 = 32;
pub const RUM_MOST_SEND: u32 = 16777216;
pub const RUM_MOST_WAITING: u32 = 67108864;
pub const RUM_MOST_NEED: u32 = 262144;
pub const RUM_MOST_KEY: u32 = 65535;
pub const RUM_MOST_USER: u32 = 512;
pub const RUM_MOST_ADDRESS: u32 = 65535;
pub const RUM_MOST_SERVER_NAME: u32 = 253;
pub const RUM_MOST_MILLISECONDS: u32 = 86400000;
pub const RUM_MOST_TIMERS: u32 = 16;
pub const RUM_MOST_NOTE: u32 = 256;
pub const RUM_MOST_NOTES: u32 = 8;
pub const RUM_MOST_LOG: u32 = 4096;
pub const RUM_MOST_LOG_LINES: u32 = 1000;
pub const RUM_MOST_CLOSE_TEXT: u32 = 256;
pub const RUM_MOST_RECORD: u32 = 1048576;
pub const RUM_MOST_STATE: u32 = 1048576;
pub const RUM_MOST_WORKER_TIMERS: u32 = 64;
pub const RUM_MOST_WORKER_POSTS: u32 = 1024;
pub const RUM_MOST_SHARED_KEY: u32 = 256;
pub const RUM_MOST_SHARED_VALUE: u32 = 512;
pub const RUM_MOST_SHARED_ENTRIES: u32 = 8;
pub const RUM_MOST_FAREWELL: u32 = 8;
pub const RUM_MOST_SHARED_FINDS: u32 = 64;
pub const RUM_MOST_SHARED_FINDS_SECOND: u32 = 100;
pub const RUM_MOST_KEEP_KEY: u32 = 1024;
pub const RUM_MOST_KEEP_VALUE: u32 = 512;
pub const RUM_MOST_KEEP_TAIL: u32 = 16;
pub const RUM_MOST_ALPN: u32 = 1024;
pub const RUM_MOST_CONNECTS: u32 = 8;
pub const RUM_MOST_REFUSED: u32 = 64;
pub const RUM_LACKS_PROXY_HEADER: u32 = 1;
pub const RUM_MOST_REFUSED_MILLISECONDS: u32 = 3000;
pub const RUM_MOST_REFUSED_BYTES: u32 = 16384;
pub const RUM_OPTION_TEXT: u32 = 0;
pub const RUM_OPTION_CHOICE: u32 = 1;
pub const RUM_OPTION_FLAG: u32 = 2;
pub const RUM_OPTION_NUMBER: u32 = 3;
pub const RUM_OPTION_DURATION: u32 = 4;
pub const RUM_TLS_OFF: i32 = 0;
pub const RUM_TLS_ON: i32 = 1;
pub const RUM_TLS_REQUIRE: i32 = 2;
pub const RUM_TLS_MIRROR: i32 = 3;
pub const RUM_TLS_VERIFY: i32 = 4;
pub const RUM_REFUSED_RULES: i32 = 1;
pub const RUM_REFUSED_DISABLED: i32 = 2;
pub const RUM_REFUSED_TIME: i32 = 3;
pub const RUM_REFUSED_ADDRESS: i32 = 4;
pub const RUM_REFUSED_TLS: i32 = 5;
pub const RUM_REFUSED_CONNECTIONS: i32 = 6;
pub const RUM_REFUSED_RATE: i32 = 7;
pub const RUM_REFUSED_BLOCKED: i32 = 8;

#[repr(C)]
pub struct rum_session {
    _opaque: [u8; 0],
}

#[repr(C)]
pub struct rum_worker {
    _opaque: [u8; 0],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct rum_option {
    pub name: *const c_char,
    pub value: *const c_char,
    pub default_value: *const c_char,
    pub help: *const c_char,
    pub r#type: u32,
    pub short_name: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct rum_metric {
    pub name: *const c_char,
    pub help: *const c_char,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct rum_host {
    pub struct_size: u32,
    pub abi: u32,
    pub version: *const c_char,
    pub send: Option<unsafe extern "C" fn(*mut rum_session, u32, *const c_void, usize) -> i32>,
    pub need: Option<unsafe extern "C" fn(*mut rum_session, u32, usize) -> i32>,
    pub forward: Option<unsafe extern "C" fn(*mut rum_session, u32, u64) -> i32>,
    pub relay: Option<unsafe extern "C" fn(*mut rum_session) -> i32>,
    pub lookup: Option<unsafe extern "C" fn(*mut rum_session, *const c_void, usize) -> i32>,
    pub identify: Option<unsafe extern "C" fn(*mut rum_session, *const c_void, usize) -> i32>,
    pub connect: Option<unsafe extern "C" fn(*mut rum_session, *const c_char, usize) -> i32>,
    pub start_tls: Option<unsafe extern "C" fn(*mut rum_session, u32, *const c_char, usize) -> i32>,
    pub pause: Option<unsafe extern "C" fn(*mut rum_session) -> u64>,
    pub resume: Option<
        unsafe extern "C" fn(u64, i32, *mut c_void, Option<unsafe extern "C" fn(*mut c_void)>),
    >,
    pub timer: Option<unsafe extern "C" fn(*mut rum_session, u64) -> u64>,
    pub timer_cancel: Option<unsafe extern "C" fn(*mut rum_session, u64)>,
    pub now: Option<unsafe extern "C" fn() -> u64>,
    pub peer: Option<unsafe extern "C" fn(*mut rum_session, u32, *mut c_char, usize) -> usize>,
    pub note:
        Option<unsafe extern "C" fn(*mut rum_session, *const c_char, *const c_void, usize) -> i32>,
    pub log: Option<unsafe extern "C" fn(*mut rum_session, u32, *const c_char, usize)>,
    pub metric_add: Option<unsafe extern "C" fn(*mut rum_session, u32, u64)>,
    pub close: Option<unsafe extern "C" fn(*mut rum_session, u32, *const c_char, usize)>,
    pub extension: Option<unsafe extern "C" fn(*const c_char) -> *const c_void>,
    pub relay_from: Option<unsafe extern "C" fn(*mut rum_session, u32) -> i32>,
    pub take_back: Option<unsafe extern "C" fn(*mut rum_session, u32) -> i32>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct rum_tls {
    pub struct_size: u32,
    pub reserved: u32,
    pub mode: Option<unsafe extern "C" fn(*mut rum_session, u32) -> i32>,
    pub active: Option<unsafe extern "C" fn(*mut rum_session, u32) -> i32>,
    pub fingerprint: Option<unsafe extern "C" fn(*mut rum_session, *mut u8) -> i32>,
    pub end_is_cut: Option<unsafe extern "C" fn(*mut rum_session, u32) -> i32>,
    pub set_alpn: Option<unsafe extern "C" fn(*mut rum_session, u32, *const c_void, usize) -> i32>,
    pub alpn: Option<unsafe extern "C" fn(*mut rum_session, u32, *mut c_char, *mut usize) -> i32>,
    pub offered_alpn: Option<unsafe extern "C" fn(*mut rum_session, *mut u8, *mut usize) -> i32>,
    pub server_name: Option<unsafe extern "C" fn(*mut rum_session, *mut c_char, *mut usize) -> i32>,
    pub version: Option<unsafe extern "C" fn(*mut rum_session, u32) -> i32>,
    pub certificate:
        Option<unsafe extern "C" fn(*mut rum_session, u32, *mut c_void, *mut usize) -> i32>,
    pub end_point:
        Option<unsafe extern "C" fn(*mut rum_session, u32, *mut c_void, *mut usize) -> i32>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct rum_limits {
    pub struct_size: u32,
    pub reserved: u32,
    pub admit: Option<unsafe extern "C" fn(*mut rum_session, *const c_void, usize) -> i32>,
    pub login_failed: Option<unsafe extern "C" fn(*mut rum_session)>,
    pub blocked: Option<unsafe extern "C" fn(*mut rum_session) -> i32>,
    pub try_login: Option<unsafe extern "C" fn(*mut rum_session) -> i32>,
    pub confirm: Option<unsafe extern "C" fn(*mut rum_session) -> i32>,
    pub counts_failures: Option<unsafe extern "C" fn(*mut rum_worker) -> i32>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct rum_state {
    pub struct_size: u32,
    pub reserved: u32,
    pub save: Option<unsafe extern "C" fn(*const c_char, *const c_void, usize) -> i32>,
    pub load: Option<unsafe extern "C" fn(*const c_char, *mut c_void, usize) -> usize>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct rum_clock {
    pub struct_size: u32,
    pub reserved: u32,
    pub now: Option<unsafe extern "C" fn() -> u64>,
    pub timer: Option<unsafe extern "C" fn(*mut rum_session, u64) -> u64>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct rum_process {
    pub struct_size: u32,
    pub reserved: u32,
    pub user_names: Option<unsafe extern "C" fn(*mut c_char, usize) -> usize>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct rum_record {
    pub struct_size: u32,
    pub reserved: u32,
    pub secret: *const c_char,
    pub secret_size: usize,
    pub destination: *const c_char,
    pub destination_size: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct rum_records {
    pub struct_size: u32,
    pub reserved: u32,
    pub parse: Option<unsafe extern "C" fn(*const c_void, usize, *mut rum_record) -> i32>,
    pub column: Option<
        unsafe extern "C" fn(*const c_void, usize, *const c_char, *mut c_void, *mut usize) -> i32,
    >,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct rum_worker_calls {
    pub struct_size: u32,
    pub reserved: u32,
    pub timer: Option<
        unsafe extern "C" fn(
            *mut rum_worker,
            u64,
            Option<unsafe extern "C" fn(*mut c_void, *mut c_void)>,
            *mut c_void,
            Option<unsafe extern "C" fn(*mut c_void)>,
        ) -> u64,
    >,
    pub timer_cancel: Option<unsafe extern "C" fn(*mut rum_worker, u64)>,
    pub ticket: Option<unsafe extern "C" fn(*mut rum_worker) -> u64>,
    pub post: Option<
        unsafe extern "C" fn(
            u64,
            Option<unsafe extern "C" fn(*mut c_void, *mut c_void)>,
            *mut c_void,
            Option<unsafe extern "C" fn(*mut c_void)>,
        ) -> i32,
    >,
    pub metric_add: Option<unsafe extern "C" fn(*mut rum_worker, u32, u64)>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct rum_shared {
    pub struct_size: u32,
    pub reserved: u32,
    pub put: Option<
        unsafe extern "C" fn(
            *mut rum_session,
            *const c_void,
            usize,
            *const c_void,
            usize,
            u64,
        ) -> i32,
    >,
    pub get: Option<unsafe extern "C" fn(*const c_void, usize, *mut c_void, *mut usize) -> i32>,
    pub take: Option<unsafe extern "C" fn(*const c_void, usize, *mut c_void, *mut usize) -> i32>,
    pub find: Option<unsafe extern "C" fn(*mut rum_session, *const c_void, usize) -> i32>,
    pub remove: Option<unsafe extern "C" fn(*mut rum_session, *const c_void, usize) -> i32>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct rum_keep {
    pub struct_size: u32,
    pub reserved: u32,
    pub forward_until:
        Option<unsafe extern "C" fn(*mut rum_session, u32, *const c_void, usize) -> i32>,
    pub answered: Option<unsafe extern "C" fn(*mut rum_session, u32) -> i32>,
    pub part: Option<unsafe extern "C" fn(*mut rum_session) -> i32>,
    pub keep: Option<
        unsafe extern "C" fn(
            *mut rum_session,
            *const c_void,
            usize,
            *const c_void,
            usize,
            u32,
            u64,
        ) -> i32,
    >,
    pub want: Option<unsafe extern "C" fn(*mut rum_session, *const c_void, usize) -> i32>,
    pub taken: Option<unsafe extern "C" fn(*mut rum_session, *mut c_void, *mut usize) -> i32>,
    pub renew: Option<unsafe extern "C" fn(*mut rum_session) -> i32>,
    pub spend: Option<
        unsafe extern "C" fn(*mut rum_session, *const c_char, usize, *const c_void, usize) -> i32,
    >,
    pub drop: Option<unsafe extern "C" fn(*mut rum_session) -> i32>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct rum_sessions {
    pub struct_size: u32,
    pub reserved: u32,
    pub destination: Option<unsafe extern "C" fn(*mut rum_session, *mut c_char, *mut usize) -> i32>,
    pub no_login: Option<unsafe extern "C" fn(*mut rum_session) -> i32>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct rum_queue {
    pub struct_size: u32,
    pub reserved: u32,
    pub size: Option<unsafe extern "C" fn(*mut rum_session, u32) -> u64>,
    pub r#await: Option<unsafe extern "C" fn(*mut rum_session, u32, u64) -> i32>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct rum_probe {
    pub struct_size: u32,
    pub is_default: u32,
    pub destination: *const c_char,
    pub user: *const c_char,
    pub user_size: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct rum_module {
    pub struct_size: u32,
    pub abi: u32,
    pub host_size_min: u32,
    pub reserved: u32,
    pub name: *const c_char,
    pub version: *const c_char,
    pub summary: *const c_char,
    pub options: *const rum_option,
    pub option_count: usize,
    pub option_size: usize,
    pub metrics: *const rum_metric,
    pub metric_count: usize,
    pub metric_size: usize,
    pub farewell: *const c_char,
    pub farewell_size: usize,
    pub init: Option<unsafe extern "C" fn(*const rum_host, *mut c_char, usize) -> i32>,
    pub config_new: Option<
        unsafe extern "C" fn(
            *const *const c_char,
            usize,
            *mut *mut c_void,
            *mut c_char,
            usize,
        ) -> i32,
    >,
    pub config_free: Option<unsafe extern "C" fn(*mut c_void)>,
    pub worker_start:
        Option<unsafe extern "C" fn(*mut rum_worker, *const c_void, *mut *mut c_void) -> i32>,
    pub worker_reload: Option<unsafe extern "C" fn(*mut c_void, *const c_void)>,
    pub worker_stop: Option<unsafe extern "C" fn(*mut c_void)>,
    pub session_open: Option<
        unsafe extern "C" fn(*mut rum_session, *const c_void, *mut c_void, *mut *mut c_void) -> i32,
    >,
    pub client_data:
        Option<unsafe extern "C" fn(*mut c_void, *mut rum_session, *const u8, usize) -> i64>,
    pub upstream_open: Option<unsafe extern "C" fn(*mut c_void, *mut rum_session, u32)>,
    pub upstream_data:
        Option<unsafe extern "C" fn(*mut c_void, *mut rum_session, *const u8, usize) -> i64>,
    pub looked_up:
        Option<unsafe extern "C" fn(*mut c_void, *mut rum_session, i32, *const u8, usize)>,
    pub tls_open: Option<unsafe extern "C" fn(*mut c_void, *mut rum_session, u32, i32)>,
    pub side_end: Option<unsafe extern "C" fn(*mut c_void, *mut rum_session, u32) -> i32>,
    pub timeout: Option<unsafe extern "C" fn(*mut c_void, *mut rum_session, u64)>,
    pub resumed: Option<unsafe extern "C" fn(*mut c_void, *mut rum_session, u64, i32, *mut c_void)>,
    pub session_close: Option<unsafe extern "C" fn(*mut c_void, *mut rum_session, u32)>,
    pub refusal: Option<unsafe extern "C" fn(*const c_void, u32, *mut u8, usize) -> usize>,
    pub stats: Option<unsafe extern "C" fn(*const c_void, *mut c_char, usize) -> usize>,
    pub probe_open: Option<
        unsafe extern "C" fn(
            *mut rum_session,
            *const c_void,
            *mut c_void,
            *const rum_probe,
            *mut *mut c_void,
        ) -> i32,
    >,
    pub drained: Option<unsafe extern "C" fn(*mut c_void, *mut rum_session, u32)>,
    pub refused_open: Option<
        unsafe extern "C" fn(
            *mut rum_session,
            *const c_void,
            *mut c_void,
            u32,
            *mut *mut c_void,
        ) -> i32,
    >,
    pub shared_found:
        Option<unsafe extern "C" fn(*mut c_void, *mut rum_session, i32, *const u8, usize)>,
    pub lacks: u64,
}

// Names of groups, for extension(), which wants the NUL at their end.
pub const RUM_TLS_1: &str = "rum.tls/1\0";
pub const RUM_LIMITS_1: &str = "rum.limits/1\0";
pub const RUM_STATE_1: &str = "rum.state/1\0";
pub const RUM_CLOCK_1: &str = "rum.clock/1\0";
pub const RUM_PROCESS_1: &str = "rum.process/1\0";
pub const RUM_RECORDS_1: &str = "rum.records/1\0";
pub const RUM_WORKER_1: &str = "rum.worker/1\0";
pub const RUM_SHARED_1: &str = "rum.shared/1\0";
pub const RUM_KEEP_1: &str = "rum.keep/1\0";
pub const RUM_SESSIONS_1: &str = "rum.sessions/1\0";
pub const RUM_QUEUE_1: &str = "rum.queue/1\0";
