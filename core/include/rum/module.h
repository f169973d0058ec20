/* rum/module.h: the contract between the rum proxy and its modules, version 1.
 *
 * A module is a shared object that exports one symbol, `rum_module_v1`, a constant `rum_module`.
 * rum owns sockets, buffers, timers, the user map, logs and statistics. A module owns the dialogue:
 * who the client is, which server it goes to, and what is rewritten.
 *
 * RULES
 *  1. The symbol's name is the major version, the sizes are the minor one. Both tables grow only at
 *     the end. Each side copies the smaller of the two sizes over zeroes, so a hook or a host call
 *     that the other side lacks reads NULL. A table row (rum_option, rum_metric) grows the same
 *     way; its size is in the module table.
 *  2. Every hook may be NULL. Its comment says what happens then.
 *  3. Handles are opaque. A `rum_session *` is valid from session_open until session_close returns,
 *     and only on its own thread.
 *  4. Whoever allocates frees. rum copies what it is given, unless a comment says otherwise. A
 *     pointer given to a hook is valid until that hook returns. `config` and a module's own
 *     pointers live longer, as the comments of the hooks that make them say.
 *  5. No host call calls a hook before the running hook has returned, so a module needs no guard
 *     against re-entry for one session.
 *  6. Thread tags: [main] the starting thread, one call at a time; [worker] the thread that owns
 *     the session, the same for its whole life; [any] any thread at any time.
 *  7. No exception, no longjmp and no exit() crosses this interface. Text is UTF-8 or plain bytes
 *     with a size; only `const char *` without a size ends with NUL.
 *
 * VERSIONS
 *   Within version 1 nothing is removed, moved or given another meaning or value. Minor versions of
 *   rum add hooks, host calls, members of tables and reasons at the end, and groups of calls. A
 *   group, too, grows only at its end; if its meaning must change, a group of another revision,
 *   "rum.NAME/2", is added, and the old one stays. So a module built for version 1 runs with each
 *   later rum of version 1. An incompatible change is version 2: another symbol, in a new major
 *   version of rum.
 *   Groups "rum.draft.NAME/0" are experimental: each release may change or remove them. rum does
 *   not refuse a module that asks for one; the module must check that struct_size is exactly what
 *   it was built for, and work without the group.
 *
 * ORDER OF THE HOOKS
 *   init -> config_new -> worker_start (each worker) -> sessions -> worker_stop -> config_free
 *   session_open -> any of { client_data, upstream_open, upstream_data, looked_up, tls_open,
 *   side_end, timeout, resumed, drained, shared_found } in the order of events -> session_close,
 *   exactly once for every session_open that returned RUM_OK.
 *   A probe is a session without a client: probe_open replaces session_open; the rest is the same.
 *   A refused client may get a session, too: refused_open replaces session_open.
 *
 * CHANGES
 *   1.0 (rum 1.0): first version, with the groups "rum.tls/1", "rum.limits/1", "rum.state/1",
 *     "rum.clock/1", "rum.process/1", "rum.records/1", "rum.worker/1", "rum.shared/1",
 *     "rum.sessions/1", "rum.queue/1" and "rum.keep/1", and probes.
 */
#ifndef RUM_MODULE_H
#define RUM_MODULE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A number: in C an enumerator, which other languages can import like the types; in C++ a
 * constant of the type that hooks and calls use for it. The only macros are these two, the names
 * of groups, which are text, and those at the end of this file. */
#ifdef __cplusplus
#define RUM_INT(name, value) constexpr int32_t name = value
#define RUM_UINT(name, value) constexpr uint32_t name = value
#else
#define RUM_INT(name, value) enum { name = value }
#define RUM_UINT(name, value) enum { name = value }
#endif

RUM_UINT(RUM_MODULE_ABI, 1);

/* One session: a client's connection and, once connected, its upstream's. */
typedef struct rum_session rum_session;
/* One worker thread. */
typedef struct rum_worker rum_worker;

/* The two sides of a session. */
RUM_UINT(RUM_CLIENT, 0);
RUM_UINT(RUM_UPSTREAM, 1);

/* Results of host calls and hooks: zero is success, negative is an error. */
RUM_INT(RUM_OK, 0);
RUM_INT(RUM_E_ARGUMENT, -1);    /* an invalid pointer, size, side or text */
RUM_INT(RUM_E_STATE, -2);       /* not now: no such side yet, one is under way, session closing */
RUM_INT(RUM_E_LIMIT, -3);       /* a limit of rum is reached; the session should be closed */
RUM_INT(RUM_E_MEMORY, -4);      /* out of memory */
RUM_INT(RUM_E_UNSUPPORTED, -5); /* not built in or not configured: TLS without a certificate */
RUM_INT(RUM_E_FAILED, -6);      /* any other failure */
RUM_INT(RUM_E_AGAIN, -7);       /* the session is paused; ask again when `resumed` is called */
/* Status of looked_up, and of calls that look something up. */
RUM_INT(RUM_FOUND, 0);
RUM_INT(RUM_NOT_FOUND, 1);
RUM_INT(RUM_SEEN, 2); /* of remove(): it was there, and somebody had found it */
/* Answer of side_end. */
RUM_INT(RUM_END, 0);
RUM_INT(RUM_KEEP, 1);

/* Levels of log(). */
RUM_UINT(RUM_LOG_ERROR, 0);
RUM_UINT(RUM_LOG_WARNING, 1);
RUM_UINT(RUM_LOG_INFO, 2);
RUM_UINT(RUM_LOG_DEBUG, 3);

/* End reasons. rum(8), "end reasons", has their words, counters and explanations. A module closes
 * with one of those marked (module). Only rum itself uses the others; session_close and
 * upstream_open receive them. */
