#include "settings/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>

#include "base/help_format.h"
#include "base/natural_order.h"
#include "config.h"
#include "module/module_config.h"
#include "settings/config_file.h"
#include "settings/option_rows.h"
#include "settings/settings_reader.h"

namespace rum {
namespace {

using Texts = OptionTexts;
using Places = OptionPlaces;

std::string LongName(std::string_view flags) {
  size_t dashes = flags.find("--");
  return std::string(flags.substr(dashes + 2));
}

// Registers an option; `flags` may include a short form: "-s,--listen".
void AddOption(CLI::App& app, Texts& texts, const std::string& flags, bool takes_value,
               const std::string& value, const std::string& group, const std::string& help) {
  std::vector<std::string>& target = texts[LongName(flags)];
  if (takes_value) {
    app.add_option(flags, target, help)
        ->type_name(value)
        ->group(group)
        ->allow_extra_args(false)
        ->take_all();
  } else {
    app.add_flag_function(
           flags,
           [&target](int64_t count) {
             for (int64_t i = 0; i < count; ++i) target.emplace_back("1");
           },
           help)
        ->group(group);
  }
}

// The group "Help" is printed last, after the module's options.
enum class Rows { kAll, kBeforeHelp, kHelp };

void AddOwnOptions(CLI::App& app, Texts& texts, Rows which = Rows::kAll) {
  for (const OptionRow& row : kOptionRows) {
    bool help = std::string_view(row.group) == "Help";
    if ((which == Rows::kBeforeHelp && help) || (which == Rows::kHelp && !help)) continue;
    AddOption(app, texts, row.flags, row.value != nullptr, row.value ? row.value : "", row.group,
              row.help);
  }
}

bool AddOnce(std::vector<std::string>& values, const std::string& value) {
  if (std::find(values.begin(), values.end(), value) != values.end()) return false;
  values.push_back(value);
  return true;
}

// Registers old option names, after the current ones: those assign the values that they read, these
// append. Skips names whose current option is not registered yet, and names that exist already.
void AddOldNames(CLI::App& app, Texts& texts) {
  for (const OldName& row : kOldNames) {
    if (!app.get_option_no_throw(std::string("--") + row.now)) continue;
    if (app.get_option_no_throw("--" + LongName(row.flags))) continue;
    std::vector<std::string>& target = texts[row.now];
    std::vector<std::string>& balance = texts["balance"];
    if (row.implied) {
      app.add_flag_function(row.flags, [&target, row](int64_t) { AddOnce(target, row.implied); })
          ->group("");
    } else {
      app.add_option_function<std::vector<std::string>>(
             row.flags,
             [&target, &balance, row](const std::vector<std::string>& values) {
               target.insert(target.end(), values.begin(), values.end());
               if (row.balance) AddOnce(balance, row.balance);
             })
          ->group("")
          ->allow_extra_args(false)
          ->take_all();
    }
  }
}

std::string Help(const CLI::App& app) {
  std::string text = app.help();
  for (size_t at; (at = text.find("\n\n\n")) != text.npos;) text.erase(at, 1);
  return text + "\n";
}

void Prepare(CLI::App& app) {
  app.formatter(std::make_shared<HelpFormat>());
  app.set_help_flag();
  app.allow_extras();
}

size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t corner = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, corner + (a[i - 1] != b[j - 1])});
      corner = above;
    }
  }
  return row[b.size()];
}

std::string Nearest(const Texts& texts, std::string_view wrong) {
  std::string best;
  size_t least = wrong.size() / 2 + 1;
  for (const auto& [name, values] : texts) {
    // Skip names of very different length, which bounds the cost of a long argument.
    if (std::max(wrong.size(), name.size()) - std::min(wrong.size(), name.size()) >= 20) continue;
    size_t distance = Distance(wrong, name);
    if (distance < least) {
      least = distance;
      best = name;
    }
  }
  return best;
}

