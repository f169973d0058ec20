// Maps the hooks of rum/module.h to scripts, and makes a module's table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <rum/dialogue/waits.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace rum::dialogue {

// The purpose of a probe; see rum_probe.
struct ProbeQuestion {
  bool is_default = false;
  bool has_destination = false;  // false: only find the destination of `user`
  bool has_user = false;
  std::string destination, user;
};

// The hooks that are the same for all scripts. Hooks<> puts them into a table.
struct Hook {
  // While it exists, the thread knows whose script it runs.
  struct Turn {
    explicit Turn(Handle& handle) : handle_(handle) {
      Pool::Current() = handle.pool;
      detail::Running() = handle.dialogue;
    }
    // Also ends and frees a dialogue whose script has returned.
    ~Turn() {
      if (Dialogue* d = handle_.dialogue; d != nullptr && d->over()) {
        Finish(*d);
        Free(handle_);
      }
      detail::Running() = nullptr;
      Pool::Current() = nullptr;
    }
    Turn(const Turn&) = delete;
    Handle& handle_;
  };

  static Handle& Of(void* data) { return *static_cast<Handle*>(data); }

  static void Free(Handle& handle) {
    Dialogue* d = std::exchange(handle.dialogue, nullptr);
    d->~Dialogue();
    Pool::Give(d, sizeof *d);
  }
  static void Finish(Dialogue& d) {
    if (d.closed_ || d.relays_ || d.keeps_) {
      if (d.failed_ && !d.closed_) d.Close(RUM_CLOSE_MODULE, kFailed);
      return;
    }
    if (d.failed_) return d.Close(RUM_CLOSE_MODULE, kFailed);
    if (d.watches_ && d.Relay() == RUM_OK) return;
    d.Close(d.last_ ? d.last_ : Reason(RUM_CLOSE_MODULE),
            d.last_ ? std::string_view() : "the module's script returned without an outcome");
  }

  // `make(Dialogue&)` returns the script.
  template <class Make>
  static int32_t Open(rum_session* session, Pool& pool, void* worker, void** data, Make make) {
    auto* handle = new (std::nothrow) Handle{nullptr, &pool};
    if (handle == nullptr) return RUM_E_MEMORY;
    Pool::Current() = &pool;
    void* memory = Pool::Take(sizeof(Dialogue));
    if (memory != nullptr) {
      handle->dialogue = new (memory) Dialogue(session, *handle, worker);
      Turn turn(*handle);
      Script script = make(*handle->dialogue);
      if (handle->dialogue->Begin(std::move(script))) {
        *data = handle;
        return RUM_OK;
      }
      Free(*handle);
    }
    Pool::Current() = nullptr;
    delete handle;
    return RUM_E_MEMORY;
  }