RUM_UINT(RUM_CLOSE_CLIENT, 1);              /* the client closed after the login (module) */
RUM_UINT(RUM_CLOSE_UPSTREAM, 2);            /* the upstream closed after the login (module) */
RUM_UINT(RUM_CLOSE_CLIENT_RESET, 3);        /* the client's connection broke */
RUM_UINT(RUM_CLOSE_UPSTREAM_RESET, 4);      /* the upstream's connection broke */
RUM_UINT(RUM_CLOSE_CLIENT_GONE, 5);         /* the client left during the login (module) */
RUM_UINT(RUM_CLOSE_UPSTREAM_GONE, 6);       /* the upstream left during the login (module) */
RUM_UINT(RUM_CLOSE_LOGIN_TIMEOUT, 7);       /* --login-timeout */
RUM_UINT(RUM_CLOSE_CONNECT_TIMEOUT, 8);     /* --connect-timeout, on every address tried */
RUM_UINT(RUM_CLOSE_FIRST_BYTE_TIMEOUT, 9);  /* --first-byte-timeout */
RUM_UINT(RUM_CLOSE_IDLE_TIMEOUT, 10);       /* --idle-timeout */
RUM_UINT(RUM_CLOSE_HALF_CLOSE_TIMEOUT, 11); /* --half-close-timeout */
RUM_UINT(RUM_CLOSE_CONNECT_REFUSED, 12);    /* no process listens at the destination */
RUM_UINT(RUM_CLOSE_CONNECT_FAILED, 13);     /* unreachable, or another error of connect(2) */
RUM_UINT(RUM_CLOSE_UNRESOLVED, 14);         /* the destination's name could not be resolved */
RUM_UINT(RUM_CLOSE_NO_DESTINATION, 15);     /* no record and no -d (module) */
RUM_UINT(RUM_CLOSE_BAD_DESTINATION, 16);    /* the map's destination is malformed (module) */
RUM_UINT(RUM_CLOSE_MAP_UNAVAILABLE, 17);    /* no map is loaded, or it is broken (module) */
RUM_UINT(RUM_CLOSE_DENIED, 18);             /* rum refused the login (module) */
RUM_UINT(RUM_CLOSE_UPSTREAM_DENIED, 19);    /* the upstream refused the login (module) */
RUM_UINT(RUM_CLOSE_CLIENT_PROTOCOL, 20);    /* the client violated the protocol (module) */
RUM_UINT(RUM_CLOSE_UPSTREAM_PROTOCOL, 21);  /* the upstream violated the protocol (module) */
RUM_UINT(RUM_CLOSE_UNSUPPORTED, 22);        /* the client's request is not supported (module) */
RUM_UINT(RUM_CLOSE_LIMIT, 23);              /* a limit was reached (module) */
RUM_UINT(RUM_CLOSE_NO_RESOURCES, 24);       /* out of descriptors, source ports or memory */
RUM_UINT(RUM_CLOSE_TLS, 25);                /* a TLS handshake or record failed */
RUM_UINT(RUM_CLOSE_MODULE, 26);             /* the module failed (module) */
RUM_UINT(RUM_CLOSE_DRAIN, 27);       /* rum stopped, and the session outlived --drain-timeout */
RUM_UINT(RUM_CLOSE_KILLED, 28);      /* an operator ended the session */
RUM_UINT(RUM_CLOSE_PROBED, 29);      /* a probe is complete (module, probes) */
RUM_UINT(RUM_CLOSE_BLOCKED, 30);     /* --login-failures blocks the client's address (module) */
RUM_UINT(RUM_CLOSE_NOT_ALLOWED, 31); /* --allow or --deny refuses the client's address */
RUM_UINT(RUM_CLOSE_MAINTENANCE, 32); /* an operator has taken the destination out of use */

/* BOUNDS of the arguments of host calls. Beyond them a call returns RUM_E_LIMIT and does nothing;
 * if it returns no status, or the text is only shown, the last column says what it does. A buffer
 * that a call writes to, such as the text of peer(), may have any size.
 *
 *   call            what                                     bound
 *   send            bytes of one call                        RUM_MOST_SEND
 *                   bytes that wait for one side, in all     RUM_MOST_WAITING
 *   need            bytes                                    RUM_MOST_NEED
 *   forward         bytes still to be passed on, in all      2^63 - 1
 *   lookup          bytes of the key                         RUM_MOST_KEY
 *   identify        bytes of the name                        RUM_MOST_USER
 *   connect         bytes of the address                     RUM_MOST_ADDRESS
 *                   calls of a session                       RUM_MOST_CONNECTS
 *   start_tls       bytes of the server's name               RUM_MOST_SERVER_NAME
 *   set_alpn        bytes of the list                        RUM_MOST_ALPN
 *   timer           time                                     RUM_MOST_MILLISECONDS, else it is that
 *                   timers of a session                      RUM_MOST_TIMERS, else it returns 0
 *   note            bytes of a value                         RUM_MOST_NOTE
 *                   pairs of a session                       RUM_MOST_NOTES
 *   log             bytes of a line                          RUM_MOST_LOG, else it is cut
 *                   lines of the process in a second         RUM_MOST_LOG_LINES, else dropped
 *   close           bytes of the text                        RUM_MOST_CLOSE_TEXT, else it is cut
 *   admit, parse,   bytes of the record                      RUM_MOST_RECORD
 *   column
 *   save            bytes                                    RUM_MOST_STATE
 *   worker timer    time                                     RUM_MOST_MILLISECONDS, else returns 0
 *                   timers of a worker                       RUM_MOST_WORKER_TIMERS, else 0
 *   post            posts that wait for one worker           RUM_MOST_WORKER_POSTS
 *   put, get, take, bytes of the key                         RUM_MOST_SHARED_KEY
 *   find, remove
 *   put             bytes of the value                       RUM_MOST_SHARED_VALUE
 *                   entries of one session                   RUM_MOST_SHARED_ENTRIES
 *                   lifetime                                 RUM_MOST_MILLISECONDS
 *   find            those of the process at once that ask    RUM_MOST_SHARED_FINDS, else
 *                   others                                   shared_found gets RUM_E_FAILED
 *                   those that begin within a second         RUM_MOST_SHARED_FINDS_SECOND, likewise
 *   keep, want,     bytes of the key                         RUM_MOST_KEEP_KEY
 *   spend
 *   keep            bytes of the value                       RUM_MOST_KEEP_VALUE
 *   forward_until   bytes of the tail                        RUM_MOST_KEEP_TAIL
 *   refused_open    sessions of the process at once, and     RUM_MOST_REFUSED, else `refusal` is
 *                   those that begin within a second         asked
 *                   time of such a session                   RUM_MOST_REFUSED_MILLISECONDS, else it
 *                                                            ends
 *                   bytes that it reads                      RUM_MOST_REFUSED_BYTES, else it ends
 */
RUM_UINT(RUM_MOST_SEND, 16777216);
RUM_UINT(RUM_MOST_WAITING, 67108864);
RUM_UINT(RUM_MOST_NEED, 262144);
RUM_UINT(RUM_MOST_KEY, 65535);
RUM_UINT(RUM_MOST_USER, 512);
RUM_UINT(RUM_MOST_ADDRESS, 65535);
RUM_UINT(RUM_MOST_SERVER_NAME, 253);
RUM_UINT(RUM_MOST_MILLISECONDS, 86400000); /* 24 hours */
RUM_UINT(RUM_MOST_TIMERS, 16);
RUM_UINT(RUM_MOST_NOTE, 256);
RUM_UINT(RUM_MOST_NOTES, 8);
RUM_UINT(RUM_MOST_LOG, 4096);
RUM_UINT(RUM_MOST_LOG_LINES, 1000);
RUM_UINT(RUM_MOST_CLOSE_TEXT, 256);
RUM_UINT(RUM_MOST_RECORD, 1048576);
RUM_UINT(RUM_MOST_STATE, 1048576);
RUM_UINT(RUM_MOST_WORKER_TIMERS, 64);
RUM_UINT(RUM_MOST_WORKER_POSTS, 1024);
RUM_UINT(RUM_MOST_SHARED_KEY, 256);
RUM_UINT(RUM_MOST_SHARED_VALUE, 512);
RUM_UINT(RUM_MOST_SHARED_ENTRIES, 8);
RUM_UINT(RUM_MOST_SHARED_FINDS, 64);
RUM_UINT(RUM_MOST_SHARED_FINDS_SECOND, 100);
RUM_UINT(RUM_MOST_FAREWELL, 8);
RUM_UINT(RUM_MOST_KEEP_KEY, 1024);
RUM_UINT(RUM_MOST_KEEP_VALUE, 512);
RUM_UINT(RUM_MOST_KEEP_TAIL, 16);
RUM_UINT(RUM_MOST_ALPN, 1024);
RUM_UINT(RUM_MOST_CONNECTS, 8);
RUM_UINT(RUM_MOST_REFUSED, 64);
RUM_UINT(RUM_MOST_REFUSED_MILLISECONDS, 3000);
RUM_UINT(RUM_MOST_REFUSED_BYTES, 16384);

