/* A small real module in C: greets the client, reads its name from the first line, asks the user
 * map for its server, connects and relays. Copy it, rename it, and change the hooks. The contract
 * is rum/module.h; the order of this file is the order in which rum calls it. */
#include <rum/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAME 64 /* bytes; always limit what a client can send */

static const rum_host* rum;
static const rum_limits* limits;   /* NULL in a rum without them */
static const rum_records* records; /* init fails without them */

/* Options. Each name starts with the module's; rum checks the type. */
static const rum_option options[] = {
    {.name = "greeting-text",
     .value = "TEXT",
     .default_value = "hello, who are you?",
     .help = "The line that every client is greeted with",
     .type = RUM_OPTION_TEXT},
};

/* Counters: rum_greeting_clients_total in /metrics. */
enum { CLIENTS };
static const rum_metric metrics[] = {
    [CLIENTS] = {.name = "greeting_clients", .help = "Clients that told their name"},
};

/* The options in the form that sessions use. Immutable: a reload makes a new one. */
struct config {
  size_t size;
  char banner[256];
};

/* The state of one session. */
struct login {
  uint64_t opened;
  int named; /* the bytes after the name are for the server */
};

/* [main] */
static int32_t init(const rum_host* host, char* error, size_t error_size) {
  rum = host;
  limits = host->extension(RUM_LIMITS_1);
  records = host->extension(RUM_RECORDS_1);
  if (records != NULL) return RUM_OK;
  snprintf(error, error_size, "this rum has no rum.records/1");
  return RUM_E_UNSUPPORTED;
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

/* [worker] A client has connected. rum sends the queued bytes after the hook has returned. */
static int32_t session_open(rum_session* session, const void* config_data, void* worker_data,
                            void** data) {
  const struct config* config = config_data;
  (void)worker_data;
  struct login* login = calloc(1, sizeof *login);
  if (login == NULL) return RUM_E_MEMORY; /* rum closes, without session_close */
  login->opened = rum->now();
  *data = login;
  rum->send(session, RUM_CLIENT, config->banner, config->size);
  return RUM_OK;
}

/* Connects to the user's server in the map. Size 0, for unknown users, selects the default
 * destination (-d). */
static void connect_user(rum_session* session, const void* record, size_t record_size,
                         const char* server, size_t size) {
  /* Checks the user's rules and limits, which rum reads from the record. */
  if (limits != NULL && limits->admit(session, record, record_size) != RUM_OK) {
    static const char refused[] = "you may not\r\n";
    rum->send(session, RUM_CLIENT, refused, sizeof refused - 1);
    rum->close(session, RUM_CLOSE_LIMIT, NULL, 0);
    return;
  }
  int32_t status = rum->connect(session, server, size);
  if (status == RUM_E_UNSUPPORTED) {
    rum->close(session, RUM_CLOSE_NO_DESTINATION, NULL, 0);
  } else if (status != RUM_OK) {
    rum->close(session, RUM_CLOSE_BAD_DESTINATION, NULL, 0);
  }
}

/* [worker] Receives all bytes not yet consumed, again with each call: 0 means "wait for more". */
static int64_t client_data(void* data, rum_session* session, const uint8_t* bytes, size_t size) {
  struct login* login = data;
  if (login->named) return 0;
  const uint8_t* end = memchr(bytes, '\n', size);
  if (end == NULL) return size > MAX_NAME + 1 ? RUM_E_LIMIT : 0;
  size_t line = (size_t)(end - bytes) + 1;
  size_t name = line - 1;
  if (name > 0 && bytes[name - 1] == '\r') name--;
  if (name == 0 || name > MAX_NAME) return RUM_E_ARGUMENT; /* violates our protocol */
  login->named = 1;

  rum->identify(session, bytes, name); /* in the session's log line */
  char waited[24];
  int length =
      snprintf(waited, sizeof waited, "%llu", (unsigned long long)(rum->now() - login->opened));
  rum->note(session, "name_after_ms", waited, (size_t)length);
  rum->metric_add(session, CLIENTS, 1);

  int32_t status = rum->lookup(session, bytes, name);
  if (status == RUM_E_UNSUPPORTED) {
    connect_user(session, NULL, 0, "", 0); /* rum was started without a map */
  } else if (status != RUM_OK) {
    rum->close(session, RUM_CLOSE_MAP_UNAVAILABLE, NULL, 0);
  }
  return (int64_t)line;
}

/* [worker] The map's answer; never called from within lookup(). */
static void looked_up(void* data, rum_session* session, int32_t status, const uint8_t* value,
                      size_t size) {
  rum_record record = {.struct_size = sizeof record};
  (void)data;
  if (status == RUM_NOT_FOUND) {
    connect_user(session, NULL, 0, "", 0);
  } else if (status != RUM_FOUND) {
    rum->close(session, RUM_CLOSE_MAP_UNAVAILABLE, NULL, 0);
  } else if (records->parse(value, size, &record) != RUM_OK) {
    rum->close(session, RUM_CLOSE_BAD_DESTINATION, NULL, 0);
  } else {
    connect_user(session, value, size, record.destination, record.destination_size);
  }
}

/* [worker] From here on rum relays all bytes, also those after the line, without calling the
 * module. If `reason` is not 0, the session ends with it. */
static void upstream_open(void* data, rum_session* session, uint32_t reason) {
  (void)data;
  if (reason == 0) rum->relay(session);
}

/* [worker] Called exactly once for each session_open that returned RUM_OK. */
static void session_close(void* data, rum_session* session, uint32_t reason) {
  (void)session, (void)reason;
  free(data);
}

/* The only exported symbol. Hooks that are not set are NULL; the header says what that means. */
RUM_MODULE_EXPORT const rum_module RUM_MODULE_SYMBOL = {
    .struct_size = sizeof(rum_module),
    .abi = RUM_MODULE_ABI,
    .host_size_min = sizeof(rum_host),
    .name = "greeting",
    .version = "1.0",
    .summary = "greets the client, asks its name, relays to where the map says",
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
    .upstream_open = upstream_open,
    .looked_up = looked_up,
    .session_close = session_close,
};
