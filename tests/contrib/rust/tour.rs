//! A module for tests: each line of a client is a command that uses one part of the crate.
#![forbid(unsafe_code)]
use rum::{
    text, Breach, End, Error, Lookup, Metric, Opening, Opt, Probe, Reason, Resumed, Session, Side,
    Text, Timer, TlsMode, Values, Worker, WorkerTicket,
};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

const DROPPED: u32 = 0;

struct Tour {
    config: Arc<Config>,
    sessions: Rc<Cell<u32>>, // of this worker
    jobs: Rc<Cell<u32>>,
    worker: Result<WorkerTicket<Tour>, Error>,
    timer: Option<Timer>,
    ticket: u64,
}

/// What belongs to a worker, and what its sessions see of it.
#[derive(Default)]
struct Data {
    sessions: Rc<Cell<u32>>,
    jobs: Rc<Cell<u32>>,
}

struct Config {
    limit: u64,
    wait: Option<u64>,
    loud: bool,
    colour: String,
}

fn say(s: &Session, text: impl AsRef<[u8]>) {
    let _ = s.send(Side::Client, text);
    let _ = s.send(Side::Client, "\n");
}

impl Tour {
    fn command(&mut self, s: &Session, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "config" => {
                let c = &self.config;
                say(s, format!("{} {:?} {} {}", c.limit, c.wait, c.loud, c.colour));
            }
            "sessions" => say(s, self.sessions.get().to_string()),
            "panic" => panic!("as wanted: {}", rest),
            "peer" => say(s, s.peer(Side::Client)),
            "note" => say(s, format!("{:?} {:?}", s.note("said", rest), s.note("a\0b", rest))),
            "count" => s.count(DROPPED, 5),
            "log" => s.log(rum::Level::Warning, rest),
            "version" => say(s, if rum::version().is_empty() { "none" } else { "some" }),
            "lookup" => {
                let _ = s.identify(rest);
                say(s, format!("{:?} {:?}", s.lookup(rest), s.lookup(rest)));
            }
            "work" => {
                let ticket = s.pause().expect("no pause is out");
                self.ticket = ticket.id();
                assert!(s.pause().is_none());
                let rest = rest.to_owned();
                thread::spawn(move || ticket.resume(7, rest.to_uppercase()));
            }
            "drop" => drop(s.pause()),
            "timer" => {
                s.cancel(s.timer(10).expect("a timer"));
                self.timer = s.timer(self.config.wait.unwrap_or(1));
            }
            "micros" => self.timer = s.timer_micros(500),
            "tls" => {
                let mode = s.tls_mode(Side::Client);
                say(s, format!("{:?} {}", mode, s.tls_active(Side::Client)));
                if mode == TlsMode::Off || s.start_tls(Side::Client, "").is_err() {
                    say(s, "no tls");
                }
            }
            "digest" => say(s, format!("{:?}", s.fingerprint().map(|_| "some"))),
            "connect" => say(s, format!("{:?}", s.connect(rest))),
            "watch" => say(s, format!("{:?}", s.relay_from(Side::Upstream))),
            "forward" => say(s, format!("{:?}", s.forward(Side::Client, 4))),
            "upstream" => say(s, format!("{:?}", s.send(Side::Upstream, rest))),
            "relay" => say(s, format!("{:?}", s.relay())),
            "fail" => {
                s.login_failed();
                say(s, format!("{:?} {:?}", s.blocked(), s.try_login()));
            }
            "confirm" => say(s, format!("{:?}", s.confirm())),
            "wide" => say(s, format!("{:?}", s.lookup(vec![b'x'; 70_000]).is_err())),
            "jobs" => say(s, self.jobs.get().to_string()),
            "post" => {
                let number = rest.len() as u32;
                let ticket = *self.worker.as_ref().expect("a ticket");
                let post = thread::spawn(move || {
                    ticket.post(move |worker, data| {
                        data.jobs.set(data.jobs.get() + number);
                        worker.count(DROPPED, 1);
                    })
                });
                say(s, format!("{:?}", post.join().expect("no panic")));
            }
            "share" => say(s, format!("{:?}", s.share(b"key", rest.as_bytes(), None))),
            "shared" => say(s, format!("{:?}", rum::shared(b"key").map(|v| v.map(|v| v.len())))),
            "take" => say(s, format!("{:?}", rum::take_shared(b"key"))),
            "find" => say(s, format!("{:?}", s.find_shared(rest.as_bytes()))),
            "unshare" => say(s, format!("{:?}", s.unshare(rest.as_bytes()))),
            "bye" => s.close(Reason::CLIENT, "bye"),
            _ => say(s, "what?"),
        }
    }
}

impl Drop for Tour {
    fn drop(&mut self) {
        self.sessions.set(self.sessions.get() - 1);
    }
}

