// rum/module.h, version 1, bound by hand. Names and order are the header's, and so are the comments
// about threads and lifetimes: read it there. The sizes below are checked when this is compiled.
#![allow(dead_code)]
use std::ffi::c_void;
use std::mem::size_of;
use std::os::raw::c_char;

pub const MODULE_ABI: u32 = 1;
pub const CLIENT: u32 = 0;
pub const UPSTREAM: u32 = 1;
pub const OK: i32 = 0;
pub const E_ARGUMENT: i32 = -1;
pub const E_STATE: i32 = -2;
pub const E_LIMIT: i32 = -3;
pub const E_MEMORY: i32 = -4;
pub const E_UNSUPPORTED: i32 = -5;
pub const E_FAILED: i32 = -6;
pub const CLOSE_NO_DESTINATION: u32 = 15;
pub const CLOSE_LIMIT: u32 = 23;
pub const CLOSE_MODULE: u32 = 26;
pub const OPTION_TEXT: u32 = 0;

#[repr(C)]
pub struct Session {
    _opaque: [u8; 0],
}
#[repr(C)]
pub struct Worker {
    _opaque: [u8; 0],
}

#[repr(C)]
pub struct ModuleOption {
    pub name: *const c_char,
    pub value: *const c_char,
    pub default_value: *const c_char,
    pub help: *const c_char,
    pub kind: u32,
    pub short_name: u32,
}

// The group "rum.limits/1".
#[repr(C)]
pub struct Limits {
    pub struct_size: u32,
    pub reserved: u32,
    pub admit: unsafe extern "C" fn(*mut Session, *const c_void, usize) -> i32,
    pub login_failed: unsafe extern "C" fn(*mut Session),
    pub blocked: unsafe extern "C" fn(*mut Session) -> i32,
    pub try_login: unsafe extern "C" fn(*mut Session) -> i32,
    pub confirm: unsafe extern "C" fn(*mut Session) -> i32,
    pub counts_failures: unsafe extern "C" fn(*mut Worker) -> i32,
}

#[repr(C)]
pub struct Metric {
    pub name: *const c_char,
    pub help: *const c_char,
}

#[repr(C)]
pub struct Host {
    pub struct_size: u32,
    pub abi: u32,
    pub version: *const c_char,
    pub send: unsafe extern "C" fn(*mut Session, u32, *const c_void, usize) -> i32,
    pub need: unsafe extern "C" fn(*mut Session, u32, usize) -> i32,
    pub forward: unsafe extern "C" fn(*mut Session, u32, u64) -> i32,
    pub relay: unsafe extern "C" fn(*mut Session) -> i32,
    pub lookup: unsafe extern "C" fn(*mut Session, *const c_void, usize) -> i32,
    pub identify: unsafe extern "C" fn(*mut Session, *const c_void, usize) -> i32,
    pub connect: unsafe extern "C" fn(*mut Session, *const c_char, usize) -> i32,
    pub start_tls: unsafe extern "C" fn(*mut Session, u32, *const c_char, usize) -> i32,
    pub pause: unsafe extern "C" fn(*mut Session) -> u64,
    pub resume:
        unsafe extern "C" fn(u64, i32, *mut c_void, Option<unsafe extern "C" fn(*mut c_void)>),
    pub timer: unsafe extern "C" fn(*mut Session, u64) -> u64,
    pub timer_cancel: unsafe extern "C" fn(*mut Session, u64),
    pub now: unsafe extern "C" fn() -> u64,
    pub peer: unsafe extern "C" fn(*mut Session, u32, *mut c_char, usize) -> usize,
    pub note: unsafe extern "C" fn(*mut Session, *const c_char, *const c_void, usize) -> i32,
    pub log: unsafe extern "C" fn(*mut Session, u32, *const c_char, usize),
    pub metric_add: unsafe extern "C" fn(*mut Session, u32, u64),
    pub close: unsafe extern "C" fn(*mut Session, u32, *const c_char, usize),
    pub extension: unsafe extern "C" fn(*const c_char) -> *const c_void,
}

