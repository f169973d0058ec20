//! The table of a module: hooks that turn pointers into references and call the trait. A panic stops
//! here.
use crate::ffi::*;
use crate::host::{keep, log, Level, Record};
use crate::session::{take_payload, End, Error, Lookup, Reason, Resumed, Session, Side, Timer};
use crate::tables::Values;
use crate::{Breach, Module, Opening, Probe, Worker};
use std::ffi::{c_void, CStr};
use std::mem::{size_of, ManuallyDrop};
use std::os::raw::c_char;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::slice;
use std::sync::Arc;

/// What a module exports; made by [`module!`](crate::module).
#[repr(transparent)]
pub struct Table(#[allow(dead_code)] rum_module);

// SAFETY: constant pointers to constant tables.
unsafe impl Sync for Table {}

impl Table {
    pub const fn of<M: Module>() -> Table {
        Table(rum_module {
            struct_size: size_of::<rum_module>() as u32,
            abi: RUM_MODULE_ABI,
            host_size_min: size_of::<rum_host>() as u32,
            reserved: 0,
            name: M::NAME.pointer(),
            version: M::VERSION.pointer(),
            summary: M::SUMMARY.pointer(),
            options: M::OPTIONS.as_ptr() as *const rum_option,
            option_count: M::OPTIONS.len(),
            option_size: size_of::<rum_option>(),
            metrics: M::METRICS.as_ptr() as *const rum_metric,
            metric_count: M::METRICS.len(),
            metric_size: size_of::<rum_metric>(),
            farewell: M::FAREWELL.as_ptr() as *const c_char,
            farewell_size: M::FAREWELL.len(),
            init: Some(init::<M>),
            config_new: Some(config_new::<M>),
            config_free: Some(config_free::<M>),
            worker_start: Some(worker_start::<M>),
            worker_reload: Some(worker_reload::<M>),
            worker_stop: Some(worker_stop::<M>),
            session_open: Some(session_open::<M>),
            client_data: Some(client_data::<M>),
            upstream_open: Some(upstream_open::<M>),
            upstream_data: Some(upstream_data::<M>),
            looked_up: Some(looked_up::<M>),
            tls_open: Some(tls_open::<M>),
            side_end: Some(side_end::<M>),
            timeout: Some(timeout::<M>),
            resumed: Some(resumed::<M>),
            session_close: Some(session_close::<M>),
            refusal: Some(refusal::<M>),
            stats: Some(stats::<M>),
            probe_open: if M::PROBES { Some(probe_open::<M>) } else { None },
            drained: Some(drained::<M>),
            refused_open: if M::REFUSES { Some(refused_open::<M>) } else { None },
            shared_found: Some(shared_found::<M>),
            lacks: 0,
        })
    }
}

/// What `worker_start` stores.
pub(crate) struct WorkerData<M: Module> {
    pub worker: Worker<M>,
    pub data: M::Worker,
}

/// What `session_open` stores.
struct State<M> {
    module: M,
    panicked: bool, // what is left of the value is nobody's business any more: it is only dropped
}

/// Runs a part of a hook. None: it has panicked, which is in the log, and the session ends.
pub(crate) fn guard<T>(
    hook: &str,
    session: Option<&Session>,
    run: impl FnOnce() -> T,
) -> Option<T> {
    let payload = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(value) => return Some(value),
        Err(payload) => payload,
    };
    let text = format!("the module has panicked in {}: {}", hook, panic_text(&*payload));
    match session {
        Some(session) => {
            session.log(Level::Error, &text);
            session.close(Reason::MODULE, "the module has panicked");
        }
        None => log(Level::Error, &text),
    }
    let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
    None
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    match payload.downcast_ref::<String>() {
        Some(text) => text,
        None => payload.downcast_ref::<&str>().copied().unwrap_or("?"),
    }
}

