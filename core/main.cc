// Parses the options and runs the daemon. The only file that ends the process.
#include <event2/event.h>
#include <event2/thread.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <utility>

#include "admin/token.h"
#include "base/log.h"
#include "daemon/background.h"
#include "daemon/daemon.h"
#include "daemon/explain.h"
#include "daemon/privileges.h"
#include "daemon/remote_map_start.h"
#include "daemon/service.h"
#include "daemon/share_start.h"
#include "daemon/successor.h"
#include "geo/geo_database.h"
#include "limits/descriptors.h"
#include "map/map_file.h"
#include "module/hook.h"
#include "module/last_line.h"
#include "module/module_config.h"
#include "net/inherited_sockets.h"
#include "proxy/host_calls.h"
#include "proxy/shared_table.h"
#include "settings/options.h"
#include "tls/tls_contexts.h"

namespace rum {
namespace {

std::string Lines(const std::string& text) {
  std::string out;
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = text.find('\n', begin);
    out += "rum: " + text.substr(begin, end - begin) + "\n";
    if (end == text.npos) break;
    begin = end + 1;
  }
  return out;
}

// The error of a file that the user of --user cannot read, as it does at a reload; empty: none.
std::string Unreadable(const Settings& settings, const Identity& identity) {
  for (const std::string& path :
       {settings.map, settings.map_password_file, settings.map_sentinel_password_file,
        settings.map_token_file, settings.map_ca, settings.share_password_file, settings.share_ca,
        settings.share_key_file, settings.geo_db, settings.tls.files.certificate,
        settings.tls.files.key, settings.tls.files.authorities, settings.tls.upstream_authorities,
        settings.stats_token_file}) {
    const int error = path.empty() ? 0 : ErrorOfReadingAs(identity, path);
    if (error == 0 || error == ENOENT) continue;  // reported where it is read
    return path + ": the user of --user cannot read it, as at a reload: " + std::strerror(error);
  }
  return {};
}

// --check: looks for errors that would prevent a start, without binding or serving.
int Check(const CommandLine& line) {
  const Settings& settings = *line.settings;
  std::string mistakes;
  auto add = [&](const std::string& text) { mistakes += Lines(line.origins.Locate(text)); };
  auto identity = FindIdentity(settings.user, settings.group);
  if (!identity) add(identity.error().text);
  if (!settings.chroot.empty() && ::geteuid() == 0) {  // the files are inside
    if (auto entered = EnterRoot(settings.chroot); !entered) add(entered.error().text);
  }
  auto config = ModuleConfig::Make(line.module, settings.module_values);
  if (!config) add(config.error().text);
  if (auto tls = TlsContexts::Look(settings.tls); !tls) add(tls.error().text);
  if (const std::string& path = settings.stats_token_file; !path.empty()) {
    if (auto token = StatisticsToken::Read(path); !token) add(token.error().text);
  }
  if (!settings.map.empty()) {
    auto map = MapFile::Load(settings.map);
    if (!map) add(map.error().text);
    if (map && !(*map)->journal_warning().empty()) add((*map)->journal_warning());
    const bool has_countries = !settings.geo_db.empty();
    if (map && ((*map)->rules().refused || (!has_countries && (*map)->rules().needing_countries))) {
      add(settings.map + ": " + Complaints(**map, has_countries).front());
    }
  }
  // rum starts without them; so this is no mistake.
  auto down = FindDownSources(settings);
  if (!down) add(down.error().text);
  for (const std::string& source : down ? *down : std::vector<std::string>()) {
    std::fputs(Lines("warning: the source is down: " + source).c_str(), stderr);
  }
  if (auto share = CheckShare(settings); !share) add(share.error().text);
  if (settings.share && settings.share_key_file.empty()) {
    std::fputs(Lines("note: " + std::string(kNothingAsked)).c_str(), stdout);
  }
  if (!settings.geo_db.empty()) {
    if (auto geo = GeoDatabase::Load(settings.geo_db); !geo) {
      add("--geo-db: " + geo.error().text);
    }
  }
  if (identity && *identity) {
    if (std::string text = Unreadable(settings, **identity); !text.empty()) add(text);
  }
  std::fputs(mistakes.empty() ? "rum: the configuration is good\n" : mistakes.c_str(),
             mistakes.empty() ? stdout : stderr);
  return mistakes.empty() ? 0 : static_cast<int>(Fault::kConfig);
}

struct Inheritance {
  InheritedSockets sockets;
  std::vector<HandoverNote::ServerAdmin> admin_states{};
  std::vector<HandoverNote::Pause> pauses{};
  bool has_map = false;
  Fd pidfile{};
  std::vector<Generation> generations{};
  uint64_t ids_above = 0;
};

// Inherits from the process that hands over to this one, or from systemd.
Result<Inheritance> Inherit(Background& background) {
  const char* text = ::getenv(kHandoverVariable);
  if (!text) {
    auto sockets = InheritedSockets::FromSystemd();
    if (!sockets) return sockets.error();
    return Inheritance{.sockets = std::move(*sockets)};
  }
  auto note = ReadHandoverNote(text);
  ::unsetenv(kHandoverVariable);
  if (!note) return note.error();
  ::fcntl(note->ready, F_SETFD, FD_CLOEXEC);
  background.ReportTo(Fd(note->ready));
  if (note->detach) {
    if (auto detached = background.Detach(); !detached) return detached.error();
  }
  // Until here standard error was a pipe to the old process, for errors of the dynamic loader.
  ::dup2(note->error_output, STDERR_FILENO);
  ::close(note->error_output);
  Fd pidfile(note->pidfile);
  if (pidfile) ::fcntl(pidfile.get(), F_SETFD, FD_CLOEXEC);
  if (note->shared >= 0) {
    ::fcntl(note->shared, F_SETFD, FD_CLOEXEC);
    SharedTable::Inherit(Fd(note->shared));
  }
  auto sockets = InheritedSockets::Of(note->sockets);
  if (!sockets) return sockets.error();
  return Inheritance{
      std::move(*sockets), std::move(note->admin_states), std::move(note->pauses), note->has_map,
      std::move(pidfile),  std::move(note->generations),  note->ids_above};
}

// Linux rarely reports that memory is exhausted; if it does, the process ends, since a session may
// be half set up. Calls nothing that allocates.
void OnNoMemory() {
  constexpr char kText[] = "rum: out of memory, the process ends\n";
  pollfd error_output = {STDERR_FILENO, POLLOUT, 0};  // a full pipe must not block the end
  if (::poll(&error_output, 1, 0) == 1) (void)!::write(STDERR_FILENO, kText, sizeof kText - 1);
  ::_exit(static_cast<int>(Fault::kSystem));
}

// For libevent, which does not always check for failed allocations.
void* Allocate(size_t size) {
  void* memory = ::malloc(size);
  if (!memory) OnNoMemory();
  return memory;
}
void* Reallocate(void* old, size_t size) {
  void* memory = ::realloc(old, size);
  if (!memory && size) OnNoMemory();
  return memory;
}

// Logs messages of libevent and its resolver, which would otherwise block on a full standard error.
void OnLibeventSays(int severity, const char* text) {
  log::Level level = severity == EVENT_LOG_ERR    ? log::Level::kError
                     : severity == EVENT_LOG_WARN ? log::Level::kWarning
                     : severity == EVENT_LOG_MSG  ? log::Level::kInfo
                                                  : log::Level::kDebug;
  if (log::Enabled(level)) log::Write(level, std::string("libevent: ") + text);
}

// Called after libevent logged a fatal error; must not return.
void OnLibeventFails(int) {
  log::Close();
  ::_exit(static_cast<int>(Fault::kSystem));
}

int Main(int argc, char** argv) {
  HoldSignals();  // an early reload is handled as soon as the daemon serves
  std::set_new_handler(OnNoMemory);
  event_set_mem_functions(Allocate, Reallocate, ::free);
  event_set_log_callback(OnLibeventSays);
  event_set_fatal_callback(OnLibeventFails);
  ::signal(SIGPIPE, SIG_IGN);
  static HookPlace hook_place;
  hook_place.Take();
  static FaultStack fault_stack;
  WatchForFaults();
  Program program = ThisProgram(argc, argv);
  Background background;
  Service service;
  auto fail = [&](const Error& error) {
    std::string text = Lines(error.text);
    int code = static_cast<int>(error.fault);
    background.reports() ? background.Failed(code, text) : (void)std::fputs(text.c_str(), stderr);
    return code;
  };
  auto inherited = Inherit(background);
  if (!inherited) return fail(inherited.error());
  const bool takes_over = background.reports();
  // A module may start threads when it is loaded, and a fork leaves them behind.
  auto prepare = [&](const BeforeModule& first) -> Status {
    if (first.other_user) ForbidNewPrivileges();
    return first.background && !takes_over ? background.Enter() : Ok();
  };
  auto line = ReadCommandLine(argc, argv, kHost, nullptr, prepare);
  if (!line) return fail(line.error());
  if (!line->text.empty()) {
    std::fputs(line->text.c_str(), stdout);
    return 0;
  }
  if (line->settings->check) return Check(*line);
  if (!line->settings->explain.empty()) return Explain(*line);

  auto identity = FindIdentity(line->settings->user, line->settings->group);
  if (!identity) return fail(identity.error());
  SetUserNames(FindUserNames(*identity ? (*identity)->uid : ::geteuid()));
  if (const std::string& folder = line->settings->chroot; !folder.empty()) {
    if (auto entered = EnterRoot(folder); !entered) return fail(entered.error());
  }
  if (auto set = SetDescriptorLimit(line->settings->nofile); !set) return fail(set.error());
  evthread_use_pthreads();
  if (auto opened = log::Open(line->settings->log); !opened) return fail(opened.error());
  int code = 0;
  {
    const OptionOrigins origins = line->origins;
    Daemon daemon(
        {argc, argv, std::move(program), std::move(inherited->sockets), takes_over, *identity,
         inherited->has_map, std::move(inherited->admin_states), std::move(inherited->pauses),
         std::move(inherited->pidfile), std::move(inherited->generations), inherited->ids_above},
        std::move(*line), background, service);
    Status ended = daemon.Start();
    if (ended) ended = daemon.Run();
    if (!ended) code = fail({ended.error().fault, origins.Locate(ended.error().text)});
    if (!daemon.Join()) {
      log::Close();
      ::_exit(code);
    }
  }
  if (!log::Close()) ::_exit(code);
  libevent_global_shutdown();
  return code;
}

}  // namespace
}  // namespace rum

int main(int argc, char** argv) { return rum::Main(argc, argv); }