/* Types of options. rum checks the value before the module sees it. */
RUM_UINT(RUM_OPTION_TEXT, 0);     /* any text */
RUM_UINT(RUM_OPTION_CHOICE, 1);   /* one of the words of `value`, which are separated by | */
RUM_UINT(RUM_OPTION_FLAG, 2);     /* takes no value; the module gets "1" or NULL */
RUM_UINT(RUM_OPTION_NUMBER, 3);   /* a decimal number of 0 or more, below 2^63 */
RUM_UINT(RUM_OPTION_DURATION, 4); /* 250ms, 6s, 5m, 1h; the module gets milliseconds in decimal */

/* An option of the module: `--name VALUE` on the command line, shown in `rum -P module --help`. */
typedef struct rum_option {
  const char *name;          /* long name without the dashes; starts with the module's name */
  const char *value;         /* what --help calls the value, or the choices; NULL for a flag */
  const char *default_value; /* NULL: none */
  const char *help;          /* one sentence, without a full stop */
  uint32_t type;             /* RUM_OPTION_... */
  uint32_t short_name;       /* a letter such as 't', or 0; refused when rum has that letter */
} rum_option;

/* What servers cannot take; see `lacks`. */
RUM_UINT(RUM_LACKS_PROXY_HEADER, 1); /* a PROXY header before the protocol's first byte */

/* A counter of the module: `rum_NAME_total` in /metrics, NAME under "module" in /stats. */
typedef struct rum_metric {
  /* The module's name, an underscore, and [a-z0-9_]+; at most 64 bytes. A module of which two
   * metrics have one name, or one has that of a metric of rum, is not loaded. */
  const char *name;
  const char *help; /* one sentence, without a full stop or a line break */
} rum_metric;

/* The host calls: what rum does for a module. A module may copy the table or keep the pointer,
 * which is valid until the process ends. */
typedef struct rum_host {
  uint32_t struct_size;
  uint32_t abi;        /* RUM_MODULE_ABI */
  const char *version; /* of rum, such as "1.0.0" */

  /* [worker] Sends `size` bytes to a side. Copies them, never blocks; bytes of one side keep
   * their order. They leave when the running hook has returned. While more than the high-water
   * mark (1 MiB) waits for one side, the other one is not read. RUM_E_STATE: that side is not
   * there. RUM_E_LIMIT: nothing of it was queued; a module that sends by timers waits, or ends
   * the session. */
  int32_t (*send)(rum_session *session, uint32_t side, const void *data, size_t size);

  /* [worker] rum calls the next data hook of this side when at least `size` unconsumed bytes are
   * there, or the side has ended. Applies to the next call of the hook only. The window is 64
   * KiB and grows by this call up to 256 KiB: RUM_E_LIMIT beyond. */
  int32_t (*need)(rum_session *session, uint32_t side, size_t size);

  /* [worker] Passes the next `size` unconsumed bytes of side `from` on to the other side unseen,
   * those still to come included; the data hook is called again after them. Adds up; RUM_E_LIMIT:
   * to more than 2^63 - 1. */
  int32_t (*forward)(rum_session *session, uint32_t from, uint64_t size);

  /* [worker] Begins the relay: rum passes on all bytes of both directions, those not consumed
   * first, and of the hooks it calls only session_close. If the upstream is still being connected,
   * the relay begins when it is connected. Ends the login deadline. RUM_E_STATE: connect() was not
   * called before. */
  int32_t (*relay)(rum_session *session);

  /* [worker] Asks the user map (-M). The answer comes by looked_up, later. RUM_E_ARGUMENT: a key
   * of size 0. RUM_E_STATE: a look-up is under way. RUM_E_UNSUPPORTED: rum was started without a
   * map; looked_up is not called. */
  int32_t (*lookup)(rum_session *session, const void *key, size_t size);

  /* [worker] Says who the client is: for the log, the statistics, and the rules and limits of the
   * group "rum.limits/1". At most 512 bytes, stored unchanged and escaped for output. A name of
   * size 0 is a name, too. */
  int32_t (*identify)(rum_session *session, const void *user, size_t size);

  /* [worker] Connects the upstream side: "tcp:host:port", "tcp:[v6]:port", "sock:path",
   * "tls:host:port" (rum does the handshake before upstream_open), or a list of them separated by
   * commas, tried in order; size 0 is the default destination (-d). The outcome comes by
   * upstream_open. RUM_E_ARGUMENT: the address is malformed; upstream_open is not called.
   * RUM_E_UNSUPPORTED: size 0, and there is no default destination. RUM_E_STATE: connecting, or
   * relay() or relay_from() was called before. RUM_E_LIMIT: RUM_MOST_CONNECTS calls were accepted.
   * May be called again after upstream_open reported a failure, and while an upstream is there,
   * ended (side_end answered RUM_KEEP) or not, to go on with another one. The old one is gone for
   * the module at once. When the hook has returned, rum writes to it what was sent before and its
   * socket takes, ends it (FIN, close_notify), and drops what it still says; what forward() has
   * left to pass on ends, too. Nothing of it reaches the new one, or is taken for its. The login
   * deadline continues. */
  int32_t (*connect)(rum_session *session, const char *address, size_t size);

  /* [worker] Starts TLS on a side: as server on the client side, as client on the upstream side
   * (`server_name` of `size` bytes is verified and sent; size 0: the destination's host). Bytes
   * that the running data hook does not consume, and all that follow, go to the TLS engine and
   * never to the module. The outcome comes by tls_open. RUM_E_UNSUPPORTED: no TLS for this side. */
  int32_t (*start_tls)(rum_session *session, uint32_t side, const char *server_name, size_t size);

  /* [worker] Stops the session's data hooks until resume(). Returns a ticket, or 0 if the session
   * is paused already. Deadlines continue. */
  uint64_t (*pause)(rum_session *session);

  /* [any] Ends a pause: the hook `resumed` gets `status` and `payload`, and owns the payload then.
   * If the session has ended, rum calls drop(payload) instead, exactly once, on any thread; drop
   * may be NULL. A ticket works once. */
  void (*resume)(uint64_t ticket, int32_t status, void *payload, void (*drop)(void *payload));

  /* [worker] Calls the hook `timeout` with the returned ticket after `milliseconds`, at most 24 h.
   * Timers end with the session. Returns 0 if the session has 16 timers already, or closes. */
  uint64_t (*timer)(rum_session *session, uint64_t milliseconds);
  /* [worker] The hook is not called for this timer. Ignores unknown tickets. */
  void (*timer_cancel)(rum_session *session, uint64_t ticket);

  /* [any] Milliseconds on a clock that never jumps. */
  uint64_t (*now)(void);

  /* [worker] Writes the address of a side as text, "192.0.2.1:40112", "[2001:db8::1]:40112" or
   * "unix:/path", cut to `size` - 1 bytes and ended by a NUL. Returns the length of the whole text
   * without the NUL. The client's address is that of the PROXY header, if there was one. */
  size_t (*peer)(rum_session *session, uint32_t side, char *text, size_t size);

  /* [worker] Adds `key=value` to the session's log line. Keys are [a-z_]{1,32}, values at most 256
   * bytes, 8 pairs per session; a repeated key replaces the value. RUM_E_LIMIT beyond;
   * RUM_E_ARGUMENT for a key that rum's own line has, such as "user". Never a secret. */
  int32_t (*note)(rum_session *session, const char *key, const void *value, size_t size);

  /* [any] One line to the log; `session` may be NULL ([any]), else [worker]. Never a secret.
   * Lines beyond RUM_MOST_LOG_LINES in a second are dropped, whatever their level; the log says
   * how many, and rum_log_lines_dropped_total counts them. */
  void (*log)(rum_session *session, uint32_t level, const char *text, size_t size);

  /* [worker] Adds to counter `index` of the module's metric table. */
  void (*metric_add)(rum_session *session, uint32_t index, uint64_t delta);

  /* [worker] Ends the session with a reason (RUM_CLOSE_...) and an optional text for its log line.
   * rum calls session_close when the running hook has returned, and still delivers what was sent to
   * either side by then. The first call counts. */
  void (*close)(rum_session *session, uint32_t reason, const char *text, size_t size);

  /* [any] A group of further calls by name and revision, "rum.NAME/1". NULL: this rum does not have
   * it. */
  const void *(*extension)(const char *name);

  /* [worker] Begins the relay of one direction, so that the module can watch the other: rum passes
   * on the bytes that `side` sends, those not consumed first. The data hook of the other side,
   * timers, pauses and look-ups continue; for that side, unconsumed bytes and the end are reported
   * once more. What the module sends to a side comes after what has flowed to it by then; rum
   * cannot know whether that is between two messages. While a side accepts no bytes, the other is
   * not read. Ends the login deadline; the session counts as relaying. rum passes on the end of
   * `side` without calling a hook; the end of the other side comes by side_end. A connection that
   * breaks ends the session, as in the relay. relay() begins the relay of the other direction, too.
   * RUM_E_STATE: there is no upstream, a TLS handshake is under way, or one direction is relayed
   * already. */
  int32_t (*relay_from)(rum_session *session, uint32_t side);

  /* [worker] Ends the relay of that direction: the data hook of `side` gets what it sends again,
   * from the first byte that rum has not read yet. Bytes read before have been passed on. Does not
   * re-arm the login deadline. RUM_E_STATE: the direction of `side` is not relayed, or its end has
   * been passed on. */
  int32_t (*take_back)(rum_session *session, uint32_t side);
} rum_host;