fn write_error(error: *mut c_char, size: usize, text: &str) {
    if size == 0 {
        return;
    }
    let length = text.len().min(size - 1);
    // SAFETY: `size` bytes are there.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr() as *const c_char, error, length);
        *error.add(length) = 0;
    }
}

// SAFETY of all hooks: the pointers are what the header promises. No host call calls a hook, so that a
// reference to a session's or a worker's data is the only one as long as a hook runs.

/// The configuration as its Arc, which stays rum's.
unsafe fn config_of<M: Module>(config: *const c_void) -> ManuallyDrop<Arc<M::Config>> {
    ManuallyDrop::new(unsafe { Arc::from_raw(config as *const M::Config) })
}

unsafe fn bytes_of<'a>(bytes: *const u8, size: usize) -> &'a [u8] {
    if size == 0 {
        return &[];
    }
    unsafe { slice::from_raw_parts(bytes, size) }
}

unsafe extern "C" fn init<M: Module>(host: *const rum_host, _: *mut c_char, _: usize) -> i32 {
    unsafe { keep(host, M::SHARES) };
    RUM_OK
}

unsafe extern "C" fn config_new<M: Module>(
    values: *const *const c_char,
    count: usize,
    out: *mut *mut c_void,
    error: *mut c_char,
    error_size: usize,
) -> i32 {
    let texts = if count > 0 { unsafe { slice::from_raw_parts(values, count) } } else { &[] };
    let made = catch_unwind(|| M::config(&Values { rows: M::OPTIONS, texts }));
    let made = made.unwrap_or_else(|payload| Err(panic_text(&*payload).to_owned()));
    match made {
        Ok(config) => {
            unsafe { *out = Arc::into_raw(Arc::new(config)) as *mut c_void };
            RUM_OK
        }
        Err(text) => {
            write_error(error, error_size, &text);
            RUM_E_ARGUMENT
        }
    }
}

unsafe extern "C" fn config_free<M: Module>(config: *mut c_void) {
    let config = unsafe { Arc::from_raw(config as *const M::Config) };
    guard("the drop of a configuration", None, || drop(config));
}

unsafe extern "C" fn worker_start<M: Module>(
    worker: *mut rum_worker,
    config: *const c_void,
    out: *mut *mut c_void,
) -> i32 {
    let (worker, config) = unsafe { (Worker::<M>::of(worker), config_of::<M>(config)) };
    match guard("start", None, || M::start(&worker, &config)) {
        Some(Ok(data)) => {
            unsafe { *out = Box::into_raw(Box::new(WorkerData { worker, data })) as *mut c_void };
            RUM_OK
        }
        Some(Err(text)) => {
            log(Level::Error, &text);
            RUM_E_FAILED
        }
        None => RUM_E_FAILED,
    }
}

unsafe extern "C" fn worker_reload<M: Module>(worker_data: *mut c_void, config: *const c_void) {
    let config = unsafe { config_of::<M>(config) };
    let data = unsafe { &mut *(worker_data as *mut WorkerData<M>) };
    guard("reload", None, || M::reload(&mut data.data, &config));
}

unsafe extern "C" fn worker_stop<M: Module>(worker_data: *mut c_void) {
    let data = unsafe { Box::from_raw(worker_data as *mut WorkerData<M>) };
    guard("the drop of a worker's data", None, || drop(data));
}

