/* A small real module in C: greets the client, reads its name from the first line, then connects to
 * the default destination and relays. Copy it, rename it, and change the hooks. The contract is
 * rum/module.h; the order of this file is the order in which rum calls it. */
#include <rum/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAME 64 /* of a name, in bytes; what a client sends always has a bound */

static const rum_host* rum;

/* What the user may set. The name starts with the module's, rum checks the type. */
static const rum_option options[] = {
    {.name = "greeting-text",
     .value = "TEXT",
     .default_value = "hello, who are you?",
     .help = "The line that every client is greeted with",
     .type = RUM_OPTION_TEXT},
};

/* What is counted: rum_greeting_clients_total in /metrics. */
enum { CLIENTS };
static const rum_metric metrics[] = {
    [CLIENTS] = {.name = "greeting_clients", .help = "Clients that told their name"},
};

/* The options in the form that sessions use. It does not change: a reload makes a new one. */
struct config {
  size_t size;
  char banner[256];
};

/* What belongs to one session. */
struct greeting {
  uint64_t opened;
};

/* [main] */
static int32_t init(const rum_host* host, char* error, size_t error_size) {
  (void)error, (void)error_size;
  rum = host;
  return RUM_OK;
}

/* [main] */
static int32_t config_new(const char* const* values, size_t count, void** out, char* error,
                          size_t error_size) {
  const char* text = count > 0 && values[0] != NULL ? values[0] : "";
  struct config* config = malloc(sizeof *config);
  if (config == NULL) return RUM_E_MEMORY;
  int size = snprintf(config->banner, sizeof config->banner, "%s\r\n", text);
  if (size < 0 || (size_t)size >= sizeof config->banner) {
    snprintf(error, error_size, "the banner has more than %zu bytes", sizeof config->banner - 3);
    free(config);
    return RUM_E_ARGUMENT;
  }
  config->size = (size_t)size;
  *out = config;
  return RUM_OK;
}

/* [any] */
static void config_free(void* config) { free(config); }

/* [worker] A client is there. What is sent leaves when the hook has returned. */
static int32_t session_open(rum_session* session, const void* config_data, void* worker_data,
                            void** data) {
  const struct config* config = config_data;
  (void)worker_data;
  struct greeting* greeting = malloc(sizeof *greeting);
  if (greeting == NULL) return RUM_E_MEMORY; /* rum closes; session_close is not called then */
  greeting->opened = rum->now();
  *data = greeting;
  rum->send(session, RUM_CLIENT, config->banner, config->size);
  return RUM_OK;
}

/* [worker] All bytes not consumed so far come again, more of them each time: 0 means "wait". */
static int64_t client_data(void* data, rum_session* session, const uint8_t* bytes, size_t size) {
  const struct greeting* greeting = data;
  const uint8_t* end = memchr(bytes, '\n', size);
  if (end == NULL) return size > MAX_NAME ? RUM_E_LIMIT : 0;
  size_t line = (size_t)(end - bytes) + 1;
  size_t name = line - 1;
  if (name > 0 && bytes[name - 1] == '\r') name--;
  if (name == 0 || name > MAX_NAME) return RUM_E_ARGUMENT; /* a breach of our protocol */

  /* The user is in the log line from here on, and counts for the limits per user. There is no map
   * here, so there is no record to show: a module with one calls admit() when it has answered. */
  const rum_limits* limits = rum->extension(RUM_LIMITS_1);
  rum->identify(session, bytes, name);
  if (limits != NULL && limits->admit(session, NULL, 0) != RUM_OK) {
    static const char full[] = "too many of you\r\n";
    rum->send(session, RUM_CLIENT, full, sizeof full - 1);
    rum->close(session, RUM_CLOSE_LIMIT, NULL, 0);
    return (int64_t)line;
  }
  char waited[24];
  int length =
      snprintf(waited, sizeof waited, "%llu", (unsigned long long)(rum->now() - greeting->opened));
  rum->note(session, "name_after_ms", waited, (size_t)length);
  rum->metric_add(session, CLIENTS, 1);

  /* Size 0 is the default destination (-d); a module with a map would call lookup() instead. */
  if (rum->connect(session, "", 0) != RUM_OK) {
    rum->close(session, RUM_CLOSE_NO_DESTINATION, NULL, 0);
    return (int64_t)line;
  }
  /* From here on the bytes flow unseen, those behind the line included. */
  rum->relay(session);
  return (int64_t)line;
}

/* [worker] Once for each session_open that returned RUM_OK, whatever happened. */
static void session_close(void* data, rum_session* session, uint32_t reason) {
  (void)session, (void)reason;
  free(data);
}

/* The one symbol of the file. Hooks that are not named are NULL, which the header explains. */
RUM_MODULE_EXPORT const rum_module RUM_MODULE_SYMBOL = {
    .struct_size = sizeof(rum_module),
    .abi = RUM_MODULE_ABI,
    .host_size_min = sizeof(rum_host),
    .name = "greeting",
    .version = "1.0",
    .summary = "greets the client, asks its name, relays to the default destination",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .metrics = metrics,
    .metric_count = sizeof metrics / sizeof metrics[0],
    .metric_size = sizeof metrics[0],
    .init = init,
    .config_new = config_new,
    .config_free = config_free,
    .session_open = session_open,
    .client_data = client_data,
    .session_close = session_close,
};