/* The group "rum.tls/1": for a module that speaks TLS inside its protocol. */
#define RUM_TLS_1 "rum.tls/1"
RUM_INT(RUM_TLS_OFF, 0);     /* no TLS on this side */
RUM_INT(RUM_TLS_ON, 1);      /* client side: for those that want it */
RUM_INT(RUM_TLS_REQUIRE, 2); /* only with TLS */
RUM_INT(RUM_TLS_MIRROR, 3);  /* upstream side: TLS when the client side is TLS */
RUM_INT(RUM_TLS_VERIFY, 4);  /* upstream side: as REQUIRE, and rum verifies the certificate */

typedef struct rum_tls {
  uint32_t struct_size;
  uint32_t reserved;
  /* [worker] The operator's mode for a side, RUM_TLS_...; also OFF if there is no certificate. */
  int32_t (*mode)(rum_session *session, uint32_t side);
  /* [worker] 1: the side uses TLS, or its handshake is under way; 0: plain. */
  int32_t (*active)(rum_session *session, uint32_t side);
  /* [worker] Writes the SHA-256 of the certificate (DER) that rum shows to the client: 32 bytes to
   * `digest`. RUM_E_STATE: the client side does not use TLS. */
  int32_t (*fingerprint)(rum_session *session, uint8_t *digest);
  /* [worker] The protocol has its own goodbye, so a connection that just ends was cut: rum passes
   * the end of `side`, if it has no TLS, on to a side with TLS as a cut stream, without the mark of
   * a complete one. RUM_E_STATE: there is no such side yet. */
  int32_t (*end_is_cut)(rum_session *session, uint32_t side);

  /* [worker] The application protocols (ALPN) of the handshake to come: those that rum offers to
   * the upstream, or of which it selects the first that the client offers, too. `protocols` is a
   * list as TLS writes it: each name after its length in one byte, such as "\x0apostgresql"; at
   * most RUM_MOST_ALPN bytes, and size 0 takes the list back. If the two have none in common, the
   * handshake goes on without one, and the module decides: see alpn(). Also for TLS from the first
   * byte on: in session_open for a listener, before connect() for "tls:host:port". The list of the
   * upstream stays for a further connect(). RUM_E_STATE: the handshake has begun. RUM_E_ARGUMENT:
   * that is no such list. */
  int32_t (*set_alpn)(rum_session *session, uint32_t side, const void *protocols, size_t size);

  /* The calls below are about a handshake that is done, so from tls_open on, and in session_close,
   * too: before that, and without TLS, they return RUM_E_STATE. Before the call `size` is the room
   * at the pointer before it, after it the size of the value; RUM_E_LIMIT: there is no room for it,
   * and nothing was written. All but end_point and version have size 0 for what there is none of.
   */

  /* [worker] The protocol that was agreed on, "postgresql"; size 0: none. */
  int32_t (*alpn)(rum_session *session, uint32_t side, char *name, size_t *size);
  /* [worker] What the client has offered, as a list of that form: whole names of at most
   * RUM_MOST_ALPN bytes in all. Size 0: nothing. */
  int32_t (*offered_alpn)(rum_session *session, uint8_t *protocols, size_t *size);
  /* [worker] The server name (SNI) that the client asked for: any bytes but NUL, at most 255, which
   * nobody has verified. */
  int32_t (*server_name)(rum_session *session, char *name, size_t *size);
  /* [worker] The version as TLS writes it: 0x0303 is TLS 1.2, 0x0304 is TLS 1.3. */
  int32_t (*version)(rum_session *session, uint32_t side);
  /* [worker] The certificate of the peer of a side in DER form, a few KiB: the client's, if rum
   * asks for one and it has one, or the server's. Whether it was verified is the operator's choice.
   */
  int32_t (*certificate)(rum_session *session, uint32_t side, void *der, size_t *size);
  /* [worker] The channel binding tls-server-end-point (RFC 5929), 32 to 64 bytes: the hash of the
   * certificate that rum has shown to the client, or that the upstream has shown to rum. They
   * differ, so a proof of SCRAM-...-PLUS for one is none for the other. RUM_E_UNSUPPORTED: the
   * certificate's signature has no hash function, as Ed25519. In a probe, RUM_CLIENT: of the
   * certificate that clients are shown. */
  int32_t (*end_point)(rum_session *session, uint32_t side, void *hash, size_t *size);
} rum_tls;

/* The group "rum.limits/1": whether a user is accepted, and protection against password
 * guessing. */
#define RUM_LIMITS_1 "rum.limits/1"
/* Verdicts of admit() beside RUM_OK. For those from RULES to TLS, tell the client the same as for a
 * wrong password: rules are confidential. */
RUM_INT(RUM_REFUSED_RULES, 1);    /* the record's rules cannot be read, and may be restrictions */
RUM_INT(RUM_REFUSED_DISABLED, 2); /* the record says so */
RUM_INT(RUM_REFUSED_TIME, 3);     /* not at this time */
RUM_INT(RUM_REFUSED_ADDRESS, 4);  /* not from the client's address */
RUM_INT(RUM_REFUSED_TLS, 5);      /* only by TLS, or by a unix socket */
RUM_INT(RUM_REFUSED_CONNECTIONS, 6); /* the user has as many sessions as allowed */
RUM_INT(RUM_REFUSED_RATE, 7);        /* the user logs in too often */
RUM_INT(RUM_REFUSED_BLOCKED, 8);     /* too many logins have failed from the client's address */

