/* The smallest module, and a tutorial: it connects every client to the default destination (-d) and
 * lets rum relay the bytes both ways. Read it from top to bottom, together with rum/module.h. */
#include <rum/module.h>
#include <string.h>

/* The functions that rum offers: one table per process, valid until the process ends. */
static const rum_host* rum;

/* [main] Called once, after rum has loaded this file and checked the table at the bottom. */
static int32_t init(const rum_host* host, char* error, size_t error_size) {
  (void)error; /* On failure, a module writes a sentence here and returns RUM_E_FAILED. */
  (void)error_size;
  rum = host;
  return RUM_OK;
}

/* [worker] A client has connected. Several threads run many sessions at once: keep the state of a
 * session in *data, never in a static variable. This module has no state. */
static int32_t session_open(rum_session* session, const void* config, void* worker_data,
                            void** data) {
  static const char none[] = "no destination: start rum with -d";
  (void)config;      /* The result of config_new: this module has none. */
  (void)worker_data; /* The result of worker_start: none, too. */
  *data = NULL;

  /* Size 0 selects the default destination. The call does not wait: it starts the connect. If that
   * fails, rum ends the session with the reason. A module whose protocol has error messages sets
   * the hook upstream_open, which receives the outcome, and sends the error to the client there. */
  if (rum->connect(session, "", 0) != RUM_OK) {
    rum->close(session, RUM_CLOSE_NO_DESTINATION, none, strlen(none));
    return RUM_OK; /* The session is open; it ends after this hook has returned. */
  }

  /* This module neither reads nor sends: relay at once. The relay starts when the upstream is
   * connected; until then the client's bytes wait. A module that must read first returns here, does
   * its work in client_data and upstream_data, and calls relay() after the login. */
  if (rum->relay(session) != RUM_OK) rum->close(session, RUM_CLOSE_MODULE, NULL, 0);
  return RUM_OK;
}

/* The symbol that rum loads. Hooks that are not set here are NULL; module.h says for each hook what
 * rum does then. */
RUM_MODULE_EXPORT const rum_module RUM_MODULE_SYMBOL = {
    .struct_size = sizeof(rum_module),
    .abi = RUM_MODULE_ABI,
    .host_size_min = sizeof(rum_host), /* everything in this header */
    .name = "passthrough",
    .version = "1.0.0",
    .summary = "relays every session to the default destination",
    .option_size = sizeof(rum_option),
    .metric_size = sizeof(rum_metric),
    .init = init,
    .session_open = session_open,
};
