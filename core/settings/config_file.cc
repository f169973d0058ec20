#include "settings/config_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

namespace rum {
namespace {

constexpr size_t kMostBytes = 1024 * 1024;
constexpr std::string_view kBlanks = " \t\r";

std::string_view Trim(std::string_view text) {
  size_t begin = text.find_first_not_of(kBlanks);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

bool IsName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

// Parses the text after `=`; false: a quote is not closed, or text follows the closing quote.
bool ReadValue(std::string_view text, std::string& value) {
  if (!text.empty() && (text[0] == '"' || text[0] == '\'')) {
    size_t end = text.find(text[0], 1);
    if (end == text.npos) return false;
    value = text.substr(1, end - 1);
    std::string_view rest = Trim(text.substr(end + 1));
    return rest.empty() || rest[0] == '#';
  }
  for (size_t at = text.find('#'); at != text.npos; at = text.find('#', at + 1)) {
    if (at == 0 || kBlanks.find(text[at - 1]) != kBlanks.npos) {
      text = Trim(text.substr(0, at));
      break;
    }
  }
  value = text;
  return true;
}

// As options are spelled: `connect-timeout` for `Connect_Timeout`.
std::string Spelled(std::string_view name) {
  std::string out;
  for (char c : name) {
    out += c == '_' ? '-' : c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

// Parses a line into `item`. Returns an error as a sentence, or an empty text.
std::string ReadLine(std::string_view line, ConfigItem& item) {
  if (line.find('\0') != line.npos)
    return "the line has a NUL byte; write the file as text, in UTF-8";
  if (line[0] == '[') return "sections are not supported; write each option by its long name";
  size_t equals = line.find('=');
  item.bare = equals == line.npos;
  std::string_view name = Trim(line.substr(0, equals));
  if (item.bare) name = Trim(name.substr(0, name.find('#')));
  if (name.starts_with("--")) return "write options without dashes here";
  if (!IsName(name)) {
    const std::string spelled = Spelled(name);
    if (IsName(spelled)) return "write this option as " + spelled;
    return "the line is not of the form: name = value";
  }
  item.name = name;
  if (!item.bare && !ReadValue(Trim(line.substr(equals + 1)), item.value)) {
    return "the quotes around the value do not match";
  }
  return {};
}

void ReadFile(const std::string& path, std::vector<ConfigItem>& items,
              std::vector<std::string>& errors) {
  std::error_code error;
  auto size = std::filesystem::file_size(path, error);  // fails unless it is a regular file
  std::ifstream file;
  if (!error && size <= kMostBytes) file.open(path);
  if (error || size > kMostBytes || !file) {
    errors.push_back("cannot read the configuration file '" + path + "': " +
                     (error               ? error.message()
                      : size > kMostBytes ? "it is larger than 1 MiB"
                                          : std::strerror(errno)));
    return;
  }
  std::string line;
  for (size_t number = 1; std::getline(file, line); ++number) {
    // Skip the UTF-8 byte order mark that some editors write.
    if (number == 1 && line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
    if (number == 1 && (line.starts_with("\xff\xfe") || line.starts_with("\xfe\xff"))) {
      errors.push_back(path + ":1: the file is in UTF-16; write it in UTF-8");
      return;
    }
    std::string_view text = Trim(line);
    if (text.empty() || text[0] == '#' || text[0] == ';') continue;
    ConfigItem item;
    item.where = path + ":" + std::to_string(number);
    if (std::string why = ReadLine(text, item); !why.empty()) {
      errors.push_back(item.where + ": " + why);
    } else {
      items.push_back(std::move(item));
    }
  }
}

}  // namespace

std::vector<ConfigItem> ReadConfigFiles(const std::string& path, std::vector<std::string>& errors) {
  std::vector<ConfigItem> items;
  ReadFile(path, items, errors);
  std::vector<std::string> more;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(path + ".d", error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() == ".conf") more.push_back(entry->path().string());
  }
  std::sort(more.begin(), more.end());
  for (const std::string& file : more) ReadFile(file, items, errors);
  return items;
}

}  // namespace rum