/// What open() and probe() have in common.
unsafe fn open_by<M: Module>(
    hook: &str,
    session: *mut rum_session,
    config: *const c_void,
    worker_data: *mut c_void,
    out: *mut *mut c_void,
    open: impl FnOnce(&Session, Opening<'_, M>) -> Result<M, Error>,
) -> i32 {
    let (session, config) = unsafe { (Session::of(session), config_of::<M>(config)) };
    let data = unsafe { &mut *(worker_data as *mut WorkerData<M>) };
    let with = Opening { config: &config, worker: &data.worker, data: &mut data.data };
    match guard(hook, None, || open(&session, with)) {
        Some(Ok(module)) => {
            let state = Box::new(State { module, panicked: false });
            unsafe { *out = Box::into_raw(state) as *mut c_void };
            RUM_OK
        }
        Some(Err(error)) => error.status(),
        None => RUM_E_FAILED,
    }
}

unsafe extern "C" fn session_open<M: Module>(
    session: *mut rum_session,
    config: *const c_void,
    worker_data: *mut c_void,
    out: *mut *mut c_void,
) -> i32 {
    unsafe { open_by::<M>("open", session, config, worker_data, out, M::open) }
}

unsafe extern "C" fn probe_open<M: Module>(
    session: *mut rum_session,
    config: *const c_void,
    worker_data: *mut c_void,
    probe: *const rum_probe,
    out: *mut *mut c_void,
) -> i32 {
    let probe = unsafe { &*probe };
    let (destination, user) = unsafe {
        (
            (!probe.destination.is_null()).then(|| CStr::from_ptr(probe.destination).to_bytes()),
            (!probe.user.is_null()).then(|| bytes_of(probe.user as *const u8, probe.user_size)),
        )
    };
    let probe = Probe { is_default: probe.is_default == 1, destination, user };
    unsafe {
        open_by::<M>("probe", session, config, worker_data, out, |s, with| M::probe(s, probe, with))
    }
}

/// Runs a hook of a session; None: it has panicked, now or before.
unsafe fn with<M: Module, T>(
    hook: &str,
    data: *mut c_void,
    session: *mut rum_session,
    run: impl FnOnce(&mut M, &Session) -> T,
) -> Option<T> {
    let (state, session) = unsafe { (&mut *(data as *mut State<M>), Session::of(session)) };
    if state.panicked {
        return None;
    }
    let done = guard(hook, Some(&session), || run(&mut state.module, &session));
    state.panicked = done.is_none();
    done
}

fn consumed(answer: Option<Result<usize, Breach>>) -> i64 {
    match answer {
        Some(Ok(size)) => i64::try_from(size).unwrap_or(i64::MAX),
        Some(Err(Breach)) => RUM_E_ARGUMENT as i64,
        None => 0, // the session ends
    }
}

unsafe extern "C" fn client_data<M: Module>(
    data: *mut c_void,
    session: *mut rum_session,
    bytes: *const u8,
    size: usize,
) -> i64 {
    consumed(unsafe {
        let bytes = bytes_of(bytes, size);
        with("client_data", data, session, |m: &mut M, s| m.client_data(s, bytes))
    })
}

unsafe extern "C" fn upstream_data<M: Module>(
    data: *mut c_void,
    session: *mut rum_session,
    bytes: *const u8,
    size: usize,
) -> i64 {
    consumed(unsafe {
        let bytes = bytes_of(bytes, size);
        with("upstream_data", data, session, |m: &mut M, s| m.upstream_data(s, bytes))
    })
}

unsafe extern "C" fn upstream_open<M: Module>(
    data: *mut c_void,
    session: *mut rum_session,
    reason: u32,
) {
    let outcome = if reason == 0 { Ok(()) } else { Err(Reason(reason)) };
    unsafe { with("upstream_open", data, session, |m: &mut M, s| m.upstream_open(s, outcome)) };
}

unsafe extern "C" fn looked_up<M: Module>(
    data: *mut c_void,
    session: *mut rum_session,
    status: i32,
    value: *const u8,
    size: usize,
) {
    let answer = match status {
        RUM_FOUND => Lookup::Found(Record(unsafe { bytes_of(value, size) })),
        RUM_NOT_FOUND => Lookup::NotFound,
        _ => Lookup::Unavailable,
    };
    unsafe { with("looked_up", data, session, |m: &mut M, s| m.looked_up(s, answer)) };
}

unsafe extern "C" fn shared_found<M: Module>(
    data: *mut c_void,
    session: *mut rum_session,
    status: i32,
    value: *const u8,
    size: usize,
) {
    let answer = match status {
        RUM_FOUND => Ok(Some(unsafe { bytes_of(value, size) })),
        RUM_NOT_FOUND => Ok(None),
        _ => Err(Error::from(status)),
    };
    unsafe { with("shared_found", data, session, |m: &mut M, s| m.shared_found(s, answer)) };
}

unsafe extern "C" fn tls_open<M: Module>(
    data: *mut c_void,
    session: *mut rum_session,
    side: u32,
    status: i32,
) {
    unsafe {
        with("tls_open", data, session, |m: &mut M, s| {
            m.tls_open(s, Side::of(side), Error::of(status))
        })
    };
}

unsafe extern "C" fn side_end<M: Module>(
    data: *mut c_void,
    session: *mut rum_session,
    side: u32,
) -> i32 {
    match unsafe { with("side_end", data, session, |m: &mut M, s| m.side_end(s, Side::of(side))) } {
        Some(End::Keep) => RUM_KEEP,
        _ => RUM_END,
    }
}

unsafe extern "C" fn refused_open<M: Module>(
    session: *mut rum_session,
    config: *const c_void,
    worker_data: *mut c_void,
    reason: u32,
    out: *mut *mut c_void,
) -> i32 {
    let reason = Reason(reason);
    unsafe {
        open_by::<M>("refused", session, config, worker_data, out, |s, with| {
            M::refused(s, reason, with)
        })
    }
}
unsafe extern "C" fn drained<M: Module>(data: *mut c_void, session: *mut rum_session, side: u32) {
    unsafe { with("drained", data, session, |m: &mut M, s| m.drained(s, Side::of(side))) };
}
unsafe extern "C" fn timeout<M: Module>(data: *mut c_void, session: *mut rum_session, ticket: u64) {
    unsafe { with("timeout", data, session, |m: &mut M, s| m.timeout(s, Timer(ticket))) };
}

unsafe extern "C" fn resumed<M: Module>(
    data: *mut c_void,
    session: *mut rum_session,
    ticket: u64,
    status: i32,
    payload: *mut c_void,
) {
    let with_what = Resumed { ticket, status, payload: unsafe { take_payload(payload) } };
    unsafe { with("resumed", data, session, |m: &mut M, s| m.resumed(s, with_what)) };
}

unsafe extern "C" fn session_close<M: Module>(
    data: *mut c_void,
    session: *mut rum_session,
    reason: u32,
) {
    unsafe { with("close", data, session, |m: &mut M, s| m.close(s, Reason(reason))) };
    let state = unsafe { Box::from_raw(data as *mut State<M>) };
    guard("the drop of a session", None, || drop(state));
}

unsafe extern "C" fn refusal<M: Module>(
    config: *const c_void,
    reason: u32,
    bytes: *mut u8,
    size: usize,
) -> usize {
    let config = unsafe { config_of::<M>(config) };
    let words = guard("refusal", None, || M::refusal(&config, Reason(reason))).unwrap_or_default();
    unsafe { write_out(&words, bytes, size) }
}

unsafe extern "C" fn stats<M: Module>(
    config: *const c_void,
    json: *mut c_char,
    size: usize,
) -> usize {
    let config = unsafe { config_of::<M>(config) };
    let text = guard("stats", None, || M::stats(&config)).unwrap_or_default();
    // Not cut, nor empty: that would be no JSON object.
    let text = if text.is_empty() || text.len() > size { "{}" } else { text.as_str() };
    unsafe { write_out(text.as_bytes(), json as *mut u8, size) }
}

/// Returns how many bytes were written: what does not fit is cut.
unsafe fn write_out(words: &[u8], out: *mut u8, size: usize) -> usize {
    let length = words.len().min(size);
    if length > 0 {
        unsafe { std::ptr::copy_nonoverlapping(words.as_ptr(), out, length) };
    }
    length
}
