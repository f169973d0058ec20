#include "module/loader.h"

#include <dlfcn.h>
#include <ltdl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <mutex>
#include <set>

#include "config.h"
#include "module/current_module.h"
#include "module/hook.h"

namespace rum {
namespace {

Error Refused(const std::string& file, const std::string& why) {
  return Error{Fault::kModule, file + ": " + why};
}

// A table's fixed beginning: enough to know its size before the rest is read.
constexpr size_t kHead = offsetof(rum_module, name);

// libltdl says "file not found" for every failure, so the true reason comes from dlopen itself.
std::string WhyNot(const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0) return "no such file";
  if (void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    ::dlclose(handle);
    return "cannot be loaded";
  }
  const char* error = ::dlerror();
  std::string text = error ? error : "cannot be loaded";
  // dlerror begins with the path, which the sentence has already.
  if (text.starts_with(path + ": ")) text.erase(0, path.size() + 2);
  return text;
}

// "; there are a.so, b.so": what could be meant instead of a module that is not in the folder.
std::string OthersIn(const std::string& directory) {
  constexpr size_t kMost = 20;
  std::set<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    if (at->path().extension() == ".so") names.insert(at->path().filename());
  }
  if (names.empty()) return ", nor another module; --module-dir and RUM_MODULE_DIR name the folder";
  if (names.size() > kMost) names.erase(std::next(names.begin(), kMost), names.end());
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "; there are " : ", ") + name;
  return text + "; a file elsewhere has a '/' in its name";
}

