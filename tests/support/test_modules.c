/* Modules for the tests of the loader and of options; -DMODULE_name selects one. */
#include <rum/module.h>
#include <stdio.h>
#include <string.h>

#ifdef MODULE_no_symbol
int something_else = 1;
#else

static int32_t init(const rum_host* host, char* error, size_t error_size) {
  (void)host;
  (void)error;
  (void)error_size;
#if defined MODULE_init_fails
  snprintf(error, error_size, "the moon is not full");
  return RUM_E_FAILED;
#elif defined MODULE_init_is_silent
  return RUM_E_FAILED;
#elif defined MODULE_init_overfills
  memset(error, 'x', error_size); /* no NUL */
  return RUM_E_FAILED;
#else
  return RUM_OK;
#endif
}

#ifdef MODULE_needs_what_is_not_there
extern void nobody_has_this_function(void);
static void worker_stop(void* data) {
  (void)data;
  nobody_has_this_function();
}
#endif

#ifndef MODULE_only_relays
static int32_t session_open(rum_session* session, const void* config, void* worker, void** data) {
  (void)session;
  (void)config;
  (void)worker;
  (void)data;
  return RUM_OK;
}

static int64_t client_data(void* data, rum_session* session, const uint8_t* bytes, size_t size) {
  (void)data;
  (void)session;
  (void)bytes;
  return (int64_t)size;
}
#endif

static const rum_option options[] = {
    {"good-text", "TEXT", NULL, "any text", RUM_OPTION_TEXT, 't'},
    {"good-mode", "red|green", "red", "a choice", RUM_OPTION_CHOICE, 0},
    {"good-flag", NULL, NULL, "a flag", RUM_OPTION_FLAG, 0},
    {"good-number", "N", "7", "a number", RUM_OPTION_NUMBER, 0},
    {"good-time", "TIME", "1s", "a time", RUM_OPTION_DURATION, 0},
};

RUM_MODULE_EXPORT const rum_module RUM_MODULE_SYMBOL = {
    .struct_size = sizeof(rum_module),
#ifdef MODULE_other_abi
    .abi = 99,
#else
    .abi = RUM_MODULE_ABI,
#endif
#ifdef MODULE_wants_newer_rum
    .host_size_min = sizeof(rum_host) + 8,
#else
    .host_size_min = sizeof(rum_host),
#endif
    .name = "good",
    .version = "1.2.3",
    .summary = "does nothing, well",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .option_size = sizeof(rum_option),
    .metric_size = sizeof(rum_metric),
    .init = init,
#ifndef MODULE_only_relays
    .session_open = session_open,
    .client_data = client_data,
#endif
#ifdef MODULE_needs_what_is_not_there
    .worker_stop = worker_stop,
#endif
};
#endif
