/* A module that echoes its input until a client sends the word of --bad-word: then the hook of
 * --bad-hook does what --bad-deed says; "wait" lasts until the file $BAD_GO exists. Like the
 * runtimes of some languages, it starts a thread when it is loaded; it answers "thread" with the
 * number of times that the thread has run. */
#include <pthread.h>
#include <rum/module.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { kHook, kDeed, kWord, kTime, kOptions };

static const rum_host* host;
static char hook[32], deed[32], word[32];
static long milliseconds;
static volatile unsigned long runs;

static void rest(long ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

static void* run(void* unused) {
  for (;;) {
    rest(1);
    runs++;
  }
  return unused;
}

__attribute__((constructor)) static void start(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, NULL) == 0) pthread_detach(thread);
}

static int recurse(volatile int depth) {
  volatile char frame[4096];
  frame[0] = (char)depth;
  if (depth < 0) return 0;
  return recurse(depth + 1) + frame[0];
}

static void act(void) {
  static volatile int zero;
  if (strcmp(deed, "block") == 0) rest(milliseconds);
  if (strcmp(deed, "wait") == 0) {
    while (access(getenv("BAD_GO"), F_OK) != 0) rest(5);
  }
  if (strcmp(deed, "segv") == 0) *(volatile int*)(size_t)zero = 1;
  if (strcmp(deed, "fpe") == 0) zero = 7 / zero;
  if (strcmp(deed, "ill") == 0) raise(SIGILL);
  if (strcmp(deed, "bus") == 0) raise(SIGBUS);
  if (strcmp(deed, "abort") == 0) abort();
  if (strcmp(deed, "overflow") == 0) exit(recurse(0));
  if (strcmp(deed, "exit") == 0) exit(0);
  if (strcmp(deed, "exit7") == 0) exit(7);
}

static void act_in(const char* name) {
  if (strcmp(hook, name) == 0) act();
}

static int32_t init(const rum_host* table, char* error, size_t error_size) {
  host = table;
  const char* why = getenv("BAD_INIT");
  if (!why) return RUM_OK;
  snprintf(error, error_size, "%s", why);
  return RUM_E_FAILED;
}

static int32_t config_new(const char* const* values, size_t count, void** config, char* error,
                          size_t error_size) {
  (void)count, (void)config, (void)error, (void)error_size;
  snprintf(hook, sizeof hook, "%s", values[kHook]);
  snprintf(deed, sizeof deed, "%s", values[kDeed]);
  snprintf(word, sizeof word, "%s", values[kWord]);
  milliseconds = atol(values[kTime]);
  act_in("config_new");
  return RUM_OK;
}

static int32_t worker_start(rum_worker* worker, const void* config, void** data) {
  (void)worker, (void)config, (void)data;
  act_in("worker_start");
  return RUM_OK;
}

static void worker_stop(void* data) {
  (void)data;
  act_in("worker_stop");
}

static int32_t session_open(rum_session* session, const void* config, void* worker, void** data) {
  (void)session, (void)config, (void)worker, (void)data;
  act_in("session_open");
  return RUM_OK;
}

static int64_t client_data(void* data, rum_session* session, const uint8_t* bytes, size_t size) {
  (void)data;
  if (size == strlen(word) && memcmp(bytes, word, size) == 0) {
    act_in("client_data");
    if (strcmp(hook, "session_close") == 0) host->close(session, RUM_CLOSE_CLIENT, "", 0);
    if (strcmp(hook, "timeout") == 0) host->timer(session, 1);
  }
  char text[32];
  if (size == 6 && memcmp(bytes, "thread", 6) == 0) {
    int length = snprintf(text, sizeof text, "%lu\n", runs);
    host->send(session, RUM_CLIENT, text, (size_t)length);
  } else {
    host->send(session, RUM_CLIENT, bytes, size);
  }
  return (int64_t)size;
}

static void timeout(void* data, rum_session* session, uint64_t ticket) {
  (void)data, (void)session, (void)ticket;
  act_in("timeout");
}

static void session_close(void* data, rum_session* session, uint32_t reason) {
  (void)data, (void)session, (void)reason;
  act_in("session_close");
}

static const rum_option options[] = {
    {"bad-hook", "HOOK", "client_data", "where", RUM_OPTION_TEXT, 0},
    {"bad-deed", "DEED", "block", "what", RUM_OPTION_TEXT, 0},
    {"bad-word", "WORD", "bad", "when", RUM_OPTION_TEXT, 0},
    {"bad-time", "TIME", "5s", "how long to block", RUM_OPTION_DURATION, 0},
};

RUM_MODULE_EXPORT const rum_module RUM_MODULE_SYMBOL = {
    .struct_size = sizeof(rum_module),
    .abi = RUM_MODULE_ABI,
    .host_size_min = sizeof(rum_host),
    .name = "bad",
    .version = "1",
    .summary = "blocks, breaks or ends in a hook",
    .options = options,
    .option_count = kOptions,
    .option_size = sizeof(rum_option),
    .metric_size = sizeof(rum_metric),
    .init = init,
    .config_new = config_new,
    .worker_start = worker_start,
    .worker_stop = worker_stop,
    .session_open = session_open,
    .client_data = client_data,
    .timeout = timeout,
    .session_close = session_close,
};