// The replacement for a removed option; empty: the option never existed.
std::string Instead(std::string_view name) {
  for (const GoneOption& row : kGoneOptions) {
    if (name != row.name && (!row.letter || name != std::string_view(&row.letter, 1))) continue;
    return std::string("--") + row.name +
           (row.version ? std::string(" of version ") + row.version + " was removed"
                        : " is no longer an option") +
           ": " + row.instead;
  }
  return {};
}

// Describes the first argument that no option accepts. `module` has options of its own: those of
// others it does not have.
std::string Unexpected(const Texts& texts, const std::vector<std::string>& extras,
                       const rum_module& module) {
  std::string extra = extras.front();
  for (const std::string& e : extras) {
    if (e.size() > 1 && e[0] == '-') {
      extra = e;
      break;
    }
  }
  if (extra[0] != '-') return "unexpected argument '" + extra + "' (rum --help lists the options)";
  std::string name = extra.substr(
      extra.find_first_not_of('-') == extra.npos ? extra.size() : extra.find_first_not_of('-'));
  name = name.substr(0, name.find('='));
  if (auto instead = Instead(name); !instead.empty()) return instead;
  std::string nearest = extra.starts_with("--") ? Nearest(texts, name) : "";
  if (!nearest.empty()) return "unknown option '" + extra + "', did you mean --" + nearest + "?";
  return "unknown option '" + extra + "' (rum -P MODULE --help lists all, with those of " +
         module.name + ".so here)";
}

void AddModuleOptions(CLI::App& app, Texts& texts, const Module& module,
                      std::vector<std::string>& errors) {
  const rum_module& table = module.table();
  std::string group = std::string("Module ") + table.name + " " +
                      (table.version ? table.version : "") + ": " +
                      (table.summary ? table.summary : "");
  for (size_t i = 0; i < table.option_count; ++i) {
    rum_option option = module.option(i);
    std::string flags = std::string("--") + option.name;
    if (option.short_name)
      flags = std::string{'-', static_cast<char>(option.short_name), ','} + flags;
    std::string help = option.help ? option.help : "";
    if (option.default_value) help += std::string(" (") + option.default_value + ")";
    try {
      AddOption(app, texts, flags, option.type != RUM_OPTION_FLAG,
                option.value ? option.value : "VALUE", group, help);
    } catch (const CLI::Error& e) {
      errors.push_back(std::string(table.name) + ": the option " + flags +
                       " cannot be added: " + e.what());
    }
  }
}

const OldName* FindOldName(std::string_view name) {
  auto row = std::find_if(std::begin(kOldNames), std::end(kOldNames),
                          [&](const OldName& r) { return name == LongName(r.flags); });
  return row == std::end(kOldNames) ? nullptr : row;
}

std::string CurrentName(const std::string& name) {
  const OldName* old = FindOldName(name);
  return old ? old->now : name;
}

// Parses the value of a flag; nullopt: it is not yes or no.
std::optional<bool> ReadFlag(const ConfigItem& item) {
  for (const char* yes : {"true", "yes", "on", "1"}) {
    if (item.bare || item.value == yes) return true;
  }
  for (const char* no : {"false", "no", "off", "0"}) {
    if (item.value == no) return false;
  }
  return std::nullopt;
}

// Whether the files set a flag, by the rules of AddConfig().
bool FlagInFiles(const std::vector<ConfigItem>& items, std::string_view name) {
  bool set = false;
  std::string file;
  for (const ConfigItem& item : items) {
    if (item.name != name) continue;
    std::string own = item.where.substr(0, item.where.rfind(':'));
    if (own != file) set = false;
    file = std::move(own);
    set |= ReadFlag(item).value_or(false);
  }
  return set;
}

// Options that apply to one run and may not be in a configuration file.
bool OnlyOnCommandLine(std::string_view name) {
  return name == "config" || name == "check" || name == "explain" || name == "version" ||
         name == "help";
}

