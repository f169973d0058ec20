/* A module that keeps every rule, to try what a transcript can say. Its protocol has lines:
 *   USER name    looks the name up, connects and relays, with "HELLO name" to the upstream
 *   STARTTLS     TLS with the client        SLOW   a thread answers, the session pauses
 *   WAIT         answers after 5 s          BODY n   n bytes go to the upstream unseen, then on
 * It greets with 8 random letters. A line is at most 100 bytes. */
#include <pthread.h>
#include <rum/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const rum_host* rum;

struct box {
  char name[101];
  uint64_t timer;
};

static const rum_option options[] = {
    {"postbox-greeting", "WORD", "220", "what a greeting begins with", RUM_OPTION_TEXT, 0},
    {"postbox-quiet", NULL, NULL, "greet nobody", RUM_OPTION_FLAG, 0},
};
static const rum_metric metrics[] = {{"postbox_lines", "lines of clients"}};

struct config {
  char greeting[32];
  int quiet;
};

static int32_t init(const rum_host* host, char* error, size_t error_size) {
  (void)error;
  (void)error_size;
  rum = host;
  return RUM_OK;
}

static int32_t config_new(const char* const* values, size_t count, void** out, char* error,
                          size_t error_size) {
  struct config* config;
  (void)count;
  if (strlen(values[0]) >= sizeof config->greeting) {
    snprintf(error, error_size, "--postbox-greeting is longer than 31 bytes");
    return RUM_E_FAILED;
  }
  config = calloc(1, sizeof *config);
  if (!config) return RUM_E_MEMORY;
  strcpy(config->greeting, values[0]);
  config->quiet = values[1] != NULL;
  *out = config;
  return RUM_OK;
}

static void config_free(void* config) { free(config); }

static void say(rum_session* session, uint32_t side, const char* text) {
  rum->send(session, side, text, strlen(text));
}

static int32_t session_open(rum_session* session, const void* config, void* worker_data,
                            void** data) {
  static unsigned seed = 1;
  const struct config* c = config;
  char text[64];
  size_t at = (size_t)snprintf(text, sizeof text, "%s ", c->greeting);
  (void)worker_data;
  *data = calloc(1, sizeof(struct box));
  if (!*data) return RUM_E_MEMORY;
  for (int i = 0; i < 8; ++i) {
    seed = seed * 1103515245u + 12345u;
    text[at++] = (char)('a' + (seed >> 16) % 26);
  }
  strcpy(text + at, "\r\n");
  if (!c->quiet) say(session, RUM_CLIENT, text);
  return RUM_OK;
}

static void drop(void* payload) { free(payload); }

static void* work(void* ticket) {
  char* payload = malloc(16);
  strcpy(payload, "slow work\r\n");
  rum->resume(*(uint64_t*)ticket, RUM_OK, payload, drop);
  free(ticket);
  return NULL;
}

static void begin_work(rum_session* session) {
  pthread_t thread;
  uint64_t* ticket = malloc(sizeof *ticket);
  *ticket = rum->pause(session);
  if (pthread_create(&thread, NULL, work, ticket) == 0) {
    pthread_detach(thread);
  } else {
    work(ticket);
  }
}

static int line_is(const char* line, size_t size, const char* word) {
  return size == strlen(word) && memcmp(line, word, size) == 0;
}

static int64_t client_data(void* data, rum_session* session, const uint8_t* bytes, size_t size) {
  struct box* box = data;
  const char* line = (const char*)bytes;
  const uint8_t* end = memchr(bytes, '\n', size < 100 ? size : 100);
  size_t length, consumed;
  if (!end) return size >= 100 ? -1 : 0;
  consumed = (size_t)(end - bytes) + 1;
  length = consumed - 1;
  if (length && line[length - 1] == '\r') --length;
  rum->metric_add(session, 0, 1);
  if (length > 5 && memcmp(line, "USER ", 5) == 0) {
    memcpy(box->name, line + 5, length - 5);
    box->name[length - 5] = 0;
    rum->note(session, "box", box->name, length - 5);
    rum->identify(session, box->name, length - 5);
    rum->lookup(session, box->name, length - 5);
  } else if (line_is(line, length, "STARTTLS")) {
    if (rum->start_tls(session, RUM_CLIENT, NULL, 0) == RUM_OK) {
      say(session, RUM_CLIENT, "220 go\r\n");
    } else {
      say(session, RUM_CLIENT, "500 no\r\n");
    }
  } else if (line_is(line, length, "SLOW")) {
    begin_work(session);
  } else if (line_is(line, length, "WAIT")) {
    box->timer = rum->timer(session, 5000);
  } else if (length > 5 && memcmp(line, "BODY ", 5) == 0) {
    rum->forward(session, RUM_CLIENT, (uint64_t)atoi(line + 5));
    rum->connect(session, "", 0);
  } else {
    say(session, RUM_CLIENT, "500 what?\r\n");
    rum->log(session, RUM_LOG_WARNING, "an unknown line", 15);
  }
  return (int64_t)consumed;
}