typedef struct rum_limits {
  uint32_t struct_size;
  uint32_t reserved;

  /* [worker] Asks whether the user of identify() is accepted. `record` is the value that looked_up
   * got; rum reads its rules. Size 0: the user is not in the map and is accepted in another way,
   * such as by the default destination. Call it before the module contacts a server, and, if the
   * module itself checks a password, after that check. RUM_OK: the login may continue; it counts
   * for the user from confirm() on. A positive verdict, RUM_REFUSED_...: the module tells the
   * client in its own protocol and closes. May be called again when the client tries another login;
   * the count of the one before ends. After take_back() it asks about the user that an accepted
   * session is to become: the session counts for its present user until confirm(), and a refusal
   * changes nothing, so the session may continue. If the change fails, identify() the present user
   * and ask again before relay_from() or relay(): that drops what is not confirmed. If the
   * user stays the same, the rules apply, and the session counts once. RUM_E_STATE: identify() was
   * not called, or the session closes. */
  int32_t (*admit)(rum_session *session, const void *record, size_t size);

  /* [worker] The client's login failed: a wrong password, whoever detected it, an unknown user, or
   * a refusal that looks like one. Each call counts once for the client's address
   * (--login-failures), but the one after RUM_REFUSED_DISABLED does not: the operator caused it.
   * Not for logins that failed for any other reason. */
  void (*login_failed)(rum_session *session);

  /* [worker] 1: the client's address is blocked, because too many logins failed from it since the
   * session was opened or admitted. 0: it is not. */
  int32_t (*blocked)(rum_session *session);

  /* [worker] Call it before the module checks a proof of the password or passes it on. Of one
   * address, no more proofs are under way than may fail before it is blocked, so a guesser who
   * begins many logins at once gains nothing. RUM_OK: continue; the proof is under way until
   * login_failed(), confirm(), relay_from(), relay() or the session's end. If the client ends the
   * session meanwhile, the proof counts as failed. RUM_E_AGAIN: too many are under way; rum pauses
   * the session, and calls `resumed` without a payload when the module must ask again. Do not
   * consume the proof, or keep it: the login deadline continues. RUM_REFUSED_BLOCKED: as for
   * admit(). RUM_E_STATE: the session is paused, or closes. May be called again while the proof is
   * under way, such as for each of its packets. */
  int32_t (*try_login)(rum_session *session);

  /* [worker] The client has proved to be the user of admit(). Call it before the client is told.
   * The session counts for the user from here until it ends, which rum detects itself.
   * RUM_REFUSED_CONNECTIONS, _RATE: other logins were faster, and the user has no connections or
   * logins left. Tell the client so, take leave of the server as its protocol requires, and close.
   * RUM_E_STATE: no user was admitted, or the session closes. relay() and relay_from() confirm what
   * is not confirmed, and end the session with RUM_CLOSE_LIMIT if it is refused. */
  int32_t (*confirm)(rum_session *session);

  /* [worker] In worker_start and worker_reload. 1: --login-failures counts failed logins. For a
   * module that cannot see all of them, so that it can warn. */
  int32_t (*counts_failures)(rum_worker *worker);
} rum_limits;

/* The group "rum.state/1": a few bytes that outlive the process, in files of --state-dir. Other rum
 * processes on the machine, which listen on other addresses, have files of their own. */
#define RUM_STATE_1 "rum.state/1"

typedef struct rum_state {
  uint32_t struct_size;
  uint32_t reserved;
  /* [any] Keeps at most 1 MiB under a name of [a-z0-9_-]{1,64}: the module's name, or the module's
   * name, a dash and more. Any other name is RUM_E_ARGUMENT, and load() finds nothing under it.
   * Another thread writes the bytes within seconds, completely or not at all; the last call
   * counts. Only rum's user can read them. RUM_E_UNSUPPORTED: this process keeps nothing
   * (--check). A failure to write them is reported in the log, not here. */
  int32_t (*save)(const char *name, const void *bytes, size_t size);
  /* [main] In config_new: gets the bytes last kept, perhaps by an earlier process. Returns their
   * size, and copies them if they fit into `size`; 0: there are none. Validate them: others may
   * have changed the file. */
  size_t (*load)(const char *name, void *bytes, size_t size);
} rum_state;

/* The group "rum.clock/1": to give two answers the same duration, closer than a millisecond. */
#define RUM_CLOCK_1 "rum.clock/1"

typedef struct rum_clock {
  uint32_t struct_size;
  uint32_t reserved;
  /* [any] Microseconds on a clock that never jumps. */
  uint64_t (*now)(void);
  /* [worker] As timer(), after `microseconds`: never earlier, and later by what the kernel and the
   * worker's other sessions need. */
  uint64_t (*timer)(rum_session *session, uint64_t microseconds);
} rum_clock;

/* The group "rum.process/1": the system user that rum runs as. */
#define RUM_PROCESS_1 "rum.process/1"

typedef struct rum_process {
  uint32_t struct_size;
  uint32_t reserved;
  /* [any] All names that the system has for the user that rum runs as after it drops root, read
   * before --chroot, each followed by a NUL. A server behind a unix socket that trusts the
   * system takes every client for that user. Returns the size of the names, and copies them if they
   * fit into `size`; 0: there are none, or this process serves no clients (--check). */
  size_t (*user_names)(char *text, size_t size);
} rum_process;

/* The group "rum.records/1": splits a record of the user map, so that modules need not know its
 * format: SECRET NUL DESTINATION NUL RULES. The rules begin with the byte 0x80 and are words
 * separated by blanks, including the columns of modules (or bytes of an older format, which has no
 * columns). In the text for rum-map they follow the destination: "alice - tcp:db1:5432 max=5
 * pgsql-db=app1". The record is the value of looked_up, unchanged, or a copy: at most 1 MiB. */
#define RUM_RECORDS_1 "rum.records/1"

/* Points into the record, and is valid as long as the record is. */
typedef struct rum_record {
  uint32_t struct_size; /* sizeof(rum_record), set by the module */
  uint32_t reserved;
  const char *secret; /* any bytes; size 0: none is stored. Never log it */
  size_t secret_size;
  const char *destination; /* for connect(), not yet validated; never of size 0 */
  size_t destination_size;
} rum_record;

typedef struct rum_records {
  uint32_t struct_size;
  uint32_t reserved;
  /* [any] Fills in `parts`, up to its struct_size. RUM_E_FAILED: the record has no destination, and
   * `parts` is unchanged. RUM_E_LIMIT: the record is too large. */
  int32_t (*parse)(const void *record, size_t size, rum_record *parts);
  /* [any] The module's own column `name`: the module's name, a dash, and [a-z0-9_-]+; at most 64
   * bytes. The value may be any bytes, and empty. `value_size` is the size of the buffer
   * `value`; the call sets it to the size of the value. RUM_FOUND: the value was copied.
   * RUM_NOT_FOUND: the record has no such column, and `value_size` is 0. RUM_E_LIMIT: the buffer is
   * too small, or the record too large (then `value_size` is 0). RUM_E_FAILED: the rules cannot be
   * read; admit() refuses the user. RUM_E_ARGUMENT: not a column's name. The name "disabled" is the
   * text of the rule disabled=TEXT, printable and at most 480 bytes: after RUM_REFUSED_DISABLED, show
   * it to the client as the protocol reports maintenance, in place of the error of a wrong password.
   */
  int32_t (*column)(const void *record, size_t size, const char *name, void *value,
                    size_t *value_size);
} rum_records;

