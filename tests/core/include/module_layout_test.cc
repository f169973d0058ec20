// The binary contract: sizes and offsets of every member in rum/module.h against a golden file.
// A line that changes breaks modules already built; lines may only be added at the end of a struct.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "rum/module.h"

namespace {

struct Member {
  const char* name;
  size_t offset;
  size_t size;
};

struct Layout {
  const char* name;
  size_t size;
  std::vector<Member> members;
};

#define MEMBER(type, name) \
  Member { #name, offsetof(type, name), sizeof(type::name) }

const std::vector<Layout>& Layouts() {
  static const std::vector<Layout> layouts = {
      {"rum_option",
       sizeof(rum_option),
       {MEMBER(rum_option, name), MEMBER(rum_option, value), MEMBER(rum_option, default_value),
        MEMBER(rum_option, help), MEMBER(rum_option, type), MEMBER(rum_option, short_name)}},
      {"rum_metric", sizeof(rum_metric), {MEMBER(rum_metric, name), MEMBER(rum_metric, help)}},
      {"rum_host",
       sizeof(rum_host),
       {MEMBER(rum_host, struct_size), MEMBER(rum_host, abi),        MEMBER(rum_host, version),
        MEMBER(rum_host, send),        MEMBER(rum_host, need),       MEMBER(rum_host, forward),
        MEMBER(rum_host, relay),       MEMBER(rum_host, lookup),     MEMBER(rum_host, identify),
        MEMBER(rum_host, connect),     MEMBER(rum_host, start_tls),  MEMBER(rum_host, pause),
        MEMBER(rum_host, resume),      MEMBER(rum_host, timer),      MEMBER(rum_host, timer_cancel),
        MEMBER(rum_host, now),         MEMBER(rum_host, peer),       MEMBER(rum_host, note),
        MEMBER(rum_host, log),         MEMBER(rum_host, metric_add), MEMBER(rum_host, close),
        MEMBER(rum_host, extension),   MEMBER(rum_host, relay_from), MEMBER(rum_host, take_back)}},
      {"rum_probe",
       sizeof(rum_probe),
       {MEMBER(rum_probe, struct_size), MEMBER(rum_probe, is_default),
        MEMBER(rum_probe, destination), MEMBER(rum_probe, user), MEMBER(rum_probe, user_size)}},
      {"rum_tls",
       sizeof(rum_tls),
       {MEMBER(rum_tls, struct_size), MEMBER(rum_tls, reserved), MEMBER(rum_tls, mode),
        MEMBER(rum_tls, active), MEMBER(rum_tls, fingerprint), MEMBER(rum_tls, end_is_cut),
        MEMBER(rum_tls, set_alpn), MEMBER(rum_tls, alpn), MEMBER(rum_tls, offered_alpn),
        MEMBER(rum_tls, server_name), MEMBER(rum_tls, version), MEMBER(rum_tls, certificate),
        MEMBER(rum_tls, end_point)}},
      {"rum_limits",
       sizeof(rum_limits),
       {MEMBER(rum_limits, struct_size), MEMBER(rum_limits, reserved), MEMBER(rum_limits, admit),
        MEMBER(rum_limits, login_failed), MEMBER(rum_limits, blocked),
        MEMBER(rum_limits, try_login), MEMBER(rum_limits, confirm),
        MEMBER(rum_limits, counts_failures)}},
      {"rum_state",
       sizeof(rum_state),
       {MEMBER(rum_state, struct_size), MEMBER(rum_state, reserved), MEMBER(rum_state, save),
        MEMBER(rum_state, load)}},
      {"rum_clock",
       sizeof(rum_clock),
       {MEMBER(rum_clock, struct_size), MEMBER(rum_clock, reserved), MEMBER(rum_clock, now),
        MEMBER(rum_clock, timer)}},
      {"rum_process",
       sizeof(rum_process),
       {MEMBER(rum_process, struct_size), MEMBER(rum_process, reserved),
        MEMBER(rum_process, user_names)}},
      {"rum_record",
       sizeof(rum_record),
       {MEMBER(rum_record, struct_size), MEMBER(rum_record, reserved), MEMBER(rum_record, secret),
        MEMBER(rum_record, secret_size), MEMBER(rum_record, destination),
        MEMBER(rum_record, destination_size)}},
      {"rum_records",
       sizeof(rum_records),
       {MEMBER(rum_records, struct_size), MEMBER(rum_records, reserved), MEMBER(rum_records, parse),
        MEMBER(rum_records, column)}},
      {"rum_worker_calls",
       sizeof(rum_worker_calls),
       {MEMBER(rum_worker_calls, struct_size), MEMBER(rum_worker_calls, reserved),
        MEMBER(rum_worker_calls, timer), MEMBER(rum_worker_calls, timer_cancel),
        MEMBER(rum_worker_calls, ticket), MEMBER(rum_worker_calls, post),
        MEMBER(rum_worker_calls, metric_add)}},
      {"rum_shared",
       sizeof(rum_shared),
       {MEMBER(rum_shared, struct_size), MEMBER(rum_shared, reserved), MEMBER(rum_shared, put),
        MEMBER(rum_shared, get), MEMBER(rum_shared, take), MEMBER(rum_shared, find),
        MEMBER(rum_shared, remove)}},
      {"rum_keep",
       sizeof(rum_keep),
       {MEMBER(rum_keep, struct_size), MEMBER(rum_keep, reserved), MEMBER(rum_keep, forward_until),
        MEMBER(rum_keep, answered), MEMBER(rum_keep, part), MEMBER(rum_keep, keep),
        MEMBER(rum_keep, want), MEMBER(rum_keep, taken), MEMBER(rum_keep, renew),
        MEMBER(rum_keep, spend), MEMBER(rum_keep, drop)}},
      {"rum_sessions",
       sizeof(rum_sessions),
       {MEMBER(rum_sessions, struct_size), MEMBER(rum_sessions, reserved),
        MEMBER(rum_sessions, destination), MEMBER(rum_sessions, no_login)}},
      {"rum_queue",
       sizeof(rum_queue),
       {MEMBER(rum_queue, struct_size), MEMBER(rum_queue, reserved), MEMBER(rum_queue, size),
        MEMBER(rum_queue, await)}},
      {"rum_module",
       sizeof(rum_module),
       {MEMBER(rum_module, struct_size),   MEMBER(rum_module, abi),
        MEMBER(rum_module, host_size_min), MEMBER(rum_module, reserved),
        MEMBER(rum_module, name),          MEMBER(rum_module, version),
        MEMBER(rum_module, summary),       MEMBER(rum_module, options),
        MEMBER(rum_module, option_count),  MEMBER(rum_module, option_size),
        MEMBER(rum_module, metrics),       MEMBER(rum_module, metric_count),
        MEMBER(rum_module, metric_size),   MEMBER(rum_module, farewell),
        MEMBER(rum_module, farewell_size), MEMBER(rum_module, init),
        MEMBER(rum_module, config_new),    MEMBER(rum_module, config_free),
        MEMBER(rum_module, worker_start),  MEMBER(rum_module, worker_reload),
        MEMBER(rum_module, worker_stop),   MEMBER(rum_module, session_open),
        MEMBER(rum_module, client_data),   MEMBER(rum_module, upstream_open),
        MEMBER(rum_module, upstream_data), MEMBER(rum_module, looked_up),
        MEMBER(rum_module, tls_open),      MEMBER(rum_module, side_end),
        MEMBER(rum_module, timeout),       MEMBER(rum_module, resumed),
        MEMBER(rum_module, session_close), MEMBER(rum_module, refusal),
        MEMBER(rum_module, stats),         MEMBER(rum_module, probe_open),
        MEMBER(rum_module, drained),       MEMBER(rum_module, refused_open),
        MEMBER(rum_module, shared_found),  MEMBER(rum_module, lacks)}},
  };
  return layouts;
}

// One line a member, "rum_option.name 0 8", after a line with the size of the struct.
std::string Describe() {
  std::ostringstream text;
  for (const Layout& layout : Layouts()) {
    text << layout.name << " " << layout.size << "\n";
    for (const Member& m : layout.members) {
      text << layout.name << "." << m.name << " " << m.offset << " " << m.size << "\n";
    }
  }
  return text.str();
}

// The test harness of automake tells where the sources are.
std::string Golden() {
  const char* srcdir = std::getenv("srcdir");
  std::ifstream file(std::string(srcdir ? srcdir : ".") +
                     "/tests/core/include/module_layout.golden");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(ModuleLayout, IsTheGoldenOne) {
  if (sizeof(void*) != 8) GTEST_SKIP() << "the golden file is for 64-bit machines";
  EXPECT_EQ(Golden(), Describe());
}

// The tables above miss no member and the structs have no hole: then other languages can bind them
// by hand without a word about padding.
TEST(ModuleLayout, HasNoMemberLeftOutAndNoPadding) {
  for (const Layout& layout : Layouts()) {
    size_t next = 0;
    for (const Member& m : layout.members) {
      EXPECT_EQ(m.offset, next) << layout.name << "." << m.name;
      next = m.offset + m.size;
    }
    EXPECT_EQ(layout.size, next) << layout.name;
  }
}

}  // namespace
