//! Work of a worker that belongs to no session.
use crate::ffi::*;
use crate::hooks::{guard, WorkerData};
use crate::host::{call, host};
use crate::session::Error;
use crate::Module;
use std::ffi::c_void;
use std::marker::PhantomData;

/// What is to run on a worker, with what belongs to it.
type Job<M> = Box<dyn FnOnce(&Worker<M>, &mut <M as Module>::Worker)>;

/// A worker thread. [worker]
pub struct Worker<M: Module> {
    raw: *mut rum_worker,
    module: PhantomData<fn() -> M>,
}

/// A timer of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerTimer(u64);

/// By which any thread reaches a worker. [any]
pub struct WorkerTicket<M> {
    ticket: u64,
    module: PhantomData<fn() -> M>,
}

impl<M> Clone for WorkerTicket<M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M> Copy for WorkerTicket<M> {}

impl<M: Module> Worker<M> {
    /// SAFETY: `raw` is a worker, and the value does not outlive that.
    pub(crate) unsafe fn of(raw: *mut rum_worker) -> Worker<M> {
        Worker { raw, module: PhantomData }
    }
    /// Failed logins are counted: for a module that cannot see all of them, and should say so. To be
    /// asked in `start`.
    pub fn counts_failures(&self) -> bool {
        let counts = host().ok().and_then(|h| h.limits.counts_failures);
        // SAFETY: the worker runs.
        counts.map_or(false, |counts| unsafe { counts(self.raw) } == 1)
    }
    /// Calls `run` once after that time, on this worker; when the worker ends before, it is dropped: what
    /// it holds makes no call to rum then but `log` and `now`, so it holds no [`Ticket`](crate::Ticket).
    pub fn timer(
        &self,
        milliseconds: u64,
        run: impl FnOnce(&Worker<M>, &mut M::Worker) + 'static,
    ) -> Result<WorkerTimer, Error> {
        let timer = call!(worker.timer);
        let job: Job<M> = Box::new(run);
        let job = Box::into_raw(Box::new(job)) as *mut c_void;
        // SAFETY: run_job() or drop_job() gets the job once, on this worker; with 0 it stays ours.
        let ticket =
            unsafe { timer(self.raw, milliseconds, Some(run_job::<M>), job, Some(drop_job::<M>)) };
        if ticket == 0 {
            unsafe { drop_job::<M>(job) };
            return Err(Error::Limit);
        }
        Ok(WorkerTimer(ticket))
    }
    pub fn cancel(&self, timer: WorkerTimer) {
        if let Some(cancel) = host().ok().and_then(|h| h.worker.timer_cancel) {
            // SAFETY: the worker runs.
            unsafe { cancel(self.raw, timer.0) }
        }
    }
    pub fn ticket(&self) -> Result<WorkerTicket<M>, Error> {
        // SAFETY: the worker runs.
        Ok(WorkerTicket { ticket: unsafe { call!(worker.ticket)(self.raw) }, module: PhantomData })
    }
    /// Adds to a counter of the module's table.
    pub fn count(&self, metric: u32, delta: u64) {
        if let Some(add) = host().ok().and_then(|h| h.worker.metric_add) {
            // SAFETY: the worker runs.
            unsafe { add(self.raw, metric, delta) }
        }
    }
}

impl<M: Module> WorkerTicket<M> {
    /// [any] Calls `run` on that worker, soon; dropped as by `timer`. State: the worker has ended; Limit: too many wait.
    pub fn post(
        &self,
        run: impl FnOnce(&Worker<M>, &mut M::Worker) + Send + 'static,
    ) -> Result<(), Error> {
        let post = call!(worker.post);
        let job: Job<M> = Box::new(run);
        let job = Box::into_raw(Box::new(job)) as *mut c_void;
        // SAFETY: run_job() or drop_job() gets the job once, on the worker; on an error it stays ours.
        let status =
            Error::of(unsafe { post(self.ticket, Some(run_job::<M>), job, Some(drop_job::<M>)) });
        if status.is_err() {
            unsafe { drop_job::<M>(job) };
        }
        status
    }
}

unsafe extern "C" fn run_job<M: Module>(worker_data: *mut c_void, job: *mut c_void) {
    // SAFETY: rum gives what worker_start stored, and the job once. No hook of this worker runs.
    unsafe {
        let job = Box::from_raw(job as *mut Job<M>);
        let data = &mut *(worker_data as *mut WorkerData<M>);
        guard("a job of a worker", None, || job(&data.worker, &mut data.data));
    }
}

unsafe extern "C" fn drop_job<M: Module>(job: *mut c_void) {
    // SAFETY: made above, and not used again.
    let job = unsafe { Box::from_raw(job as *mut Job<M>) };
    guard("the drop of a job", None, || drop(job));
}
