/* The smallest module, and the tutorial: every client goes to the default destination (-d), and the
 * bytes flow both ways unseen. Read it from top to bottom, with rum/module.h beside it. */
#include <rum/module.h>
#include <string.h>

/* What rum can do for us. One table for the whole process; it lives as long as the process does. */
static const rum_host* rum;

/* [main] Called once, after rum has loaded this file and checked the table at the bottom. */
static int32_t init(const rum_host* host, char* error, size_t error_size) {
  (void)error; /* A module that cannot start writes a sentence here and returns RUM_E_FAILED. */
  (void)error_size;
  rum = host;
  return RUM_OK;
}

/* [worker] A client has connected. Many sessions live at once, on several threads: what belongs to
 * one of them goes to *data, never to a static variable. This module has nothing to remember. */
static int32_t session_open(rum_session* session, const void* config, void* worker_data,
                            void** data) {
  static const char none[] = "no destination: start rum with -d";
  (void)config;      /* What config_new made of our options: we have neither. */
  (void)worker_data; /* What worker_start stored: nothing. */
  *data = NULL;

  /* Size 0 asks for the default destination. The call does not wait: it begins to connect. When
   * nobody answers, rum ends the session with the true reason. A module with a protocol writes the
   * hook upstream_open, which is told the outcome, and says there to the client what went wrong. */
  if (rum->connect(session, "", 0) != RUM_OK) {
    rum->close(session, RUM_CLOSE_NO_DESTINATION, none, strlen(none));
    return RUM_OK; /* The session was opened; it ends when this hook has returned. */
  }

  /* Nothing has to be said or read: step aside at once. The relay begins when the upstream is
   * there, and what the client sends until then is kept. A module that must read first would return
   * here, do its work in client_data and upstream_data, and call relay() when the login is over. */
  if (rum->relay(session) != RUM_OK) rum->close(session, RUM_CLOSE_MODULE, NULL, 0);
  return RUM_OK;
}

/* The one symbol that rum looks for. A hook that is not named here is NULL, and module.h says at
 * each hook what rum does then. */
RUM_MODULE_EXPORT const rum_module RUM_MODULE_SYMBOL = {
    .struct_size = sizeof(rum_module),
    .abi = RUM_MODULE_ABI,
    .host_size_min = sizeof(rum_host), /* all that this header declares */
    .name = "passthrough",
    .version = "1.0.0",
    .summary = "relays every session to the default destination",
    .option_size = sizeof(rum_option),
    .metric_size = sizeof(rum_metric),
    .init = init,
    .session_open = session_open,
};