#[repr(C)]
pub struct Probe {
    pub struct_size: u32,
    pub is_default: u32,
    pub destination: *const c_char,
    pub user: *const c_char,
    pub user_size: usize,
}

// Hooks are Option: None is the NULL of the header.
#[repr(C)]
pub struct Module {
    pub struct_size: u32,
    pub abi: u32,
    pub host_size_min: u32,
    pub reserved: u32,
    pub name: *const c_char,
    pub version: *const c_char,
    pub summary: *const c_char,
    pub options: *const ModuleOption,
    pub option_count: usize,
    pub option_size: usize,
    pub metrics: *const Metric,
    pub metric_count: usize,
    pub metric_size: usize,
    pub init: Option<unsafe extern "C" fn(*const Host, *mut c_char, usize) -> i32>,
    pub config_new: Option<
        unsafe extern "C" fn(
            *const *const c_char, usize, *mut *mut c_void, *mut c_char, usize,
        ) -> i32,
    >,
    pub config_free: Option<unsafe extern "C" fn(*mut c_void)>,
    pub worker_start:
        Option<unsafe extern "C" fn(*mut Worker, *const c_void, *mut *mut c_void) -> i32>,
    pub worker_reload: Option<unsafe extern "C" fn(*mut c_void, *const c_void)>,
    pub worker_stop: Option<unsafe extern "C" fn(*mut c_void)>,
    pub session_open: Option<
        unsafe extern "C" fn(*mut Session, *const c_void, *mut c_void, *mut *mut c_void) -> i32,
    >,
    pub client_data:
        Option<unsafe extern "C" fn(*mut c_void, *mut Session, *const u8, usize) -> i64>,
    pub upstream_open: Option<unsafe extern "C" fn(*mut c_void, *mut Session, u32)>,
    pub upstream_data:
        Option<unsafe extern "C" fn(*mut c_void, *mut Session, *const u8, usize) -> i64>,
    pub looked_up: Option<unsafe extern "C" fn(*mut c_void, *mut Session, i32, *const u8, usize)>,
    pub tls_open: Option<unsafe extern "C" fn(*mut c_void, *mut Session, u32, i32)>,
    pub side_end: Option<unsafe extern "C" fn(*mut c_void, *mut Session, u32) -> i32>,
    pub timeout: Option<unsafe extern "C" fn(*mut c_void, *mut Session, u64)>,
    pub resumed:
        Option<unsafe extern "C" fn(*mut c_void, *mut Session, u64, i32, *mut c_void)>,
    pub session_close: Option<unsafe extern "C" fn(*mut c_void, *mut Session, u32)>,
    pub refusal: Option<unsafe extern "C" fn(*const c_void, u32, *mut u8, usize) -> usize>,
    pub stats: Option<unsafe extern "C" fn(*const c_void, *mut c_char, usize) -> usize>,
    pub probe_open: Option<
        unsafe extern "C" fn(
            *mut Session, *const c_void, *mut c_void, *const Probe, *mut *mut c_void,
        ) -> i32,
    >,
}

// The sizes of version 1.0 on 64-bit machines. Tables only grow at the end.
const _: () = assert!(size_of::<ModuleOption>() == 40);
const _: () = assert!(size_of::<Metric>() == 16);
const _: () = assert!(size_of::<Host>() == 168);
const _: () = assert!(size_of::<Probe>() == 32);
const _: () = assert!(size_of::<Module>() == 240);

// Constant tables of pointers to constant text: any thread may read them.
unsafe impl Sync for ModuleOption {}
unsafe impl Sync for Metric {}
unsafe impl Sync for Module {}

// Text of the tables ends with NUL.
#[macro_export]
macro_rules! text {
    ($text:expr) => {
        concat!($text, "\0").as_ptr() as *const std::os::raw::c_char
    };
}
