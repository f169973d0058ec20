// Formats bytes for people: as a hex dump, and in the notation of transcripts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rum {

// Sixteen bytes a line: offset, hex, text; at most `lines` lines. Bytes not marked in `known` show
// as "??"; null marks all.
std::string HexDump(std::string_view bytes, size_t lines = 16,
                    const std::vector<bool>* known = nullptr);

// In the notation of transcripts: text if most bytes are text, else hex; repetitions as 00*23.
std::string WriteBytes(std::string_view bytes);

}  // namespace rum
