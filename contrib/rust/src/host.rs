//! What rum does for a module, without a session.
use crate::ffi::*;
use crate::session::Error;
use std::ffi::{c_void, CStr, CString};
use std::os::raw::c_char;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Copies of the tables of the rum that runs: what it does not have is None.
pub(crate) struct Host {
    pub calls: rum_host,
    pub tls: rum_tls,
    pub limits: rum_limits,
    pub state: rum_state,
    pub clock: rum_clock,
    pub process: rum_process,
    pub records: rum_records,
    pub worker: rum_worker_calls,
    pub shared: rum_shared,
    pub sessions: rum_sessions,
    pub queue: rum_queue,
    /// rum-check calls init again, and looks for memory that nothing points at.
    #[allow(dead_code)]
    before: *mut Host,
}

static HOST: AtomicPtr<Host> = AtomicPtr::new(null_mut());

/// Error::Unsupported outside of rum, as in a unit test.
pub(crate) fn host() -> Result<&'static Host, Error> {
    // SAFETY: set once by keep(), to what is never freed.
    unsafe { HOST.load(Ordering::Acquire).as_ref() }.ok_or(Error::Unsupported)
}

/// A member of a table of the host, or Error::Unsupported.
macro_rules! call {
    ($group:ident.$name:ident) => {
        crate::host::host()?.$group.$name.ok_or(crate::session::Error::Unsupported)?
    };
}
pub(crate) use call;

/// SAFETY: T consists of integers, pointers and Options of functions, for all of which zero is a value,
/// and begins with its size; `table` is NULL or a table of that size.
unsafe fn copy<T: Copy>(table: *const c_void) -> T {
    // SAFETY: as said above.
    unsafe {
        let mut copied = std::mem::zeroed::<T>();
        if !table.is_null() {
            let size = (*(table as *const u32) as usize).min(std::mem::size_of::<T>());
            std::ptr::copy_nonoverlapping(
                table as *const u8,
                &mut copied as *mut T as *mut u8,
                size,
            );
        }
        copied
    }
}

/// [main] SAFETY: `host` is what rum gave to init.
pub(crate) unsafe fn keep(host: *const rum_host, shares: bool) {
    // SAFETY: a table of the host and its groups, by their names.
    unsafe {
        let calls: rum_host = copy(host as *const c_void);
        let group = |name: &str| match calls.extension {
            Some(extension) => extension(name.as_ptr() as *const c_char),
            None => std::ptr::null(),
        };
        let kept = Host {
            calls,
            tls: copy(group(RUM_TLS_1)),
            limits: copy(group(RUM_LIMITS_1)),
            state: copy(group(RUM_STATE_1)),
            clock: copy(group(RUM_CLOCK_1)),
            process: copy(group(RUM_PROCESS_1)),
            records: copy(group(RUM_RECORDS_1)),
            worker: copy(group(RUM_WORKER_1)),
            shared: copy(if shares { group(RUM_SHARED_1) } else { std::ptr::null() }),
            sessions: copy(group(RUM_SESSIONS_1)),
            queue: copy(group(RUM_QUEUE_1)),
            before: HOST.load(Ordering::Acquire),
        };
        HOST.store(Box::into_raw(Box::new(kept)), Ordering::Release);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Error = RUM_LOG_ERROR as isize,
    Warning = RUM_LOG_WARNING as isize,
    Info = RUM_LOG_INFO as isize,
    Debug = RUM_LOG_DEBUG as isize,
}

/// [any] One line to the log. Never a secret.
pub fn log(level: Level, text: &str) {
    write_log(null_mut(), level, text)
}

pub(crate) fn write_log(session: *mut rum_session, level: Level, text: &str) {
    if let Some(log) = host().ok().and_then(|h| h.calls.log) {
        // SAFETY: the session is NULL, or of the running hook.
        unsafe { log(session, level as u32, text.as_ptr() as *const c_char, text.len()) }
    }
}

/// [any] Milliseconds on a clock that never jumps.
pub fn now() -> u64 {
    // SAFETY: a call without arguments.
    host().ok().and_then(|h| h.calls.now).map_or(0, |now| unsafe { now() })
}

/// [any] Microseconds on such a clock.
pub fn micros() -> Result<u64, Error> {
    // SAFETY: a call without arguments.
    Ok(unsafe { call!(clock.now)() })
}

/// [any] Of the rum that runs.
pub fn version() -> &'static str {
    let version = host().map_or(std::ptr::null(), |h| h.calls.version);
    if version.is_null() {
        return "";
    }
    // SAFETY: rum's text lives as long as the process.
    unsafe { CStr::from_ptr(version) }.to_str().unwrap_or("")
}

fn ended(text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::Argument)
}