/* The group "rum.worker/1": work of a worker that belongs to no session. */
#define RUM_WORKER_1 "rum.worker/1"

typedef struct rum_worker_calls {
  uint32_t struct_size;
  uint32_t reserved;
  /* A job is a function `run`, its argument, and `drop`, which frees the argument and may be NULL.
   * rum calls either run() or drop(), exactly once. run() gets the pointer that worker_start
   * stored; it is a hook like any other: it must not block, and no exception may leave it. It
   * belongs to no session, and makes no call with one: use resume() to wake a session that waits.
   * When the worker ends, before worker_stop, it drops the jobs that have not run, on its own
   * thread, and accepts no more. The code of a module stays loaded until the process ends. drop()
   * makes no host calls except log() and now(). */

  /* [worker] Calls run() once, after `milliseconds`, never from within this call. Returns a ticket;
   * 0: a bound is reached or the worker ends, and the caller keeps the argument. May be called in
   * worker_start. */
  uint64_t (*timer)(rum_worker *worker, uint64_t milliseconds,
                    void (*run)(void *worker_data, void *argument), void *argument,
                    void (*drop)(void *argument));
  /* [worker] Calls drop() before it returns; run() will not be called. Ignores tickets that are
   * unknown or have run. */
  void (*timer_cancel)(rum_worker *worker, uint64_t ticket);
  /* [worker] The worker's number for post(), never reused in this process. */
  uint64_t (*ticket)(rum_worker *worker);
  /* [any] Calls run() on that worker soon, never from within this call; posts of one thread run in
   * order. RUM_E_STATE: the worker has ended, or never existed. RUM_E_LIMIT: too many posts wait;
   * try later. In both cases the caller keeps the argument. */
  int32_t (*post)(uint64_t ticket, void (*run)(void *worker_data, void *argument), void *argument,
                  void (*drop)(void *argument));
  /* [worker] Like the host call of the same name, without a session. */
  void (*metric_add)(rum_worker *worker, uint32_t index, uint64_t delta);
} rum_worker_calls;

/* The group "rum.shared/1": a small table shared by all workers and, during a hand-over, by the old
 * and the new process; for example for the keys by which another connection cancels a session's
 * query. Each module sees only its own entries. The table is never on disk, and ends with the last
 * process. Keys may be secrets: they are found by a seeded hash, and never shown. An entry belongs
 * to the session that put it, and is removed when the session ends (session_close has returned) or
 * its process dies; or it has a lifetime, and is removed when that expires. The table holds
 * 1,048,576 entries of the first kind, of which one user (of identify(); before that, one client's
 * address) has an eighth at most, and 131,072 of the second kind, 256 per user: no user can block
 * others. An entry whose key and value have more than 56 bytes counts as one more for each further
 * 87 bytes or part of them. With --share and --share-key-file, find() also sees the entries of other
 * processes, on other machines too. */
#define RUM_SHARED_1 "rum.shared/1"

typedef struct rum_shared {
  uint32_t struct_size;
  uint32_t reserved;
  /* [worker] Puts a value of 0 or more bytes under a key of 1 or more. `lifetime` is in
   * milliseconds; 0: until the session ends. Replaces an entry of the same key by the same
   * session, or, with a lifetime, by the same user. RUM_E_STATE: the key belongs to another
   * session or user, or the session closes or relays. RUM_E_LIMIT: a bound is reached.
   * RUM_E_UNSUPPORTED: there was no memory for the table. RUM_E_FAILED: another process holds the
   * table for too long. */
  int32_t (*put)(rum_session *session, const void *key, size_t key_size, const void *value,
                 size_t value_size, uint64_t lifetime);
  /* [any] Gets the entry of any session. `value_size` is the size of the buffer `value`; the call
   * sets it to the size of the value. RUM_FOUND: the value was copied. RUM_NOT_FOUND: there is no
   * such entry, and `value_size` is 0. RUM_E_LIMIT: the buffer is too small, and `value_size` is
   * the size that it needs; or the key is too long, and it is 0. RUM_E_UNSUPPORTED, RUM_E_FAILED:
   * as for put(). */
  int32_t (*get)(const void *key, size_t key_size, void *value, size_t *value_size);
  /* [any] Like get(), and removes the entry: of several simultaneous callers, one gets it. `value`
   * and `value_size` may be NULL, to remove it only. */
  int32_t (*take)(const void *key, size_t key_size, void *value, size_t *value_size);
  /* [worker] Gets the entry of any session of any process that shares: of this table, else of the
   * others. The answer comes by shared_found, later; until then the module gets no bytes, as after
   * lookup(). RUM_E_STATE: one is under way already, or the session closes, relays or is refused.
   * RUM_E_UNSUPPORTED: the module has no such hook. */
  int32_t (*find)(rum_session *session, const void *key, size_t key_size);
  /* [worker] Removes an entry of this session. RUM_SEEN: get() or find() has found it before, here
   * or in another process, so somebody may still act on it. RUM_OK: nobody has, and nobody will.
   * RUM_NOT_FOUND: the session has no such entry; take() may have removed it. RUM_E_FAILED: as for
   * put(); the entry stays until the session ends. Works in session_close, too. */
  int32_t (*remove)(rum_session *session, const void *key, size_t key_size);
} rum_shared;

/* The group "rum.keep/1": connections to servers that outlive their session. A module that knows
 * how to bring a server's session back to its beginning gives its connection, with its TLS, to its
 * worker; a later session of that worker takes it in place of a new one. Meanwhile rum owns it: it
 * is closed when the server says or does anything, when its time is over, when the server is down,
 * disabled or has moved, when rum drains or hands over, at a reload, of the map and of certificates
 * too, and when descriptors or memory are short. What of one user another one may find there is the
 * module's to know. */
#define RUM_KEEP_1 "rum.keep/1"

