// Bytes for people: as hex dump, and as a transcript writes them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rum {

// Sixteen bytes a line: offset, hex, text. At most `lines` lines. `known` marks the bytes that are
// shown as they are; the others are "??". Null: all are known.
std::string HexDump(std::string_view bytes, size_t lines = 16,
                    const std::vector<bool>* known = nullptr);

// As a transcript would write it: text where most of it is, else hex; what is repeated as 00*23.
std::string WriteBytes(std::string_view bytes);

}  // namespace rum
