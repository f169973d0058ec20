// A module made of lambdas, so that a test can say what a hook does beside what it expects.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "check/scripted_host.h"

namespace rum {

inline const rum_host* rum_calls = nullptr;  // what init was given

struct LittleModule {
  std::function<int32_t(rum_session*)> open;
  std::function<int64_t(rum_session*, std::string_view)> client, upstream;
  std::function<void(rum_session*, uint32_t)> connected;
  std::function<void(rum_session*, int32_t, std::string)> looked_up;
  std::function<void(rum_session*, uint32_t, int32_t)> tls;
  std::function<int32_t(rum_session*, uint32_t)> end;
  std::function<void(rum_session*, uint64_t)> timeout;
  std::function<void(rum_session*, uint32_t)> drained;
  std::function<void(rum_session*, uint64_t, int32_t, void*)> resumed;
  std::function<void(rum_session*, uint32_t)> close;
  std::function<int32_t(rum_session*, uint32_t)> refused;
  int opened = 0;
  int closed = 0;

  LittleModule() { current = this; }
  ~LittleModule() { current = nullptr; }
  LittleModule(const LittleModule&) = delete;

  // The table with the hooks that are set.
  rum_module table() const {
    rum_module m;
    std::memset(&m, 0, sizeof m);
    m.struct_size = sizeof m;
    m.abi = RUM_MODULE_ABI;
    m.host_size_min = sizeof(rum_host);
    m.name = "little";
    m.version = "1";
    m.summary = "made in a test";
    m.option_size = sizeof(rum_option);
    m.metric_size = sizeof(rum_metric);
    m.init = [](const rum_host* host, char*, size_t) -> int32_t {
      rum_calls = host;
      return RUM_OK;
    };
    m.session_open = [](rum_session* s, const void*, void*, void** data) -> int32_t {
      *data = current;
      ++current->opened;
      return current->open ? current->open(s) : RUM_OK;
    };
    if (client) {
      m.client_data = [](void* data, rum_session* s, const uint8_t* bytes, size_t size) -> int64_t {
        return Self(data).client(s, {reinterpret_cast<const char*>(bytes), size});
      };
    }
    if (upstream) {
      m.upstream_data = [](void* data, rum_session* s, const uint8_t* bytes,
                           size_t size) -> int64_t {
        return Self(data).upstream(s, {reinterpret_cast<const char*>(bytes), size});
      };
    }
    if (connected) {
      m.upstream_open = [](void* data, rum_session* s, uint32_t reason) {
        Self(data).connected(s, reason);
      };
    }
    if (looked_up) {
      m.looked_up = [](void* data, rum_session* s, int32_t status, const uint8_t* value,
                       size_t size) {
        Self(data).looked_up(s, status,
                             {reinterpret_cast<const char*>(size ? value : nullptr), size});
      };
    }
    if (tls) {
      m.tls_open = [](void* data, rum_session* s, uint32_t side, int32_t status) {
        Self(data).tls(s, side, status);
      };
    }
    if (end) {
      m.side_end = [](void* data, rum_session* s, uint32_t side) {
        return Self(data).end(s, side);
      };
    }
    if (timeout) {
      m.timeout = [](void* data, rum_session* s, uint64_t ticket) {
        Self(data).timeout(s, ticket);
      };
    }
    if (drained) {
      m.drained = [](void* data, rum_session* s, uint32_t side) { Self(data).drained(s, side); };
    }
    if (resumed) {
      m.resumed = [](void* data, rum_session* s, uint64_t ticket, int32_t status, void* payload) {
        Self(data).resumed(s, ticket, status, payload);
      };
    }
    if (refused) {
      m.refused_open = [](rum_session* s, const void*, void*, uint32_t why,
                          void** data) -> int32_t {
        *data = current;
        ++current->opened;
        return current->refused(s, why);
      };
    }
    m.session_close = [](void* data, rum_session* s, uint32_t reason) {
      ++Self(data).closed;
      if (Self(data).close) Self(data).close(s, reason);
    };
    return m;
  }

 private:
  static LittleModule& Self(void* data) { return *static_cast<LittleModule*>(data); }
  inline static LittleModule* current = nullptr;
};

inline int32_t Send(rum_session* s, uint32_t side, std::string_view text) {
  return rum_calls->send(s, side, text.data(), text.size());
}
inline int32_t Connect(rum_session* s, std::string_view address) {
  return rum_calls->connect(s, address.data(), address.size());
}
inline void Close(rum_session* s, uint32_t reason, std::string_view text = {}) {
  rum_calls->close(s, reason, text.data(), text.size());
}

using Strings = std::vector<std::string>;

// What a data hook returns that consumes everything.
inline int64_t All(std::string_view bytes) { return static_cast<int64_t>(bytes.size()); }
inline auto Swallow() {
  return [](rum_session*, std::string_view bytes) { return All(bytes); };
}

inline testing::AssertionResult Violates(const ScriptedHost& host, std::string_view part) {
  for (const std::string& one : host.violations()) {
    if (one.find(part) != one.npos) return testing::AssertionSuccess();
  }
  return testing::AssertionFailure()
         << "no violation with '" << part << "' in " << testing::PrintToString(host.violations());
}

#define EXPECT_NO_VIOLATION(host) EXPECT_EQ((host).violations(), Strings{})

}  // namespace rum