typedef struct rum_keep {
  uint32_t struct_size;
  uint32_t reserved;
  /* [worker] In a watch of `side`: as forward() of all that it sends, but when a read of it ends
   * with the bytes `tail`, the data hook gets that read, and nothing is forwarded any more. So it
   * is when the side ends, which is not passed on: side_end follows. A side that has much to say is
   * read in pieces, and some of these may not be looked at. RUM_E_STATE: the direction of the other
   * side is not relayed (relay_from). */
  int32_t (*forward_until)(rum_session *session, uint32_t side, const void *tail, size_t size);
  /* [worker] 1: the other side has sent something since bytes of `side` were forwarded last. 0: it
   * has not. RUM_E_STATE: neither want() nor forward_until() was called. */
  int32_t (*answered)(rum_session *session, uint32_t side);
  /* [worker] The client has taken its leave: for the log, the statistics and all limits the session
   * ends now, with RUM_CLOSE_CLIENT. The module goes on with the server, for two seconds at most,
   * and can still send to the client; it hears nothing of it, and neither do limits. The client's
   * connection is closed at the end. RUM_E_STATE: there is no upstream, a direction is relayed
   * (take_back() first), or want() was not called. */
  int32_t (*part)(rum_session *session);
  /* [worker] After part(), when the server owes nothing: keeps the connection under a key for so
   * long at most, and ends the session. `most`: of all workers so many are kept of this server. It
   * is closed instead if the server says anything until the hook has returned. The key stands for
   * all that makes two connections to a server differ; rum adds the server, and with --send-proxy
   * the client's address. RUM_E_LIMIT: as many are kept as may. RUM_E_STATE: not after part(), the
   * server is not one to send sessions to, rum drains, or settings, map or certificates have
   * changed since the session was connected. Then take leave of the server. */
  int32_t (*keep)(rum_session *session, const void *key, size_t key_size, const void *value,
                  size_t value_size, uint32_t most, uint64_t milliseconds);
  /* [worker] Before connect(): the newest connection that is kept under this key for a server of
   * connect() will do. upstream_open follows as for a new one. RUM_E_STATE: too late. */
  int32_t (*want)(rum_session *session, const void *key, size_t key_size);
  /* [worker] From upstream_open on. RUM_FOUND: the connection was kept, and this is the value
   * that it was kept with; its size and room as for get() of "rum.shared/1". RUM_NOT_FOUND: it
   * is new. */
  int32_t (*taken)(rum_session *session, void *value, size_t *value_size);
  /* [worker] The connection that was taken is of no use: rum closes it and connects anew, to the
   * same destinations; upstream_open follows. If it breaks before the server has said a byte, rum
   * calls side_end for it, as if it had ended: RUM_KEEP and this call go on. RUM_E_STATE: it is
   * new, or the session has logged in. */
  int32_t (*renew)(rum_session *session);
  /* [worker] Closes a connection that a session with connect() to `address` would take: for one
   * that is refused without a server, and that must leave the same traces as one that was not.
   * RUM_FOUND; RUM_NOT_FOUND: there is none. RUM_E_ARGUMENT: the address is malformed, or there is
   * no default destination. */
  int32_t (*spend)(rum_session *session, const char *address, size_t address_size, const void *key,
                   size_t key_size);
  /* [worker] Closes all that is kept of the session's server, by every worker, soon: for a server
   * that has no place for another client. RUM_E_STATE: no upstream is connected. */
  int32_t (*drop)(rum_session *session);
} rum_keep;

/* The group "rum.sessions/1": more calls about a session. */
#define RUM_SESSIONS_1 "rum.sessions/1"

typedef struct rum_sessions {
  uint32_t struct_size;
  uint32_t reserved;
  /* [worker] The destination of the connected upstream in the form for connect(), such as
   * "tls:db1.example:5432" or "sock:/path"; of a list, the connected one. Another session can later
   * connect to the same server with it, such as to cancel a query of this one. `size` is the size
   * of the buffer `text`; the call sets it to the size of the destination, and writes no NUL.
   * RUM_E_LIMIT: the buffer is too small, and `size` is the size that it needs. RUM_E_STATE: no
   * upstream is connected, and `size` is 0. Works in session_close, too. */
  int32_t (*destination)(rum_session *session, char *text, size_t *size);
  /* [worker] The session will relay something other than a login, such as a request to cancel the
   * query of another session. Call it before relay() or relay_from(): they then count no login, nor
   * one of the user, and do not end the login deadline; until it ends, the session counts as not
   * logged in, and its log line says login=no. Drops an admitted user. Later calls of admit(),
   * confirm() and try_login() return RUM_E_STATE; login_failed() counts as usual.
   * RUM_E_STATE: the session relays, has logged in, is a probe or closes, or a proof of a password
   * is under way. May be called twice. */
  int32_t (*no_login)(rum_session *session);
} rum_sessions;

/* The group "rum.queue/1": how much waits for a side, for a module that sends more than it is asked
 * for, such as by timers. */
#define RUM_QUEUE_1 "rum.queue/1"

typedef struct rum_queue {
  uint32_t struct_size;
  uint32_t reserved;
  /* [worker] Bytes that were sent to a side and that its socket has not taken yet, those of the
   * running hook included; what the kernel keeps is not. 0 for a side that is not there. */
  uint64_t (*size)(rum_session *session, uint32_t side);
  /* [worker] Calls the hook `drained` once, when at most `below` bytes wait for the side, or it
   * takes none any more; never from inside of this call, and not in a pause. Another call for the
   * side replaces it, and so do the end of the session, relay() and a connect() that gives the
   * upstream up. RUM_E_UNSUPPORTED: the module has no such hook. RUM_E_STATE: there is no such
   * side, the session closes, or relay() was called. */
  int32_t (*await)(rum_session *session, uint32_t side, uint64_t below);
} rum_queue;

/* The purpose of a probe. Valid until probe_open returns. */
typedef struct rum_probe {
  uint32_t struct_size;
  uint32_t is_default;     /* 1: it is one of the default destinations (-d) */
  const char *destination; /* "tcp:db1:3306"; NULL: only find the destination of `user` */
  const char *user;        /* the user of --explain, as in identify(); NULL: none */
  size_t user_size;
} rum_probe;

