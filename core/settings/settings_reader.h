// Parses the texts of options, from the command line and files, into settings.
#pragma once

#include <map>
#include <optional>
#include <string>
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

// [main] Fills `settings`, once. Its arguments must outlive it.
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
  // is reported by its position. `index`: which of the option's values.
  void Wrong(const std::string& text, size_t index = 0);

  template <class T>
  std::optional<T> Take(Result<T> result, const std::string& name, size_t index = 0) {
    if (result) return std::move(*result);
    Wrong("--" + name + ": " + result.error().text, index);
    return std::nullopt;
  }

  void ReadAddresses();
  void BindOnce(const char* name, const std::optional<Address>& address, size_t index = 0);
  void ReadBalance();
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
  void JudgeWithoutConversation(const std::string& module);

  const OptionTexts& texts_;
  const OptionPlaces& places_;
  Settings& s_;
  std::vector<std::pair<const char*, Address>> bound_;  // addresses and the options that bind them
};

}  // namespace rum