  static int64_t Data(void* data, uint32_t number, const uint8_t* bytes, size_t size) {
    Handle& handle = Of(data);
    if (handle.dialogue == nullptr) return 0;
    Turn turn(handle);
    Dialogue& d = *handle.dialogue;
    Side& side = d.side(number);
    side.shown_ = {reinterpret_cast<const char*>(bytes), size};
    side.used_ = 0;
    side.live_ = true;
    d.Pump();
    side.live_ = false;
    side.shown_ = {};
    side.left_ = size - side.used_;
    return static_cast<int64_t>(std::exchange(side.used_, 0));
  }
  static int64_t ClientData(void* data, rum_session*, const uint8_t* bytes, size_t size) {
    return Data(data, RUM_CLIENT, bytes, size);
  }
  static int64_t UpstreamData(void* data, rum_session*, const uint8_t* bytes, size_t size) {
    return Data(data, RUM_UPSTREAM, bytes, size);
  }
  static void UpstreamOpen(void* data, rum_session*, uint32_t reason) {
    Bring(data, [reason](Dialogue& d) { d.connected_ = {true, reason}; });
  }
  static void LookedUp(void* data, rum_session*, int32_t status, const uint8_t* value,
                       size_t size) {
    Bring(data, [=](Dialogue& d) {
      d.looked_up_ = {true, status, {reinterpret_cast<const char*>(value), size}};
    });
  }
  static void SharedFound(void* data, rum_session*, int32_t status, const uint8_t* value,
                          size_t size) {
    Bring(data, [=](Dialogue& d) {
      d.shared_found_ = {true, status, {reinterpret_cast<const char*>(value), size}};
    });
  }
  static void TlsOpen(void* data, rum_session*, uint32_t side, int32_t status) {
    Bring(data, [=](Dialogue& d) { d.tls_[side] = {true, status}; });
  }
  static void Timeout(void* data, rum_session*, uint64_t ticket) {
    Bring(data, [ticket](Dialogue& d) { d.fired_ = ticket; });
  }
  static void DrainedHook(void* data, rum_session*, uint32_t number) {
    Bring(data, [number](Dialogue& d) { d.side(number).drained_ = true; });
  }
  static void ResumedHook(void* data, rum_session*, uint64_t, int32_t status, void* payload) {
    Bring(data, [=](Dialogue& d) { d.resumed_ = {true, status, payload}; });
  }
  static int32_t SideEnd(void* data, rum_session*, uint32_t number) {
    Handle& handle = Of(data);
    if (handle.dialogue == nullptr) return RUM_END;
    Turn turn(handle);
    Dialogue& d = *handle.dialogue;
    Side& side = d.side(number);
    side.ended_ = side.ending_ = true;
    bool heeded = d.Pump() != 0;
    side.ending_ = false;
    if (heeded) side.left_ = 0;
    return (heeded || side.goes_on_) && !d.over() ? RUM_KEEP : RUM_END;
  }
  static void SessionClose(void* data, rum_session*, uint32_t reason) {
    Handle& handle = Of(data);
    if (handle.dialogue != nullptr) {
      Turn turn(handle);
      Dialogue& d = *handle.dialogue;
      if (!d.closed_) d.closed_ = reason;
      d.Pump();
      Free(handle);
    }
    if (handle.at_close != nullptr) handle.at_close(handle.at_close_value);
    delete &handle;
  }

 private:
  static constexpr std::string_view kFailed = "the module's script failed";

  template <class Take>
  static void Bring(void* data, Take take) {
    Handle& handle = Of(data);
    if (handle.dialogue == nullptr) return;
    Turn turn(handle);
    take(*handle.dialogue);
    handle.dialogue->Pump();
  }
};

struct NoWorker {};

namespace detail {

template <class Function>
struct Signature;
template <>
struct Signature<Script (*)(Dialogue&)> {
  using Config = void;
  using Worker = NoWorker;
};
template <class C>
struct Signature<Script (*)(Dialogue&, const C&)> {
  using Config = C;
  using Worker = NoWorker;
};
template <class C, class W>
struct Signature<Script (*)(Dialogue&, const C&, W&)> {
  using Config = C;
  using Worker = W;
};

}  // namespace detail

// Makes a module's table from scripts:
//
//   Script Login(Dialogue& d);                       // or (Dialogue&, const Config&)
//                                                    // or (Dialogue&, const Config&, Worker&)
//   Script Probe(Dialogue& d, ProbeQuestion question);       // with the same in between
//   Script Refused(Dialogue& d, Reason reason);              // the same, for refused_open
//
// Config is what config_new of the module makes, which must not be NULL then. Worker is what the
// scripts of one worker thread share; no lock is needed. It is made for each thread as
// Worker(rum_worker*, const Config&), as Worker(rum_worker*), or by its default constructor,
// whichever it has first. Reload(const Config&), if it has that, is called after a reload.
template <auto kLogin, auto kProbe = nullptr, auto kRefused = nullptr>
class Hooks {
  using Config = typename detail::Signature<decltype(kLogin)>::Config;
  using Worker = typename detail::Signature<decltype(kLogin)>::Worker;
  using Given = const std::conditional_t<std::is_void_v<Config>, std::nullptr_t, Config>&;
  struct OfWorker {
    OfWorker(rum_worker* handle, const void* config) : worker(Make(handle, config)) {}
    static Worker Make([[maybe_unused]] rum_worker* handle, [[maybe_unused]] const void* config) {
      if constexpr (std::is_constructible_v<Worker, rum_worker*, Given>) {
        return Worker(handle, *static_cast<std::remove_reference_t<Given>*>(config));
      } else if constexpr (std::is_constructible_v<Worker, rum_worker*>) {
        return Worker(handle);
      } else {
        return Worker();
      }
    }
    Pool pool;
    Worker worker;
  };