// Adds the values of the configuration files for options that the command line does not give. A
// later file overrides an earlier one. `all_known`: `app` has the module's options.
void AddConfig(const std::vector<ConfigItem>& items, const CLI::App& app, bool all_known,
               Texts& texts, Places& places, std::vector<std::string>& errors) {
  std::map<std::string, bool> given;
  for (const auto& [name, values] : texts) given[name] = !values.empty();
  std::map<std::string, std::string> from;  // the last file that sets an option
  // Drops values from earlier files. Returns false if the command line sets the option.
  auto begin = [&](const ConfigItem& item, const std::string& name) {
    if (given[name]) return false;
    std::string file = item.where.substr(0, item.where.rfind(':'));
    if (from[name] != file) {
      texts[name].clear();
      places[name].clear();
      from[name] = file;
    }
    return true;
  };
  for (const ConfigItem& item : items) {
    const CLI::Option* option = app.get_option_no_throw("--" + item.name);
    if (!option && !all_known) continue;
    if (auto instead = option ? "" : Instead(item.name); !instead.empty()) {
      errors.push_back(item.where + ": " + instead);
      continue;
    }
    if (!option || OnlyOnCommandLine(item.name)) {
      std::string nearest = option ? "" : Nearest(texts, item.name);
      errors.push_back(item.where + ": " +
                       (option ? "'" + item.name + "' is only allowed on the command line"
                               : "unknown option '" + item.name + "'" +
                                     (nearest.empty() ? "" : ", did you mean " + nearest + "?")));
      continue;
    }
    const OldName* old = FindOldName(item.name);
    std::string name = CurrentName(item.name), value = item.value;
    if (given[name]) continue;
    std::optional<bool> set = true;
    if (option->get_items_expected_max() == 0) {
      set = ReadFlag(item);
      value = old && old->implied ? old->implied : "1";
    }
    if (!set || (item.bare && value.empty())) {
      errors.push_back(item.where + ": " + item.name +
                       (set ? " needs a value" : ": '" + item.value + "' is not yes or no"));
      continue;
    }
    begin(item, name);
    if (!*set) continue;
    if (old && old->implied) {
      if (AddOnce(texts[name], value)) places[name].push_back(item.where);
      continue;
    }
    texts[name].push_back(value);
    places[name].push_back(item.where);
    if (!old || !old->balance || !begin(item, "balance")) continue;
    if (AddOnce(texts["balance"], old->balance)) places["balance"].push_back(item.where);
  }
}

// Version 6.7 had a letter for each kind of map.
std::string AboutMap(const std::string& protocol) {
  if (!protocol.ends_with(".cdb")) return {};
  return "; -P selects the module: a map of version 6.7 is now -P " RUM_OTHER_MAP_MODULE " -M " +
         protocol;
}

// The errors as lines: those of the configuration file and its folder first, in their order there.
std::string Join(std::vector<std::string> lines, const std::string& config) {
  auto place = [](std::string_view line) { return line.substr(0, line.find(": ")); };
  auto in_files = std::stable_partition(lines.begin(), lines.end(), [&](const std::string& line) {
    return !config.empty() && line.starts_with(config);
  });
  std::stable_sort(lines.begin(), in_files, [&](const std::string& a, const std::string& b) {
    return NaturalLess(place(a), place(b));
  });
  std::string all;
  for (const std::string& line : lines) (all += all.empty() ? "" : "\n") += line;
  return all;
}

