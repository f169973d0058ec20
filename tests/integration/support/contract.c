/* contract: a module whose clients request host calls, one per line, and receive the results.
 * For tests of the calls that need a real rum: the map's records, the shared table, timers
 * and posts of workers, the log. */
#include <pthread.h>
#include <rum/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_LINE = 2000, TICK = 10 };

static const rum_host* host;
static const rum_records* records;
static const rum_shared* shared;
static const rum_worker_calls* workers;
static const rum_state* state;
static const rum_sessions* sessions;
static const rum_tls* tls;
static const rum_queue* queue;
static size_t parts; /* of 64 KiB that are still to be sent */

enum { TICKS, POSTS };
static const rum_metric metrics[] = {
    {"contract_ticks", "Times that a timer of a worker ran"},
#ifdef TWO_OF_ONE_NAME
    {"contract_ticks", "The same again"},
#else
    {"contract_posts", "Posts of another thread that ran"},
#endif
};

struct worker {
  rum_worker* handle;
  pthread_t thread;
  uint64_t ticket;
};

static int32_t init(const rum_host* h, char* error, size_t error_size) {
  (void)error, (void)error_size;
  host = h;
  records = h->extension(RUM_RECORDS_1);
  shared = h->extension(RUM_SHARED_1);
  workers = h->extension(RUM_WORKER_1);
  state = h->extension(RUM_STATE_1);
  sessions = h->extension(RUM_SESSIONS_1);
  tls = h->extension(RUM_TLS_1);
  queue = h->extension(RUM_QUEUE_1);
  return records && shared && workers && state && sessions && tls && queue ? RUM_OK
                                                                           : RUM_E_UNSUPPORTED;
}

static void tick(void* worker_data, void* argument) {
  struct worker* worker = argument;
  if (worker_data != worker) abort();
  workers->metric_add(worker->handle, TICKS, 1);
  workers->timer(worker->handle, TICK, tick, worker, NULL);
}

static void posted(void* worker_data, void* argument) {
  struct worker* worker = worker_data;
  free(argument);
  workers->metric_add(worker->handle, POSTS, 1);
}

static void* post_away(void* argument) { /* [any] */
  struct worker* worker = argument;
  void* memory;
  while ((memory = malloc(1)) && workers->post(worker->ticket, posted, memory, free) == RUM_OK) {
    struct timespec pause = {0, 1000000};
    nanosleep(&pause, NULL);
  }
  free(memory); /* not accepted: the worker has ended */
  return NULL;
}

static int32_t worker_start(rum_worker* handle, const void* config, void** data) {
  struct worker* worker = calloc(1, sizeof *worker);
  (void)config;
  if (!worker) return RUM_E_MEMORY;
  worker->handle = handle;
  worker->ticket = workers->ticket(handle);
  *data = worker;
  if (!workers->timer(handle, TICK, tick, worker, NULL)) return RUM_E_FAILED;
  return pthread_create(&worker->thread, NULL, post_away, worker) == 0 ? RUM_OK : RUM_E_FAILED;
}

static void worker_stop(void* data) {
  struct worker* worker = data;
  pthread_join(worker->thread, NULL); /* it ends: post() accepts nothing more */
  free(worker);
}

static int32_t session_open(rum_session* s, const void* config, void* worker_data, void** data) {
  (void)s, (void)config, (void)worker_data;
  *data = NULL;
  return RUM_OK;
}

/* A client that is refused is answered after its first line. */
static const char the_refused;

static int32_t refused_open(rum_session* s, const void* config, void* worker_data, uint32_t reason,
                            void** data) {
  (void)s, (void)config, (void)worker_data, (void)reason;
  *data = (void*)(uintptr_t)&the_refused;
  return RUM_OK;
}

static size_t refusal(const void* config, uint32_t reason, uint8_t* bytes, size_t size) {
  (void)config;
  return (size_t)snprintf((char*)bytes, size, "busy %d\n", (int)reason);
}

static void say(rum_session* s, const char* what, int32_t status, const char* text, size_t size) {
  char head[64];
  int n = snprintf(head, sizeof head, "%s %d ", what, (int)status);
  host->send(s, RUM_CLIENT, head, (size_t)n);
  host->send(s, RUM_CLIENT, text, size);
  host->send(s, RUM_CLIENT, "\n", 1);
}

static void say_hex(rum_session* s, const char* what, int32_t status, const uint8_t* bytes,
                    size_t size) {
  char hex[2 * 64 + 1] = "";
  size_t i;
  for (i = 0; i < size && i < 64; ++i) snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
  say(s, what, status, hex, strlen(hex));
}

