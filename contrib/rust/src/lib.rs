//! Modules for the rum proxy in safe Rust.
//!
//! A module is a type that implements [`Module`], one value for each session, and the line
//! `rum::module!(Type);`. Build it as a `cdylib`. The contract itself is the header `rum/module.h`,
//! which [`ffi`] binds; this layer adds what makes it safe:
//!
//! - hooks get references and slices that are good until the hook returns, and so does [`Session`], by
//!   which all calls about a session are made;
//! - memory of sessions, configurations and workers is freed by this layer;
//! - a panic ends its session with the reason `module` and a line in the log, and rum goes on (build
//!   with the default `panic=unwind`);
//! - what the rum that runs does not have answers [`Error::Unsupported`].
//!
//! ```ignore
//! use rum::{text, Breach, Error, Opening, Session, Side, Text};
//!
//! struct Echo;
//!
//! impl rum::Module for Echo {
//!     const NAME: Text = text!("echo");
//!     const VERSION: Text = text!("1.0");
//!     const SUMMARY: Text = text!("sends everything back");
//!     type Config = ();
//!     type Worker = ();
//!
//!     fn open(_: &Session, _: Opening<'_, Self>) -> Result<Self, Error> {
//!         Ok(Echo)
//!     }
//!     fn client_data(&mut self, s: &Session, bytes: &[u8]) -> Result<usize, Breach> {
//!         let _ = s.send(Side::Client, bytes);
//!         Ok(bytes.len())
//!     }
//! }
//! rum::module!(Echo);
//! ```
#![deny(unsafe_op_in_unsafe_fn)]

pub mod ffi;
mod hooks;
mod host;
mod session;
mod tables;
mod worker;

pub use hooks::Table;
pub use host::{
    load, log, micros, now, save, shared, take_shared, user_names, version, Level, Record,
};
pub use session::{
    End, Error, Lookup, Reason, Refused, Resumed, Session, Side, Ticket, Timer, TlsMode,
};
pub use tables::{Metric, Opt, Text, Values};
pub use worker::{Worker, WorkerTicket, WorkerTimer};

use std::sync::Arc;

/// The side broke the protocol: rum ends the session with that reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breach;

/// What a session or a probe is opened with.
pub struct Opening<'a, M: Module> {
    /// The session keeps it by cloning the `Arc`: a reload makes a new one.
    pub config: &'a Arc<M::Config>,
    /// The thread of the session, and what belongs to it.
    pub worker: &'a Worker<M>,
    pub data: &'a mut M::Worker,
}

/// What a probe is for; see `rum_probe` in the header.
pub struct Probe<'a> {
    pub is_default: bool,
    /// None: only where `user` would be sent is asked.
    pub destination: Option<&'a [u8]>,
    /// Who is asked about; None: nobody.
    pub user: Option<&'a [u8]>,
}