static void upstream_open(void* data, rum_session* session, uint32_t reason) {
  struct box* box = data;
  char text[128];
  if (reason) {
    say(session, RUM_CLIENT, "400 away\r\n");
  } else if (box->name[0]) {
    snprintf(text, sizeof text, "HELLO %s\r\n", box->name);
    say(session, RUM_UPSTREAM, text);
    rum->relay(session);
  }
}

static int64_t upstream_data(void* data, rum_session* session, const uint8_t* bytes, size_t size) {
  (void)data;
  rum->send(session, RUM_CLIENT, bytes, size);
  return (int64_t)size;
}

static void looked_up(void* data, rum_session* session, int32_t status, const uint8_t* value,
                      size_t size) {
  const rum_limits* limits = rum->extension(RUM_LIMITS_1);
  (void)data;
  if (status == RUM_FOUND) {
    if (limits->admit(session, value, size) != RUM_OK) {
      say(session, RUM_CLIENT, "500 too many\r\n");
      rum->close(session, RUM_CLOSE_LIMIT, "of this user", 12);
      return;
    }
    if (rum->connect(session, (const char*)value, size) == RUM_OK) return;
    rum->close(session, RUM_CLOSE_BAD_DESTINATION, NULL, 0);
  } else if (status == RUM_NOT_FOUND) {
    limits->login_failed(session);
    say(session, RUM_CLIENT, "500 nobody\r\n");
    rum->close(session, RUM_CLOSE_DENIED, "no such user", 12);
  } else {
    rum->close(session, RUM_CLOSE_MAP_UNAVAILABLE, NULL, 0);
  }
}

static void tls_open(void* data, rum_session* session, uint32_t side, int32_t status) {
  (void)data;
  (void)side;
  if (status == RUM_OK) say(session, RUM_CLIENT, "220 private\r\n");
}

static void timeout(void* data, rum_session* session, uint64_t ticket) {
  struct box* box = data;
  if (ticket == box->timer) say(session, RUM_CLIENT, "250 waited\r\n");
}

static void resumed(void* data, rum_session* session, uint64_t ticket, int32_t status,
                    void* payload) {
  (void)data;
  (void)ticket;
  (void)status;
  say(session, RUM_CLIENT, payload);
  free(payload);
}

static int32_t side_end(void* data, rum_session* session, uint32_t side) {
  (void)data;
  (void)session;
  return side == RUM_CLIENT ? RUM_END : RUM_KEEP;
}

static void session_close(void* data, rum_session* session, uint32_t reason) {
  if (reason == RUM_CLOSE_LOGIN_TIMEOUT) say(session, RUM_CLIENT, "400 too slow\r\n");
  free(data);
}

static size_t refusal(const void* config, uint32_t reason, uint8_t* bytes, size_t size) {
  static const char text[] = "400 full\r\n";
  (void)config;
  if (reason != RUM_CLOSE_LIMIT || size < sizeof text - 1) return 0;
  memcpy(bytes, text, sizeof text - 1);
  return sizeof text - 1;
}

RUM_MODULE_EXPORT const rum_module RUM_MODULE_SYMBOL = {
    .struct_size = sizeof(rum_module),
    .abi = RUM_MODULE_ABI,
    .host_size_min = sizeof(rum_host),
    .name = "postbox",
    .version = "1.0",
    .summary = "keeps every rule, for tests",
    .options = options,
    .option_count = 2,
    .option_size = sizeof(rum_option),
    .metrics = metrics,
    .metric_count = 1,
    .metric_size = sizeof(rum_metric),
    .init = init,
    .config_new = config_new,
    .config_free = config_free,
    .session_open = session_open,
    .client_data = client_data,
    .upstream_open = upstream_open,
    .upstream_data = upstream_data,
    .looked_up = looked_up,
    .tls_open = tls_open,
    .side_end = side_end,
    .timeout = timeout,
    .resumed = resumed,
    .session_close = session_close,
    .refusal = refusal,
};
