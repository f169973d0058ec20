#include "check/byte_source.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

namespace rum {
namespace {

constexpr size_t kFileMost = 64 * 1024 * 1024;
constexpr size_t kWordLeast = 2, kWordMost = 40, kWordsMost = 4000;

bool Printable(char c) { return c >= 0x20 && c < 0x7f; }

void AddWords(std::string_view bytes, std::vector<std::string>* words) {
  for (size_t at = 0; at < bytes.size() && words->size() < kWordsMost;) {
    auto end =
        std::find_if_not(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.end(), Printable);
    auto size = static_cast<size_t>(end - bytes.begin()) - at;
    if (size >= kWordLeast && size <= kWordMost) words->emplace_back(bytes.substr(at, size));
    at += size + 1;
  }
}

}  // namespace

std::vector<std::string> WordsOfFile(const std::string& path) {
  std::vector<std::string> words;
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in || in.tellg() <= 0 || static_cast<size_t>(in.tellg()) > kFileMost) return words;
  std::string file(static_cast<size_t>(in.tellg()), '\0');
  in.seekg(0).read(file.data(), static_cast<std::streamsize>(file.size()));
  Elf64_Ehdr header;
  if (!in || file.size() < sizeof header) return words;
  std::memcpy(&header, file.data(), sizeof header);
  bool elf = std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0;
  if (!elf || header.e_ident[EI_CLASS] != ELFCLASS64) return words;
  for (size_t i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr section;
    size_t at = header.e_shoff + i * sizeof section;
    if (at > file.size() || file.size() - at < sizeof section) break;
    std::memcpy(&section, file.data() + at, sizeof section);
    // Constants: loaded, neither writable nor executable, and not symbol names.
    bool constants = section.sh_type == SHT_PROGBITS && section.sh_flags & SHF_ALLOC &&
                     !(section.sh_flags & (SHF_WRITE | SHF_EXECINSTR));
    if (!constants || section.sh_offset > file.size()) continue;
    size_t size = std::min<size_t>(section.sh_size, file.size() - section.sh_offset);
    AddWords(std::string_view(file).substr(section.sh_offset, size), &words);
  }
  return words;
}

std::string Mutate(std::string bytes, Dice& dice) {
  for (size_t times = 1 + dice.Below(3); times > 0 && !bytes.empty(); --times) {
    size_t at = dice.Below(bytes.size());
    switch (dice.Below(7)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << dice.Below(8)));
        break;
      case 1:
        bytes[at] = static_cast<char>(dice.Number());
        break;
      case 2:
        bytes[at] = static_cast<char>(bytes[at] + (dice.OneIn(2) ? 1 : -1));
        break;
      case 3:
        bytes.resize(at);
        break;
      case 4:
        bytes.erase(at, 1 + dice.Below(8));
        break;
      case 5:
        bytes.insert(at, bytes.substr(at, 1 + dice.Below(bytes.size())));
        break;
      default: {
        constexpr char kEdges[] = {0, 1, 0x7f, '\x80', '\xfa', '\xfb', '\xfe', '\xff', '\n', '\r'};
        bytes[at] = kEdges[dice.Below(sizeof kEdges)];
      }
    }
  }
  return bytes;
}

std::string ByteSource::Word() {
  static constexpr const char* kCommon[] = {"alice",   "a", "",   "0",  "-1", "65536", "4294967296",
                                            "default", "*", "\"", "%s", "..", "\xff",  "root"};
  if (vocabulary_.words.empty() || dice_.OneIn(3)) return dice_.Of(kCommon);
  return dice_.Of(vocabulary_.words);
}

std::string ByteSource::Line() {
  static constexpr const char* kBetween[] = {" ", " ", " ", "", ":", "=", "\t", ","};
  static constexpr const char* kEnds[] = {"\r\n", "\r\n", "\n", "\r", "", "\r\n\r\n"};
  std::string line = Word();
  for (size_t more = dice_.Below(4); more > 0; --more) line += dice_.Of(kBetween) + Word();
  return line + dice_.Of(kEnds);
}

std::string ByteSource::Noise() {
  static constexpr size_t kUpTo[] = {1, 3, 8, 40, 300, 1500};
  std::string bytes(1 + dice_.Below(dice_.Of(kUpTo)), '\0');
  for (char& c : bytes) c = static_cast<char>(dice_.Number());
  return bytes;
}

std::string ByteSource::Frame() {
  static constexpr size_t kWidths[] = {1, 2, 2, 3, 4, 4, 8};
  std::string body = dice_.OneIn(2) ? Line() : Noise(), number;
  if (dice_.OneIn(3)) body = std::string(1, static_cast<char>(dice_.Below(32))) + body;
  size_t width = dice_.Of(kWidths), size = body.size();
  if (dice_.OneIn(4)) size += width;
  if (dice_.OneIn(8)) size += dice_.Below(3) - 1;
  if (dice_.OneIn(16)) size = ~size_t{0} >> dice_.Below(64);
  for (size_t i = 0; i < width; ++i) number.push_back(static_cast<char>(size >> (8 * i)));
  if (dice_.OneIn(2)) std::reverse(number.begin(), number.end());
  std::string type = dice_.OneIn(2) ? "" : std::string(1, static_cast<char>(dice_.Number()));
  return dice_.OneIn(2) ? type + number + body : number + type + body;
}

std::string ByteSource::Say(uint32_t side, std::string_view heard) {
  const auto& samples = vocabulary_.samples[side];
  std::string bytes;
  size_t choice = dice_.Below(16);
  if (choice < 6 && !samples.empty()) {
    bytes = dice_.Of(samples);
    if (!dice_.OneIn(3)) bytes = Mutate(std::move(bytes), dice_);
  } else if (choice < 8) {
    bytes = Line();
  } else if (choice < 10) {
    bytes = Frame();
  } else if (choice < 12) {
    bytes = Noise();
  } else if (choice < 14) {
    bytes = Mutate(std::string(heard.substr(0, 4096)), dice_);
  } else if (choice == 14) {
    constexpr size_t kSizes[] = {2, 255, 256, 65'535, 65'536, 65'537, 262'144, 300'000};
    bytes = std::string(dice_.Of(kSizes), static_cast<char>(dice_.Number()));
  }
  if (bytes.empty()) bytes = std::string(1, static_cast<char>(dice_.Number()));
  return bytes;
}

}  // namespace rum