bool GoodName(const char* name) {
  if (!name || !(*name >= 'a' && *name <= 'z')) return false;
  return std::all_of(name, name + std::strlen(name), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// Row `i` of a table whose rows may be of another size than ours, over zeroes.
template <class Row>
Row RowAt(const Row* rows, size_t row_size, size_t i) {
  Row row = {};
  std::memcpy(&row, reinterpret_cast<const char*>(rows) + i * row_size,
              std::min(row_size, sizeof row));
  return row;
}

// "hello" or "hello-mode" for the module hello.
bool OptionWord(std::string_view name, std::string_view module) {
  return name.starts_with(module) && (name.size() == module.size() || name[module.size()] == '-') &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

constexpr size_t kMetricNameMost = 64;
constexpr size_t kRowsMost = 1000;  // of options, and of metrics

// What /metrics of rum has, each without "rum_" and "_total"; a test compares it with that. A
// module's metric, which is rum_NAME_total there, could be mistaken for one of them.
constexpr std::string_view kCoreMetrics[] = {"accept_failures",
                                             "circuit_opened",
                                             "circuit_skipped",
                                             "client_received_bytes",
                                             "clients_refused",
                                             "clients_refused_by_limit",
                                             "geo_load_failures",
                                             "geo_loads",
                                             "health_check_failures",
                                             "health_checks",
                                             "hook_stalls",
                                             "log_lines_dropped",
                                             "login_blocks",
                                             "login_failures",
                                             "logins",
                                             "logins_refused",
                                             "map_load_failures",
                                             "map_loads",
                                             "map_lookup_failures",
                                             "map_lookups",
                                             "map_misses",
                                             "pause_logins",
                                             "pause_refused",
                                             "server_connect_seconds",
                                             "server_connects",
                                             "server_failures",
                                             "server_logins",
                                             "server_received_bytes",
                                             "server_sent_bytes",
                                             "servers_omitted",
                                             "sessions",
                                             "sessions_ended",
                                             "spliced_bytes",
                                             "upstream_connect_failures",
                                             "upstream_connects",
                                             "upstream_kept_lost",
                                             "upstream_kept_taken",
                                             "upstream_received_bytes",
                                             "upstream_throttled"};

// Why rum has no metric of this name; nothing: it may.
const char* WhyNoMetric(const rum_metric& metric, std::string_view module,
                        std::set<std::string_view>& names) {
  const std::string_view name = metric.name ? metric.name : "";
  if (!metric.name || !GoodName(metric.name) || name.size() > kMetricNameMost ||
      name.size() <= module.size() + 1 || !name.starts_with(module) || name[module.size()] != '_') {
    return "has no name of a-z, 0-9 and '_', of at most 64 bytes, that begins with the module's";
  }
  if (!names.insert(name).second) return "has the name of another one";
  if (IsCoreMetric("rum_" + std::string(name) + "_total")) return "has the name of one of rum's";
  const std::string_view help = metric.help ? metric.help : "";
  if (help.find_first_of("\r\n") != help.npos) return "has a line break in its help";
  return nullptr;
}

Status JudgeRows(const rum_module& table, const std::string& file) {
  for (size_t i = 0; i < table.option_count; ++i) {
    rum_option option = RowAt(table.options, table.option_size, i);
    if (!option.name || !OptionWord(option.name, table.name)) {
      return Refused(file, "option " + std::to_string(i) +
                               " has no name of a-z, 0-9 and '-' that begins with the module's");
    }
    if (option.type > RUM_OPTION_DURATION) {
      return Refused(
          file, std::string("option ") + option.name + " has a type that this rum does not know");
    }
    if (option.type == RUM_OPTION_CHOICE && !option.value) {
      return Refused(file, std::string("option ") + option.name + " has no choices");
    }
  }
  std::set<std::string_view> names;
  for (size_t i = 0; i < table.metric_count; ++i) {
    rum_metric metric = RowAt(table.metrics, table.metric_size, i);
    if (const char* why = WhyNoMetric(metric, table.name, names)) {
      return Refused(file, "metric " + std::to_string(i) + " " + why);
    }
  }
  return Ok();
}

}  // namespace

bool IsCoreMetric(std::string_view name) {
  if (!name.starts_with("rum_")) return false;
  name.remove_prefix(4);
  if (name.ends_with("_total")) name.remove_suffix(6);
  return std::find(std::begin(kCoreMetrics), std::end(kCoreMetrics), name) !=
         std::end(kCoreMetrics);
}

std::string ModuleDirectory(const std::string& option) {
  if (!option.empty()) return option;
  const char* environment = std::getenv("RUM_MODULE_DIR");
  return environment && *environment ? environment : RUM_MODULE_DIR;
}

Result<rum_module> AcceptModuleTable(const rum_module* table, const std::string& file) {
  if (table->struct_size < kHead || table->struct_size > 65536 ||
      table->struct_size % alignof(rum_module)) {
    return Refused(file, "its module table has the impossible size " +
                             std::to_string(table->struct_size) +
                             ": it is not a rum module, or it is damaged");
  }
  if (table->abi != RUM_MODULE_ABI) {
    return Refused(file, "it is built for version " + std::to_string(table->abi) +
                             " of rum's modules, and this rum has version " +
                             std::to_string(RUM_MODULE_ABI));
  }
  if (table->host_size_min > sizeof(rum_host)) {
    return Refused(file, "it needs a newer rum (host table " +
                             std::to_string(table->host_size_min) + " bytes, have " +
                             std::to_string(sizeof(rum_host)) + ")");
  }
  rum_module whole = {};
  std::memcpy(&whole, table, std::min<size_t>(table->struct_size, sizeof whole));
  if (!GoodName(whole.name)) {
    return Refused(file, "its name is missing or not [a-z][a-z0-9_]*");
  }
  if (whole.option_count && (!whole.options || whole.option_size < sizeof(const char*))) {
    return Refused(file, "its table of options is missing");
  }
  if (whole.metric_count && (!whole.metrics || whole.metric_size < sizeof(const char*))) {
    return Refused(file, "its table of metrics is missing");
  }
  if (whole.farewell_size > RUM_MOST_FAREWELL || (whole.farewell_size && !whole.farewell)) {
    return Refused(file, "its farewell is missing or longer than " +
                             std::to_string(RUM_MOST_FAREWELL) + " bytes");
  }
  if (whole.option_count > kRowsMost || whole.metric_count > kRowsMost) {
    return Refused(file, "it has more than " + std::to_string(kRowsMost) + " options or metrics");
  }
  if (auto rows = JudgeRows(whole, file); !rows) return rows.error();
  return whole;
}

Result<std::shared_ptr<const Module>> Module::Of(const rum_module& table) {
  auto whole = AcceptModuleTable(&table, table.name ? table.name : "a module");
  if (!whole) return whole.error();
  auto module = std::shared_ptr<Module>(new Module);
  module->table_ = *whole;
  return std::shared_ptr<const Module>(std::move(module));
}

Result<std::shared_ptr<const Module>> Module::Load(const std::string& name,
                                                   const std::string& directory,
                                                   const rum_host& host) {
  static std::once_flag once;
  std::call_once(once, [] {
#ifdef RUM_BUILTIN_MODULES
    LTDL_SET_PRELOADED_SYMBOLS();
#endif
    lt_dlinit();
  });
  std::string path = name.find('/') == name.npos ? directory + "/" + name : name;
  NameModule(path.substr(path.rfind('/') + 1));
  InHook loading(HookPlace::OfThread(), Hook::kLoad);
  lt_dlhandle handle = nullptr;
#ifdef RUM_BUILTIN_MODULES
  // libltdl knows a module inside by the name of its libtool library.
  std::string inside = name.substr(name.rfind('/') + 1);
  inside = inside.substr(0, inside.rfind(".so")) + ".la";
  handle = lt_dlopen(inside.c_str());
#endif
  if (!handle) {
    // Never along a search path.
    if (path.front() != '/' && !path.starts_with("./")) path = "./" + path;
    // libltdl binds late, and a function that is missing would end the process when it is called:
    // bind everything first. What is open already it then finds open.
    if (!::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
      const bool missing = ::access(path.c_str(), F_OK) != 0;
      const bool by_path = name.find('/') != name.npos;
      return Refused(path, WhyNot(path) + (missing && !by_path ? OthersIn(directory) : ""));
    }
    handle = lt_dlopen(path.c_str());
  }
  if (!handle) return Refused(path, WhyNot(path));
  auto* table = static_cast<const rum_module*>(lt_dlsym(handle, "rum_module_v1"));
  if (!table) {
    return Refused(path, "it is not a rum module: it has no symbol rum_module_v1");
  }
  auto whole = AcceptModuleTable(table, path);
  if (!whole) return whole.error();
  auto module = std::shared_ptr<Module>(new Module);
  module->table_ = *whole;
  NameModule(whole->name);
  SetCurrentModule(module->table_.name);
  if (module->table_.init) {
    InHook in(HookPlace::OfThread(), Hook::kInit);
    char why[512] = "";
    if (module->table_.init(&host, why, sizeof why) < 0) {
      why[sizeof why - 1] = 0;
      return Refused(path, *why ? why : "the module did not start, and gave no error text");
    }
  }
  return std::shared_ptr<const Module>(std::move(module));
}

rum_option Module::option(size_t i) const { return RowAt(table_.options, table_.option_size, i); }

rum_metric Module::metric(size_t i) const { return RowAt(table_.metrics, table_.metric_size, i); }

}  // namespace rum