Result<CommandLine> Read(int argc, char** argv, const rum_host& host,
                         std::shared_ptr<const Module> loaded,
                         const std::function<Status(const BeforeModule&)>& prepare) {
  CommandLine line;
  auto settings = std::make_shared<Settings>();

  // First pass, to find the module, whose options are not known yet.
  Texts first;
  CLI::App early;
  Prepare(early);
  AddOwnOptions(early, first);
  AddOldNames(early, first);
  early.parse(argc, argv);
  if (!first["version"].empty()) {
    line.text = "rum " PACKAGE_VERSION "\n";
    return line;
  }
  std::vector<std::string> errors;
  std::vector<ConfigItem> items;
  if (!first["config"].empty()) items = ReadConfigFiles(first["config"].back(), errors);
  auto last_in_files = [&](const char* name) {
    auto item = std::find_if(items.rbegin(), items.rend(),
                             [&](const ConfigItem& i) { return CurrentName(i.name) == name; });
    return item == items.rend() ? ConfigItem() : *item;
  };
  auto last = [&](const char* name) {
    return first[name].empty() ? last_in_files(name).value : first[name].back();
  };
  settings->module_dir = ModuleDirectory(last("module-dir"));
  settings->protocol = last("protocol");
  if (settings->protocol.empty()) {
    const bool other = first["map"].empty() ? last_in_files("map").name == RUM_OTHER_MAP_OPTION
                                            : early.count("--" RUM_OTHER_MAP_OPTION) > 0;
    const char* of_map = other ? RUM_OTHER_MAP_MODULE : RUM_MAP_MODULE;
    settings->protocol = last("map").empty() ? "passthrough.so" : of_map;
  }
  // --help, --check and --explain answer where they were asked.
  const bool serves = first["help"].empty() && first["check"].empty() && first["explain"].empty();
  if (prepare && serves) {
    auto given = [&](const char* name) { return !first[name].empty() || !last(name).empty(); };
    const bool background = !first["background"].empty() || FlagInFiles(items, "background");
    auto prepared = prepare({.background = background, .other_user = given("user")});
    if (!prepared) return prepared.error();
  }
  auto module = loaded ? Result<std::shared_ptr<const Module>>(std::move(loaded))
                       : Module::Load(settings->protocol, settings->module_dir, host);
  const size_t of_module = errors.size();  // the place of its error
  if (module) {
    line.module = *module;
  } else {
    errors.push_back(module.error().text + AboutMap(settings->protocol));
  }

  Texts texts;
  CLI::App app(kAbout, "rum");
  Prepare(app);
  app.footer(kFooter);
  AddOwnOptions(app, texts, Rows::kBeforeHelp);
  AddOldNames(app, texts);  // reserves their letters: a module cannot use them
  if (line.module) AddModuleOptions(app, texts, *line.module, errors);
  AddOwnOptions(app, texts, Rows::kHelp);
  AddOldNames(app, texts);
  if (!first["help"].empty()) {
    line.text = Help(app);
    if (!line.module) line.text += errors.front() + "\n";
    return line;
  }
  app.parse(argc, argv);
  bool check = !first["check"].empty();
  if (auto extras = app.remaining(); !extras.empty()) {
    // If the module did not load, an unknown option may be one of its options.
    if (line.module && !check)
      return Error{Fault::kUsage, Unexpected(texts, extras, line.module->table())};
    if (line.module) errors.push_back(Unexpected(texts, extras, line.module->table()));
  }
  Places places;
  AddConfig(items, app, line.module != nullptr, texts, places, errors);
  line.origins = OptionOrigins(texts, places);
  if (!module) errors[of_module] = line.origins.Locate(errors[of_module]);
  SettingsReader reader(texts, places, *settings);
  reader.ReadAll(line.module.get());
  reader.Judge(line.module.get());
  errors.insert(errors.end(), reader.errors.begin(), reader.errors.end());
  if (!errors.empty()) {
    Fault fault = !module ? Fault::kModule : Fault::kUsage;
    // --check always exits with 0 or 1.
    const auto& config = first["config"];
    return Error{settings->check ? Fault::kConfig : fault,
                 Join(std::move(errors), config.empty() ? "" : config.back())};
  }
  settings->given = std::move(texts);
  line.settings = std::move(settings);
  return line;
}

}  // namespace