 public:
  // A table with the hooks that scripts need, and `init`. Add name, version, summary, options,
  // metrics, config_new, config_free, and whatever else the module has.
  static constexpr rum_module Table() {
    rum_module table{};
    table.struct_size = sizeof table;
    table.abi = RUM_MODULE_ABI;
    table.host_size_min = sizeof(rum_host);
    table.option_size = sizeof(rum_option);
    table.metric_size = sizeof(rum_metric);
    table.init = Init;
    table.worker_start = WorkerStart;
    table.worker_stop = WorkerStop;
    table.session_open = SessionOpen;
    table.client_data = Hook::ClientData;
    table.upstream_open = Hook::UpstreamOpen;
    table.upstream_data = Hook::UpstreamData;
    table.looked_up = Hook::LookedUp;
    table.tls_open = Hook::TlsOpen;
    table.side_end = Hook::SideEnd;
    table.timeout = Hook::Timeout;
    table.resumed = Hook::ResumedHook;
    table.session_close = Hook::SessionClose;
    table.drained = Hook::DrainedHook;
    table.shared_found = Hook::SharedFound;
    if constexpr (kHasProbe) table.probe_open = ProbeOpen;
    if constexpr (kHasRefused) table.refused_open = RefusedOpen;
    if constexpr (kReloads) table.worker_reload = WorkerReload;
    return table;
  }

  static int32_t WorkerStart(rum_worker* worker, const void* config, void** data) {
#ifdef __cpp_exceptions
    try {
#endif
      *data = new (std::nothrow) OfWorker(worker, config);
#ifdef __cpp_exceptions
    } catch (...) {
      return RUM_E_MEMORY;
    }
#endif
    return *data != nullptr ? RUM_OK : RUM_E_MEMORY;
  }
  static void WorkerReload(void* data, const void* config) {
    if constexpr (kReloads) {
      static_cast<OfWorker*>(data)->worker.Reload(
          *static_cast<std::remove_reference_t<Given>*>(config));
    }
  }
  static void WorkerStop(void* data) { delete static_cast<OfWorker*>(data); }
  static int32_t SessionOpen(rum_session* session, const void* config, void* worker, void** data) {
    auto& of = *static_cast<OfWorker*>(worker);
    return Hook::Open(session, of.pool, &of.worker, data,
                      [&](Dialogue& d) { return Call<kLogin>(d, config, of.worker); });
  }
  static int32_t ProbeOpen(rum_session* session, const void* config, void* worker,
                           const rum_probe* probe, void** data) {
    auto& of = *static_cast<OfWorker*>(worker);
    ProbeQuestion question;
    question.is_default = probe->is_default != 0;
    if (probe->destination != nullptr) {
      question.has_destination = true;
      question.destination = probe->destination;
    }
    if (probe->user != nullptr) {
      question.has_user = true;
      question.user.assign(probe->user, probe->user_size);
    }
    return Hook::Open(session, of.pool, &of.worker, data, [&](Dialogue& d) {
      return Call<kProbe>(d, config, of.worker, std::move(question));
    });
  }

  static int32_t RefusedOpen(rum_session* session, const void* config, void* worker,
                             uint32_t reason, void** data) {
    auto& of = *static_cast<OfWorker*>(worker);
    return Hook::Open(session, of.pool, &of.worker, data, [&](Dialogue& d) {
      return Call<kRefused>(d, config, of.worker, Reason(reason));
    });
  }

 private:
  static constexpr bool kHasRefused = !std::is_same_v<decltype(kRefused), std::nullptr_t>;
  static constexpr bool kReloads = requires(Worker & worker, Given config) {
    worker.Reload(config);
  };
  static constexpr bool kHasProbe = !std::is_same_v<decltype(kProbe), std::nullptr_t>;

  template <auto kScript, class... More>
  static Script Call(Dialogue& d, const void* config, Worker& worker, More&&... more) {
    if constexpr (std::is_void_v<Config>) {
      return kScript(d, std::forward<More>(more)...);
    } else if constexpr (std::is_same_v<Worker, NoWorker>) {
      return kScript(d, *static_cast<const Config*>(config), std::forward<More>(more)...);
    } else {
      return kScript(d, *static_cast<const Config*>(config), worker, std::forward<More>(more)...);
    }
  }
};

}  // namespace rum::dialogue