/* What the handshake of a side was about, in a line each. */
static void say_facts(rum_session* s, uint32_t side) {
  static const uint8_t none[1];
  uint8_t value[4096];
  size_t size = sizeof value;
  int32_t status = tls->alpn(s, side, (char*)value, &size);
  say(s, "alpn", status, (char*)value, size);
  size = sizeof value;
  status = tls->offered_alpn(s, value, &size);
  say_hex(s, "offered", status, value, size);
  size = sizeof value;
  status = tls->server_name(s, (char*)value, &size);
  say(s, "name", status, (char*)value, size);
  say(s, "version", tls->version(s, side), "", 0);
  size = sizeof value;
  status = tls->certificate(s, side, value, &size);
  say_hex(s, "certificate", status == RUM_OK ? (int32_t)size : status, none, 0);
  size = sizeof value;
  status = tls->end_point(s, side, value, &size);
  say_hex(s, "end-point", status, value, size);
}

static void answer(rum_session* s, const char* word, const char* one, const char* two,
                   long number) {
  char value[RUM_MOST_SHARED_VALUE];
  size_t size = sizeof value;
  if (strcmp(word, "user") == 0) {
    if (host->lookup(s, one, strlen(one)) != RUM_OK) say(s, "user", RUM_E_FAILED, "", 0);
  } else if (strcmp(word, "put") == 0) {
    int32_t status = shared->put(s, one, strlen(one), two, strlen(two), (uint64_t)number);
    say(s, "put", status, "", 0);
  } else if (strcmp(word, "get") == 0) {
    int32_t status = shared->get(one, strlen(one), value, &size);
    say(s, "get", status, value, status == RUM_FOUND ? size : 0);
  } else if (strcmp(word, "take") == 0) {
    int32_t status = shared->take(one, strlen(one), value, &size);
    say(s, "take", status, value, status == RUM_FOUND ? size : 0);
  } else if (strcmp(word, "find") == 0) {
    int32_t status = shared->find(s, one, strlen(one));
    if (status != RUM_OK) say(s, "find", status, "", 0);
  } else if (strcmp(word, "twice") == 0) {
    shared->find(s, one, strlen(one));
    say(s, "twice", shared->find(s, one, strlen(one)), "", 0);
  } else if (strcmp(word, "remove") == 0) {
    say(s, "remove", shared->remove(s, one, strlen(one)), "", 0);
  } else if (strcmp(word, "connect") == 0) {
    int32_t status = host->connect(s, one, strlen(one));
    if (status != RUM_OK) say(s, "connect", status, "", 0);
  } else if (strcmp(word, "where") == 0) {
    int32_t status = sessions->destination(s, value, &size);
    say(s, "where", status, value, status == RUM_OK ? size : 0);
  } else if (strcmp(word, "nologin") == 0) {
    say(s, "nologin", sessions->no_login(s), "", 0);
  } else if (strcmp(word, "alpn") == 0) {
    char list[256];
    int n = snprintf(list, sizeof list, "%c%s%c%s", (int)strlen(one), one, (int)strlen(two), two);
    tls->set_alpn(s, RUM_UPSTREAM, list, (size_t)n);
    say(s, "alpn", tls->set_alpn(s, RUM_CLIENT, list, (size_t)n), "", 0);
  } else if (strcmp(word, "starttls") == 0) {
    host->start_tls(s, *one == 'c' ? RUM_CLIENT : RUM_UPSTREAM, NULL, 0);
  } else if (strcmp(word, "facts") == 0) {
    say_facts(s, *one == 'c' ? RUM_CLIENT : RUM_UPSTREAM);
  } else if (strcmp(word, "stream") == 0) {
    parts = (size_t)atoi(one);
    queue->await(s, RUM_CLIENT, 65536);
  } else if (strcmp(word, "relay") == 0) {
    host->relay(s);
  } else if (strcmp(word, "save") == 0) {
    say(s, "save", state->save(one, two, strlen(two)), "", 0);
  } else if (strcmp(word, "huge") == 0) {
    say(s, "huge", host->send(s, RUM_CLIENT, one, SIZE_MAX), "", 0);
  } else if (strcmp(word, "log") == 0) {
    static char line[2 * RUM_MOST_LOG];
    memset(line, 'x', sizeof line);
    for (long i = 0; i < number; ++i) host->log(NULL, RUM_LOG_INFO, line, i ? 20 : sizeof line);
    say(s, "log", RUM_OK, "", 0);
  } else {
    host->close(s, RUM_CLOSE_CLIENT_PROTOCOL, NULL, 0);
  }
}