Result<CommandLine> ReadCommandLine(int argc, char** argv, const rum_host& host,
                                    std::shared_ptr<const Module> loaded,
                                    std::function<Status(const BeforeModule&)> prepare) {
  try {
    return Read(argc, argv, host, std::move(loaded), prepare);
  } catch (const CLI::Error& e) {
    // "--listen: 1 required ADDR missing"
    std::string text = e.what();
    const size_t at = text.find(": 1 required ");
    if (e.get_exit_code() == static_cast<int>(CLI::ExitCodes::ArgumentMismatch) &&
        at != text.npos && text.ends_with(" missing")) {
      text = text.substr(0, at) + " needs a value";
    }
    bool check = std::find(argv, argv + argc, std::string_view("--check")) != argv + argc;
    return Error{check ? Fault::kConfig : Fault::kUsage, text};
  }
}

Reload PlanReload(const Settings& running, const Settings& fresh) {
  auto settings = std::make_shared<Settings>(running);
  settings->destinations = fresh.destinations;
  settings->balance = fresh.balance;
  settings->breaker = fresh.breaker;
  settings->source_addresses = fresh.source_addresses;
  settings->proxy_from = fresh.proxy_from;
  settings->send_proxy = fresh.send_proxy;
  settings->access_control = fresh.access_control;
  settings->geo_db = fresh.geo_db;
  // A listener that is removed from the configuration stays, with its lists, until a new process
  // starts.
  for (const auto& own : running.access_control.by_listener) {
    bool named = std::any_of(fresh.listeners.begin(), fresh.listeners.end(),
                             [&](const Address& a) { return a.text() == own.first; });
    if (!named) settings->access_control.by_listener.insert(own);
  }
  settings->admission = fresh.admission;
  settings->log = fresh.log;
  settings->log_logins = fresh.log_logins;
  settings->metrics_users = fresh.metrics_users;
  settings->ready_servers = fresh.ready_servers;
  settings->stats_token_file = fresh.stats_token_file;
  settings->log_sessions = fresh.log_sessions;
  settings->map_moved = fresh.map_moved;
  settings->tls = fresh.tls;
  settings->tls.state_dir = running.tls.state_dir;
  settings->tls.first = running.tls.first;
  settings->tls.plain = running.tls.plain;
  settings->tls.statistics = running.tls.statistics;
  settings->module_values = fresh.module_values;
  for (const DurationRow& row : kDurationRows) {
    if (row.reload) (*settings).*row.member = fresh.*row.member;
  }
  Reload reload;
  for (const auto& [name, values] : fresh.given) {
    auto before = running.given.find(name);
    if (before != running.given.end() && before->second == values) continue;
    // Options without a row belong to the module, which applies them itself.
    auto row =
        std::find_if(std::begin(kOptionRows), std::end(kOptionRows),
                     [&name = name](const OptionRow& r) { return LongName(r.flags) == name; });
    bool applied = row == std::end(kOptionRows) || row->reload;
    (applied ? reload.applied : reload.kept).push_back(name);
    if (applied) settings->given[name] = values;
  }
  reload.settings = std::move(settings);
  return reload;
}

std::vector<std::string> ByHand::Forget(const std::vector<std::string>& applied) {
  std::vector<std::string> forgotten;
  for (const std::string& option : applied) {
    const bool was_level = option == "log-level" && level;
    if (was_level) level.reset();
    if (limits.erase(option) > 0 || was_level) forgotten.push_back(option);
  }
  return forgotten;
}

std::shared_ptr<const Settings> ByHand::Over(std::shared_ptr<const Settings> configured) const {
  for (const auto& [option, value] : limits) {
    if (auto with = WithLimit(*configured, option, value)) configured = std::move(*with);
  }
  if (!level) return configured;
  auto settings = std::make_shared<Settings>(*configured);
  settings->log.level = *level;
  return settings;
}

}  // namespace rum
