/* Modules that break one rule each, chosen by a macro: what rum-check must refuse or find. */
#include <rum/module.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#ifndef NO_SYMBOL

static const rum_host* rum;

#ifdef MISSING_DEPENDENCY
extern int a_function_that_is_nowhere(void);
#endif

static int32_t init(const rum_host* host, char* error, size_t error_size) {
#ifdef INIT_FAILS
  static const char why[] = "the moon is not full";
  (void)host;
  if (error_size >= sizeof why) memcpy(error, why, sizeof why);
  return RUM_E_FAILED;
#endif
  (void)error;
  (void)error_size;
  rum = host;
  return RUM_OK;
}

#ifdef LATE_CALL
static rum_session* last;
#endif
#ifdef KEEPS_POINTER
static const uint8_t* kept;
#endif

#ifdef POSTING
/* Posts a job in each session, which is no fault. */
static const rum_worker_calls* work;
static uint64_t ticket;
static int32_t worker_start(rum_worker* worker, const void* config, void** worker_data) {
  (void)config;
  (void)worker_data;
  work = rum->extension(RUM_WORKER_1);
  if (!work) return RUM_E_FAILED;
  ticket = work->ticket(worker);
  return RUM_OK;
}
static void posted(void* worker_data, void* argument) {
  (void)worker_data;
  free(argument);
}
#define WORKER_START worker_start
#else
#define WORKER_START NULL
#endif

static int32_t session_open(rum_session* session, const void* config, void* worker_data,
                            void** data) {
  (void)config;
  (void)worker_data;
  *data = NULL;
#ifdef LATE_CALL
  if (last) rum->send(last, RUM_CLIENT, "late", 4);
  last = session;
#endif
#ifdef MISSING_DEPENDENCY
  return a_function_that_is_nowhere(); /* needed only when it is called */
#endif
#ifdef RETRYING
  rum->connect(session, "tcp:192.0.2.1:1", 15);
#endif
#ifdef SPINNING
  rum->lookup(session, "again", 5);
#endif
#ifdef POSTING
  {
    void* argument = malloc(100);
    if (work->post(ticket, posted, argument, free) != RUM_OK) free(argument);
  }
#endif
#ifdef LEAKING
  *data = malloc(100); /* no session_close frees it */
#endif
  return rum && session ? RUM_OK : RUM_E_FAILED;
}

#ifdef KEEPING
/* Waits for somebody who never comes. */
static int32_t side_end(void* data, rum_session* session, uint32_t side) {
  (void)data;
  (void)session;
  (void)side;
  return RUM_KEEP;
}
#define SIDE_END side_end
#else
#define SIDE_END NULL
#endif

#ifdef RETRYING
/* Tries what fails at once until rum refuses it, which is no fault. */
static void upstream_open(void* data, rum_session* session, uint32_t reason) {
  (void)data;
  if (reason) rum->connect(session, "tcp:192.0.2.1:1", 15);
}
#define UPSTREAM_OPEN upstream_open
#else
#define UPSTREAM_OPEN NULL
#endif

/* Each line is answered by its own text. */
static int64_t client_data(void* data, rum_session* session, const uint8_t* bytes, size_t size) {
  const uint8_t* end = memchr(bytes, '\n', size);
  (void)data;
#ifdef GREEDY
  return (int64_t)size + 1;
#endif
#ifdef HANGING
  for (volatile int i = 1; i;) {
  }
#endif
#ifdef EXITING
  exit(0);
#endif
#ifdef FLOODING
  for (;;) rum->send(session, RUM_CLIENT, bytes, size);
#endif
#ifdef CRASHING
  raise(SIGSEGV);
#endif
#ifdef FALSE_NEED
  rum->need(session, RUM_CLIENT, 1);
  return 0;
#endif
#ifdef BLIND_TO_CUTS
  rum->send(session, RUM_CLIENT, bytes, size); /* takes what there is for one whole line */
  if (bytes[size - 1] != '\n') rum->close(session, RUM_CLOSE_CLIENT_PROTOCOL, NULL, 0);
  return (int64_t)size;
#endif
#ifdef DEAF_TO_THE_SECOND
  if (end) rum->send(session, RUM_CLIENT, bytes, (size_t)(end - bytes) + 1);
  return end ? (int64_t)size : 0; /* forgets what came with the first line */
#endif
#ifdef KEEPS_POINTER
  if (!kept) kept = bytes;
  if (end) rum->send(session, RUM_CLIENT, kept, (size_t)(end - bytes) + 1);
  if (end) kept = NULL;
  return end ? (int64_t)(end - bytes) + 1 : 0;
#endif
#ifdef WRONG_CLOSE
  rum->close(session, RUM_CLOSE_DRAIN, NULL, 0);
#endif
  if (!end) return 0;
  rum->send(session, RUM_CLIENT, bytes, (size_t)(end - bytes) + 1);
  return (int64_t)(end - bytes) + 1;
}

static void looked_up(void* data, rum_session* session, int32_t status, const uint8_t* value,
                      size_t size) {
  (void)data;
  (void)status;
  (void)value;
  (void)size;
  rum->lookup(session, "again", 5);
}

#ifdef BAD_OPTION
static const rum_option options[] = {
    {"other-name", NULL, NULL, "does not begin with the name", RUM_OPTION_FLAG, 0}};
#define OPTIONS options
#define OPTION_COUNT 1
#else
#define OPTIONS NULL
#define OPTION_COUNT 0
#endif

#ifndef ABI
#define ABI RUM_MODULE_ABI
#endif
#ifndef HOST_SIZE
#define HOST_SIZE sizeof(rum_host)
#endif
#ifndef TABLE_SIZE
#define TABLE_SIZE sizeof(rum_module)
#endif

RUM_MODULE_EXPORT const rum_module RUM_MODULE_SYMBOL = {
    .struct_size = TABLE_SIZE,
    .abi = ABI,
    .host_size_min = HOST_SIZE,
    .name = "bad",
    .version = "1.0",
    .summary = "breaks a rule, for tests",
    .options = OPTIONS,
    .option_count = OPTION_COUNT,
    .option_size = sizeof(rum_option),
    .metric_size = sizeof(rum_metric),
    .init = init,
    .worker_start = WORKER_START,
    .session_open = session_open,
    .client_data = client_data,
    .looked_up = looked_up,
    .upstream_open = UPSTREAM_OPEN,
    .side_end = SIDE_END,
};

#else

/* Only something to be loaded. */
int not_a_module(void) { return 1; }

#endif
