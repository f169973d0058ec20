// Parses the texts of options, from the command line and files, into settings.
#pragma once

#include <rum/module.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "settings/settings.h"

namespace rum {

class Module;

// The values of the options as text, by long name.
using OptionTexts = std::map<std::string, std::vector<std::string>>;
// Positions ("FILE:LINE") of the values from a configuration file, in the same order.
using OptionPlaces = std::map<std::string, std::vector<std::string>>;

// Whether the module neither sees data nor handles connections or TLS.
bool OnlyRelays(const rum_module& table);

// A list without the blanks after its commas.
std::string Joined(std::string_view list);

// [main] Fills `settings`, once. Its arguments must outlive it.
// Parses "512M" into bytes; nullopt: invalid, or less than 1M.
std::optional<uint64_t> ReadSize(std::string_view text);

class SettingsReader {
 public:
  SettingsReader(const OptionTexts& texts, const OptionPlaces& places, Settings& settings)
      : texts_(texts), places_(places), s_(settings) {}

  // All errors, one sentence each.
  std::vector<std::string> errors;

  // `module` may be null; its options are not read then.
  void ReadAll(const Module* module);
  // Checks combinations of options. `module` may be null.
  void Judge(const Module* module);
  // Reads only limits; others keep their value in `settings`. settings_limits.cc
  void ReadLimits();

 private:
  std::optional<std::string> One(const std::string& name);
  bool Given(const std::string& name) { return !Many(name).empty(); }
  const std::vector<std::string>& Many(const std::string& name);

  // Adds an error. `text` begins with the option at fault, if there is one; an option from a file
  // is reported by its position. `index`: which of the option's values; by default the last one,
  // which is the one in use if an option may be given once only.
  void Wrong(const std::string& text, size_t index = SIZE_MAX);

  template <class T>
  std::optional<T> Take(Result<T> result, const std::string& name, size_t index = SIZE_MAX) {
    if (result) return std::move(*result);
    Wrong("--" + name + ": " + result.error().text, index);
    return std::nullopt;
  }

  void ReadAddresses();
  void BindOnce(const char* name, const std::optional<Address>& address, size_t index = SIZE_MAX);
  void ReadBalance();
  // settings_map.cc
  void ReadMap();
  void JudgeMap();
  void ReadShare();
  void ReadTls();
  void ReadTlsMode(const char* name, const std::map<std::string, TlsMode>& modes, TlsMode& mode);
  // settings_limits.cc
  void ReadClients();
  void ReadNetworks(const char* name, CidrSet& set);
  void ReadAccess(const char* name, AccessList AccessLists::*list);
  void ReadSourceAddresses();
  void ReadNofile();
  void ReadReadyServers();
  void ReadMetricsBounds();
  void ReadLoginFailures();
  void ReadLogForm();
  void ReadUser();
  void ReadSocketMode();
  void ReadWorkers();
  void ReadModule(const Module& module);
  void JudgeNamesToVerify();
  // settings_files.cc
  void JudgeFiles(const Module* module);
  void JudgeSocket(const char* name, const Address& address, size_t index);
  void JudgeCertificate(const Module* module);
  std::string InRoot(const std::string& path) const;
  void JudgeWithoutConversation(const std::string& module);

  const OptionTexts& texts_;
  const OptionPlaces& places_;
  Settings& s_;
  std::vector<std::pair<const char*, Address>> bound_;  // addresses and the options that bind them
};

}  // namespace rum