/* The module table: what a module does for rum. */
typedef struct rum_module {
  uint32_t struct_size;   /* sizeof(rum_module) when the module was built */
  uint32_t abi;           /* RUM_MODULE_ABI */
  uint32_t host_size_min; /* the smallest rum_host it can work with: sizeof(rum_host), or less */
  uint32_t reserved;      /* 0 */
  const char *name;       /* [a-z][a-z0-9_]*, such as "echo" */
  const char *version;
  const char *summary; /* one line, shown in --help */
  const rum_option *options;
  size_t option_count;
  size_t option_size; /* sizeof(rum_option) */
  const rum_metric *metrics;
  size_t metric_count;
  size_t metric_size; /* sizeof(rum_metric) */
  /* The bytes with which a client takes its leave, such as a quit command; 0 or NULL: none, or they
   * differ. After a client's last bytes, if they end with these and the server has not answered,
   * the server's end is the client's wish: the session ends with RUM_CLOSE_CLIENT. On links without
   * TLS it need not come: a client that ends its side behind a farewell, and has said nothing else
   * since the server's last bytes, ends the session. */
  const char *farewell;
  size_t farewell_size; /* at most RUM_MOST_FAREWELL */

  /* [main] Once, after loading. Keep `host`. With -b, rum is already in the background, so the
   * module may start threads. On failure, write a sentence into `error` (at most `error_size` bytes
   * with its NUL) and return a negative value: rum does not start. */
  int32_t (*init)(const rum_host *host, char *error, size_t error_size);

  /* [main] Makes a configuration from the options: values[i] is the text for options[i], its
   * default, or NULL. A configuration never changes: rum calls this at start and at every reload,
   * and a session keeps the configuration of its start. On failure as in init: at start rum ends,
   * at a reload the old configuration stays. NULL hook: configurations are NULL. */
  int32_t (*config_new)(const char *const *values, size_t count, void **config, char *error,
                        size_t error_size);
  /* [any] Called after the last session that uses it has ended. */
  void (*config_free)(void *config);

  /* [worker] A worker starts; gets a new configuration for future sessions; ends. session_open gets
   * the pointer that worker_start stores. Negative from worker_start: rum does not start. */
  int32_t (*worker_start)(rum_worker *worker, const void *config, void **worker_data);
  void (*worker_reload)(void *worker_data, const void *config);
  void (*worker_stop)(void *worker_data);

  /* [worker] A client has connected. Store your own state in *data: it is the first argument of all
   * further hooks of this session. Negative: rum closes the connection and calls no further hook.
   * NULL hook: the session connects to the default destination and relays; rum calls no other hook
   * of a session then, whatever the table has. */
  int32_t (*session_open)(rum_session *session, const void *config, void *worker_data, void **data);

  /* [worker] `bytes` are all unconsumed bytes of that side, in one piece, `size` at least 1.
   * Returns how many were consumed: 0 waits for more; negative ends the session as a protocol
   * violation of that side. If some but not all were consumed, rum calls the hook again at once
   * with the rest. If the window is full and nothing is consumed, the side is not read until there
   * is room; if nothing else is under way either (look-up, connect, pause, a connected upstream)
   * the session ends, because only its deadline could end it. NULL hook: bytes wait for relay(). */
  int64_t (*client_data)(void *data, rum_session *session, const uint8_t *bytes, size_t size);

  /* [worker] The outcome of connect(). `reason` 0: connected. Otherwise one of
   * RUM_CLOSE_CONNECT_TIMEOUT, _CONNECT_REFUSED, _CONNECT_FAILED, _UNRESOLVED, _TLS, _NO_RESOURCES,
   * _LIMIT, _MAINTENANCE, _FIRST_BYTE_TIMEOUT (in the handshake of tls:HOST:PORT), or, while the
   * destination's circuit is open (--breaker), the reason of its last failure, such as
   * _UPSTREAM_GONE or _UPSTREAM_RESET. Unless the hook calls connect() again or close(), the
   * session ends with it. */
  void (*upstream_open)(void *data, rum_session *session, uint32_t reason);

  /* [worker] As client_data. */
  int64_t (*upstream_data)(void *data, rum_session *session, const uint8_t *bytes, size_t size);

  /* [worker] The answer to lookup(). RUM_FOUND: `value` of `size` bytes. RUM_NOT_FOUND: there is no
   * such key. Negative: the map is unavailable (none loaded, or broken), which is not the same as
   * not found. */
  void (*looked_up)(void *data, rum_session *session, int32_t status, const uint8_t *value,
                    size_t size);

  /* [worker] The outcome of start_tls(). On failure the session ends after the hook. */
  void (*tls_open)(void *data, rum_session *session, uint32_t side, int32_t status);

  /* [worker] A side has sent its last byte (end of file), after its last data hook. RUM_END, or
   * NULL hook: the session ends (RUM_CLOSE_CLIENT_GONE or _UPSTREAM_GONE); after relay_from() rum
   * passes the end on after the unconsumed bytes instead, as relay() does. RUM_KEEP: the session
   * continues, and the module can still send to the side. rum also calls the hook if the client's
   * connection breaks before relay() and no end was reported: the module can send it nothing more,
   * but with RUM_KEEP it may take leave of the server as its protocol requires. */
  int32_t (*side_end)(void *data, rum_session *session, uint32_t side);

  /* [worker] A timer of timer() has expired. */
  void (*timeout)(void *data, rum_session *session, uint64_t ticket);

  /* [worker] A pause has ended. The module owns `payload` now. NULL hook: rum drops it. */
  void (*resumed)(void *data, rum_session *session, uint64_t ticket, int32_t status, void *payload);

  /* [worker] The last hook: free `data`. `reason` is the end reason (RUM_CLOSE_...). send() still
   * works for a side that is connected and not broken: for last words, such as an error in the
   * module's protocol when rum ends the session. After relay() and relay_from() send nothing: it
   * would land in the middle of the stream. All other calls return RUM_E_STATE, except peer, note,
   * log, now, metric_add and remove. */
  void (*session_close)(void *data, rum_session *session, uint32_t reason);

  /* [worker] Writes the error for a client that rum refuses before a session exists. `reason` is
   * RUM_CLOSE_LIMIT, _NO_RESOURCES, _DRAIN, _BLOCKED or _NOT_ALLOWED. Returns how many of at most
   * `size` bytes were written to `bytes`. NULL hook: rum sends nothing. */
  size_t (*refusal)(const void *config, uint32_t reason, uint8_t *bytes, size_t size);

  /* [main] One JSON object about the module for /stats, at most `size` bytes, no NUL; returns its
   * length. Never a secret. NULL hook: none. */
  size_t (*stats)(const void *config, char *json, size_t size);

  /* [worker] A probe: rum checks, for itself, whether a server is up and what it is: at start, when
   * the map brings a new destination, and every --health-check. The session has no client: for
   * RUM_CLIENT, send and start_tls return RUM_E_STATE, and so do relay, relay_from and forward. rum
   * connects to probe->destination when this hook has returned; upstream_open, upstream_data,
   * tls_open, timeout, side_end, looked_up and session_close follow as in any session. The module
   * ends it by close(): RUM_CLOSE_PROBED means that the server is up, any other reason that it is
   * down, with a text for the operator. A probe takes at most 10 seconds. Take leave of the server
   * as its protocol requires, and wait for its last word: it may count clients that break off. With
   * probe->user (--explain), note() reports what was found, and rum prints it. Without a
   * destination rum connects nowhere: the module calls connect() with the address where it would
   * send this user, which ends the probe, or close() with the reason why it would send the user
   * nowhere. Store your own state in *data. Negative: rum drops the probe and calls no further
   * hook. NULL hook: rum does not probe. */
  int32_t (*probe_open)(rum_session *session, const void *config, void *worker_data,
                        const rum_probe *probe, void **data);

  /* [worker] What await() of "rum.queue/1" was called for. A module that sends the next part here
   * keeps no more in memory than it chose, however slow the peer is. */
  void (*drained)(void *data, rum_session *session, uint32_t side);

  /* [worker] A client that rum refuses, in a protocol that has to read before it may write an
   * error: leads it to that error. `reason` is as in `refusal`. Then client_data, tls_open,
   * timeout, resumed, drained and side_end follow as in any session, and session_close with
   * `reason`; the module ends it by close(), whatever reason it gives. There is no server and no
   * user: connect, lookup, relay, relay_from, forward, admit, confirm, try_login, no_login, put and find
   * return RUM_E_STATE, and login_failed does nothing. The session is counted as refused, and for
   * no user. It is short and one of few, see BOUNDS; beyond them, and for a client that rum has no
   * descriptor for, rum asks `refusal`, as it does if this hook returns a negative value: no other
   * hook is called then. Store your own state in *data. NULL hook: rum asks `refusal`. */
  int32_t (*refused_open)(rum_session *session, const void *config, void *worker_data,
                          uint32_t reason, void **data);

  /* [worker] The answer to find() of "rum.shared/1". RUM_FOUND: `value` of `size` bytes.
   * RUM_NOT_FOUND: no process has such an entry, or no other one is asked and this one has none.
   * RUM_E_FAILED: that is unknown: not all processes have answered within a second, or two of them
   * with different values, or a bound is reached. */
  void (*shared_found)(void *data, rum_session *session, int32_t status, const uint8_t *value,
                       size_t size);

  /* What the servers of this protocol cannot take, RUM_LACKS_...: rum then refuses the options for
   * it, so that nobody finds out by connections that end. */
  uint64_t lacks;
} rum_module;

/* The symbol that the module exports. In a static build (--enable-builtin-modules) the build
 * defines RUM_MODULE_SYMBOL, so that several modules fit into one program. */
#undef RUM_INT
#undef RUM_UINT
#ifndef RUM_MODULE_SYMBOL
#define RUM_MODULE_SYMBOL rum_module_v1
#endif
#ifdef __GNUC__
#define RUM_MODULE_EXPORT __attribute__((visibility("default")))
#else
#define RUM_MODULE_EXPORT
#endif
/* For languages that import this header and define the symbol themselves, such as D: with
 * RUM_MODULE_NO_SYMBOL defined, the header does not declare it. */
#ifndef RUM_MODULE_NO_SYMBOL
extern RUM_MODULE_EXPORT const rum_module RUM_MODULE_SYMBOL;
#endif

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* RUM_MODULE_H */
