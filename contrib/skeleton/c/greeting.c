/* A small real module in C: greets the client, reads its name from the first line, asks the user
 * map for its server, connects and relays. Copy it, rename it, and change the hooks. The contract
 * is rum/module.h; the order of this file is the order in which rum calls it. */
#include <rum/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAME 64 /* of a name, in bytes; what a client sends always has a bound */

static const rum_host* rum;
static const rum_limits* limits;   /* NULL in a rum without them */
static const rum_records* records; /* init fails without them */

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
struct login {
  uint64_t opened;
  int named; /* what follows the name is for the server */
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

/* [worker] A client is there. What is sent leaves when the hook has returned. */
static int32_t session_open(rum_session* session, const void* config_data, void* worker_data,
                            void** data) {
  const struct config* config = config_data;
  (void)worker_data;
  struct login* login = calloc(1, sizeof *login);
  if (login == NULL) return RUM_E_MEMORY; /* rum closes; session_close is not called then */
  login->opened = rum->now();
  *data = login;
  rum->send(session, RUM_CLIENT, config->banner, config->size);
  return RUM_OK;
}

/* To the server of the map, or for those that it does not know to the default destination (-d),
 * which is what size 0 means. */
static void connect_user(rum_session* session, const void* record, size_t record_size,
                         const char* server, size_t size) {
  /* The rules and limits of the user, which rum reads out of the record. */
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

/* [worker] All bytes not consumed so far come again, more of them each time: 0 means "wait". */
static int64_t client_data(void* data, rum_session* session, const uint8_t* bytes, size_t size) {
  struct login* login = data;
  if (login->named) return 0;
  const uint8_t* end = memchr(bytes, '\n', size);
  if (end == NULL) return size > MAX_NAME + 1 ? RUM_E_LIMIT : 0;
  size_t line = (size_t)(end - bytes) + 1;
  size_t name = line - 1;
  if (name > 0 && bytes[name - 1] == '\r') name--;
  if (name == 0 || name > MAX_NAME) return RUM_E_ARGUMENT; /* a breach of our protocol */
  login->named = 1;

  rum->identify(session, bytes, name); /* in the log line from here on */
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

/* [worker] The answer of the map, never from inside of lookup(). */
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

/* [worker] From here on the bytes flow unseen, those behind the line included. With a reason the
 * session ends with that. */
static void upstream_open(void* data, rum_session* session, uint32_t reason) {
  (void)data;
  if (reason == 0) rum->relay(session);
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