impl rum::Module for Tour {
    const NAME: Text = text!("tour");
    const VERSION: Text = text!("1.0");
    const SUMMARY: Text = text!("uses each part of the crate");
    const OPTIONS: &'static [Opt] = &[
        Opt::number(text!("tour-limit"), text!("N"), text!("A number")).or(text!("3")).short('y'),
        Opt::duration(text!("tour-wait"), text!("TIME"), text!("A time")),
        Opt::flag(text!("tour-loud"), text!("A flag")),
        Opt::choice(text!("tour-colour"), text!("red|blue"), text!("A word")).or(text!("red")),
    ];
    const METRICS: &'static [Metric] =
        &[Metric::new(text!("tour_dropped"), text!("What is counted"))];
    const PROBES: bool = true;
    type Config = Config;
    const SHARES: bool = true;
    type Worker = Data;

    fn config(values: &Values<'_>) -> Result<Config, String> {
        let limit = values.number("tour-limit").unwrap_or(0);
        if limit == 66 {
            panic!("this number panics");
        }
        Ok(Config {
            limit,
            wait: values.number("tour-wait"),
            loud: values.flag("tour-loud"),
            colour: String::from_utf8_lossy(values.text("tour-colour").unwrap_or(b"")).into(),
        })
    }
    fn start(worker: &Worker<Self>, _: &Arc<Config>) -> Result<Data, String> {
        worker.cancel(
            worker.timer(100, |_, _| panic!("it was cancelled")).map_err(|e| e.to_string())?,
        );
        worker
            .timer(60_000, |_, data| data.jobs.set(data.jobs.get() + 1000))
            .map_err(|e| e.to_string())?;
        let _ = worker.counts_failures();
        Ok(Data::default())
    }
    fn open(_: &Session, with: Opening<'_, Self>) -> Result<Self, Error> {
        let (sessions, jobs) = (Rc::clone(&with.data.sessions), Rc::clone(&with.data.jobs));
        sessions.set(sessions.get() + 1);
        Ok(Tour {
            config: Arc::clone(with.config),
            sessions,
            jobs,
            worker: with.worker.ticket(),
            timer: None,
            ticket: 0,
        })
    }
    fn client_data(&mut self, s: &Session, bytes: &[u8]) -> Result<usize, Breach> {
        let end = match bytes.iter().position(|&b| b == b'\n') {
            None if bytes.len() > 100 => return Err(Breach),
            None => return Ok(0),
            Some(end) => end,
        };
        let line = std::str::from_utf8(&bytes[..end]).map_err(|_| Breach)?.to_owned();
        self.command(s, &line);
        Ok(end + 1)
    }
    fn upstream_data(&mut self, s: &Session, bytes: &[u8]) -> Result<usize, Breach> {
        let _ = s.send(Side::Client, bytes);
        Ok(bytes.len())
    }
    fn looked_up(&mut self, s: &Session, answer: Lookup<'_>) {
        match answer {
            Lookup::Found(record) => {
                let admitted = s.admit(record.0);
                say(s, format!("{:?}", admitted));
                say(s, record.secret());
                say(s, record.destination());
                let column = record.column("tour-box").map(|c| c.map(String::from_utf8));
                say(s, format!("{:?} {:?}", column, record.column("wrong\0name")));
            }
            other => say(s, format!("{:?}", other)),
        }
    }
    fn shared_found(&mut self, s: &Session, answer: Result<Option<&[u8]>, Error>) {
        say(s, format!("{:?}", answer.map(|v| v.map(|v| v.len()))));
    }
    fn upstream_open(&mut self, s: &Session, outcome: Result<(), Reason>) {
        say(s, format!("{:?}", outcome.is_ok()));
    }
    fn tls_open(&mut self, s: &Session, side: Side, outcome: Result<(), Error>) {
        say(s, format!("{:?} {:?} {}", side, outcome, s.tls_active(side)));
    }
    fn side_end(&mut self, s: &Session, side: Side) -> End {
        say(s, format!("end of {:?}", side));
        if side == Side::Upstream {
            End::Keep
        } else {
            End::End
        }
    }
    fn timeout(&mut self, s: &Session, timer: Timer) {
        assert_eq!(self.timer, Some(timer));
        say(s, "rang");
    }
    fn resumed(&mut self, s: &Session, with: Resumed) {
        assert!(with.payload.is_none() || with.ticket == self.ticket);
        let text = with.payload.and_then(|p| p.downcast::<String>().ok());
        say(s, format!("{} {:?}", with.status, text));
    }
    fn close(&mut self, s: &Session, reason: Reason) {
        if reason == Reason::LOGIN_TIMEOUT {
            say(s, "too late");
        }
    }
    fn refusal(config: &Config, reason: Reason) -> Vec<u8> {
        format!("{} no {}\n", config.colour, reason == Reason::LIMIT).into_bytes()
    }
    fn stats(config: &Config) -> String {
        format!("{{\"limit\":{}}}", config.limit)
    }
    fn probe(s: &Session, _: Probe<'_>, with: Opening<'_, Self>) -> Result<Self, Error> {
        s.close(Reason::PROBED, "");
        Tour::open(s, with)
    }
}

rum::module!(Tour);