/// [any] Keeps a few bytes beyond the end of the process. The name starts with the module's.
pub fn save(name: &str, bytes: &[u8]) -> Result<(), Error> {
    let name = ended(name)?;
    // SAFETY: rum copies both.
    Error::of(unsafe {
        call!(state.save)(name.as_ptr(), bytes.as_ptr() as *const c_void, bytes.len())
    })
}

/// [main] In `config`: what was kept last. None: nothing. Anybody may have changed it.
pub fn load(name: &str) -> Result<Option<Vec<u8>>, Error> {
    let name = ended(name)?;
    let load = call!(state.load);
    // SAFETY: as many bytes are written as there is room for.
    let size = unsafe { load(name.as_ptr(), null_mut(), 0) };
    let mut bytes = vec![0u8; size];
    let size = unsafe { load(name.as_ptr(), bytes.as_mut_ptr() as *mut c_void, bytes.len()) };
    bytes.truncate(size);
    Ok((size > 0).then_some(bytes))
}

/// [any] All names that the system has for the user that rum runs as.
pub fn user_names() -> Result<Vec<Vec<u8>>, Error> {
    let names = call!(process.user_names);
    // SAFETY: as many bytes are written as there is room for.
    let mut text = vec![0u8; unsafe { names(null_mut(), 0) }];
    let size = unsafe { names(text.as_mut_ptr() as *mut c_char, text.len()) };
    text.truncate(size);
    Ok(text.split(|&b| b == 0).filter(|n| !n.is_empty()).map(<[u8]>::to_vec).collect())
}

/// Calls `ask` with room for a value, and again with as much as it says that it needs.
pub(crate) fn value(
    ask: impl Fn(*mut c_void, *mut usize) -> i32,
) -> Result<Option<Vec<u8>>, Error> {
    let mut room = vec![0u8; 512];
    for _ in 0..8 {
        let mut size = room.len();
        match ask(room.as_mut_ptr() as *mut c_void, &mut size) {
            RUM_FOUND => {
                room.truncate(size);
                return Ok(Some(room));
            }
            RUM_NOT_FOUND => return Ok(None),
            RUM_E_LIMIT if size > room.len() => room.resize(size, 0),
            status => return Err(Error::from(status)),
        }
    }
    Err(Error::Limit) // it grows faster than it can be read
}

fn find_shared(
    find: unsafe extern "C" fn(*const c_void, usize, *mut c_void, *mut usize) -> i32,
    key: &[u8],
) -> Result<Option<Vec<u8>>, Error> {
    // SAFETY: the key is only read, and `value` gives room of the size that it says.
    value(|room, size| unsafe { find(key.as_ptr() as *const c_void, key.len(), room, size) })
}

/// [any] What any worker has put into the shared table under this key; see `Session::share`.
pub fn shared(key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    find_shared(call!(shared.get), key)
}

/// [any] The same, and it is gone: of several who take it one gets it.
pub fn take_shared(key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    find_shared(call!(shared.take), key)
}

/// A record of the user map, as `looked_up` gets it or a copy of it.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a>(pub &'a [u8]);

impl<'a> Record<'a> {
    fn parts(&self) -> Result<rum_record, Error> {
        let parse = call!(records.parse);
        // SAFETY: zero is a value of each member; rum fills in as much as struct_size says.
        unsafe {
            let mut parts = std::mem::zeroed::<rum_record>();
            parts.struct_size = std::mem::size_of::<rum_record>() as u32;
            Error::of(parse(self.0.as_ptr() as *const c_void, self.0.len(), &mut parts))?;
            Ok(parts)
        }
    }
    fn part(&self, of: impl Fn(&rum_record) -> (*const c_char, usize)) -> &'a [u8] {
        match self.parts().map(|parts| of(&parts)) {
            // SAFETY: points into the record.
            Ok((p, size)) if size > 0 => unsafe {
                std::slice::from_raw_parts(p as *const u8, size)
            },
            _ => &[],
        }
    }
    /// As `Session::connect` takes it; empty: the record has none, or cannot be read.
    pub fn destination(&self) -> &'a [u8] {
        self.part(|parts| (parts.destination, parts.destination_size))
    }
    /// Empty: none is stored. Never to a log.
    pub fn secret(&self) -> &'a [u8] {
        self.part(|parts| (parts.secret, parts.secret_size))
    }
    /// The module's own column, such as `pop3-quota`.
    pub fn column(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let name = ended(name)?;
        let column = call!(records.column);
        value(|room, size| {
            // SAFETY: the record and the name are only read, and the room is of the size that it says.
            unsafe {
                column(self.0.as_ptr() as *const c_void, self.0.len(), name.as_ptr(), room, size)
            }
        })
    }
}