/// A module: one value for each session, and functions of the whole. All but the first three constants,
/// the types and `open` have a default, which is what the header says of a hook that is NULL.
pub trait Module: Sized + 'static {
    /// `[a-z][a-z0-9_]*`
    const NAME: Text;
    const VERSION: Text;
    /// One line, shown in `--help`.
    const SUMMARY: Text;
    /// What the user may set.
    const OPTIONS: &'static [Opt] = &[];
    /// What is counted: [`Session::count`] takes the index.
    const METRICS: &'static [Metric] = &[];
    /// The bytes with which a client takes its leave, at most 8; see `farewell` in the header.
    const FAREWELL: &'static [u8] = b"";
    /// rum may make sessions without a client by `probe`.
    const PROBES: bool = false;
    /// Whether there is `refused`.
    const REFUSES: bool = false;
    /// The module uses the table that all workers see; without it there is none.
    const SHARES: bool = false;

    /// The options in the form that sessions use. It does not change: a reload makes a new one.
    type Config: Send + Sync + 'static;
    /// What belongs to one worker thread. Sessions of a worker run one at a time, on its thread: an
    /// `Rc` in here may be cloned by them.
    type Worker: 'static;

    /// [main] At the start and at every reload. An error is a sentence, which rum shows; at the start it
    /// ends then, at a reload it keeps what it has. Needed unless `Config` is `()`.
    fn config(values: &Values<'_>) -> Result<Self::Config, String> {
        let _ = values;
        tables::unit("config")
    }
    /// [worker] A worker begins. An error: rum does not start. Needed unless `Worker` is `()`.
    fn start(worker: &Worker<Self>, config: &Arc<Self::Config>) -> Result<Self::Worker, String> {
        let _ = (worker, config);
        tables::unit("start")
    }
    /// [worker] Sessions to come get this configuration.
    fn reload(data: &mut Self::Worker, config: &Arc<Self::Config>) {
        let _ = (data, config);
    }
    /// [worker] A client has connected. An error: it is closed, and no hook follows.
    fn open(s: &Session, with: Opening<'_, Self>) -> Result<Self, Error>;
    /// [worker] All unconsumed bytes of the client. Returns how many are consumed: 0 waits for more.
    fn client_data(&mut self, s: &Session, bytes: &[u8]) -> Result<usize, Breach> {
        let _ = (s, bytes);
        Ok(0)
    }
    /// [worker] The same of the upstream.
    fn upstream_data(&mut self, s: &Session, bytes: &[u8]) -> Result<usize, Breach> {
        let _ = (s, bytes);
        Ok(0)
    }
    /// [worker] What has become of `connect()`. With an error the session ends after the hook, unless
    /// it connects again.
    fn upstream_open(&mut self, s: &Session, outcome: Result<(), Reason>) {
        let _ = (s, outcome);
    }
    /// [worker] The answer to `lookup()`.
    fn looked_up(&mut self, s: &Session, answer: Lookup<'_>) {
        let _ = (s, answer);
    }
    /// [worker] The answer to `find_shared()`: the value, or none if no process has one. An error: that
    /// is unknown.
    fn shared_found(&mut self, s: &Session, answer: Result<Option<&[u8]>, Error>) {
        let _ = (s, answer);
    }
    /// [worker] What has become of `start_tls()`. With an error the session ends after the hook.
    fn tls_open(&mut self, s: &Session, side: Side, outcome: Result<(), Error>) {
        let _ = (s, side, outcome);
    }
    /// [worker] A side has sent all it will send.
    fn side_end(&mut self, s: &Session, side: Side) -> End {
        let _ = (s, side);
        End::End
    }
    /// [worker] A timer is over.
    fn timeout(&mut self, s: &Session, timer: Timer) {
        let _ = (s, timer);
    }
    /// [worker] What `Session::wait_until_drained` was called for: few bytes wait for the side.
    fn drained(&mut self, s: &Session, side: Side) {
        let _ = (s, side);
    }
    /// [worker] A pause has ended.
    fn resumed(&mut self, s: &Session, with: Resumed) {
        let _ = (s, with);
    }
    /// [worker] The last hook; the value is dropped after it. `send()` still works for last words, if
    /// nothing has been handed to the relay.
    fn close(&mut self, s: &Session, reason: Reason) {
        let _ = (s, reason);
    }
    /// [worker] What to say to a client that is refused before there is a session.
    fn refusal(config: &Self::Config, reason: Reason) -> Vec<u8> {
        let _ = (config, reason);
        Vec::new()
    }
    /// [main] One JSON object about the module for /stats; one that is larger than rum has room for is
    /// left out.
    fn stats(config: &Self::Config) -> String {
        let _ = config;
        "{}".to_owned()
    }
    /// [worker] A client that rum refuses, to be led to an error that the protocol lets it read; see
    /// `refused_open` in the header. `REFUSES` says whether the module does that. An error: rum asks
    /// `refusal`.
    fn refused(s: &Session, reason: Reason, with: Opening<'_, Self>) -> Result<Self, Error> {
        let _ = (s, reason, with);
        Err(Error::Unsupported)
    }
    /// [worker] A session without a client; see `probe_open` in the header. `PROBES` says whether there
    /// are any.
    fn probe(s: &Session, probe: Probe<'_>, with: Opening<'_, Self>) -> Result<Self, Error> {
        let _ = (s, probe, with);
        Err(Error::Unsupported)
    }
}

/// Makes the type the module of this shared object: the one symbol that rum looks for.
#[macro_export]
macro_rules! module {
    ($module:ty) => {
        #[no_mangle]
        #[allow(non_upper_case_globals)]
        pub static rum_module_v1: $crate::Table = $crate::Table::of::<$module>();
    };
}

/// Constant text for tables, which ends with NUL behind the scenes.
#[macro_export]
macro_rules! text {
    ($text:expr) => {
        $crate::Text::ended(concat!($text, "\0"))
    };
}