static int64_t client_data(void* data, rum_session* s, const uint8_t* bytes, size_t size) {
  char line[MAX_LINE], word[16] = "", one[600] = "", two[600] = "";
  long number = 0;
  const uint8_t* end = memchr(bytes, '\n', size < MAX_LINE ? size : MAX_LINE);
  if (!end) return size < MAX_LINE ? 0 : -1;
  if (data) {
    say(s, "refused", host->connect(s, "tcp:127.0.0.1:1", 15), (const char*)bytes,
        (size_t)(end - bytes));
    host->close(s, RUM_CLOSE_DENIED, NULL, 0);
    return end - bytes + 1;
  }
  memcpy(line, bytes, (size_t)(end - bytes));
  line[end - bytes] = 0;
  if (sscanf(line, "log %ld", &number) == 1) {
    answer(s, "log", "", "", number);
  } else {
    sscanf(line, "%15s %599s %599s %ld", word, one, two, &number);
    answer(s, word, one, two, number);
  }
  return end - bytes + 1;
}

static void upstream_open(void* data, rum_session* s, uint32_t reason) {
  (void)data;
  say(s, "connect", (int32_t)reason, "", 0);
  if (reason) host->close(s, RUM_CLOSE_CLIENT, NULL, 0);
}

static int32_t side_end(void* data, rum_session* s, uint32_t side) {
  (void)data;
  if (side == RUM_CLIENT) return RUM_END;
  say(s, "ended", RUM_OK, "", 0);
  return RUM_KEEP;
}

/* What a server says before the relay goes to the client in lines of its own. */
static int64_t upstream_data(void* data, rum_session* s, const uint8_t* bytes, size_t size) {
  (void)data;
  say(s, "server", RUM_OK, (const char*)bytes, size);
  return (int64_t)size;
}

/* Sends the parts that are left, one at a time. */
static void drained(void* data, rum_session* s, uint32_t side) {
  static char part[65536];
  (void)data;
  if (queue->size(s, side) > 65536) abort();
  host->send(s, side, part, sizeof part);
  if (--parts) queue->await(s, side, 65536);
}

static void tls_open(void* data, rum_session* s, uint32_t side, int32_t status) {
  (void)data;
  if (side == RUM_UPSTREAM) say(s, "tls", status, "", 0);
}

static void looked_up(void* data, rum_session* s, int32_t status, const uint8_t* value,
                      size_t size) {
  rum_record record = {.struct_size = sizeof record};
  char column[100], text[400];
  size_t room = sizeof column;
  int n;
  (void)data;
  if (status != RUM_FOUND) {
    say(s, "user", status, "", 0);
    return;
  }
  status = records->parse(value, size, &record);
  if (records->column(value, size, "contract-db", column, &room) != RUM_FOUND) room = 0;
  n = snprintf(text, sizeof text, "%.*s %s %.*s", (int)record.destination_size, record.destination,
               record.secret_size ? "secret" : "-", (int)room, column);
  say(s, "user", status, text, (size_t)n);
}

static void shared_found(void* data, rum_session* s, int32_t status, const uint8_t* value,
                         size_t size) {
  (void)data;
  say(s, "find", status, (const char*)value, status == RUM_FOUND ? size : 0);
}

static void session_close(void* data, rum_session* s, uint32_t reason) {
  (void)data, (void)s, (void)reason;
}

RUM_MODULE_EXPORT const rum_module RUM_MODULE_SYMBOL = {
    .struct_size = sizeof(rum_module),
    .abi = RUM_MODULE_ABI,
    .host_size_min = sizeof(rum_host),
    .name = "contract",
    .version = "1.0",
    .summary = "does what its clients ask for, for tests",
    .metrics = metrics,
    .metric_count = sizeof metrics / sizeof metrics[0],
    .metric_size = sizeof(rum_metric),
    .init = init,
    .worker_start = worker_start,
    .worker_stop = worker_stop,
    .session_open = session_open,
    .client_data = client_data,
    .upstream_open = upstream_open,
    .tls_open = tls_open,
    .side_end = side_end,
    .upstream_data = upstream_data,
    .drained = drained,
    .looked_up = looked_up,
    .refusal = refusal,
    .refused_open = refused_open,
    .session_close = session_close,
    .shared_found = shared_found,
};
