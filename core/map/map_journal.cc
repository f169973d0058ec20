#include "map/map_journal.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/keyed_hash.h"

namespace rum {
namespace {

constexpr std::string_view kMagic = "rumjnl1\n";
constexpr std::string_view kMark = "\xa7Rec";  // begins a record
// mark, length of the payload, checksum of the payload
constexpr size_t kHead = 4 + 4 + 8;
constexpr size_t kMostPayload = 1 + 8 + 2 + kJournalMostUser + kJournalMostValue;
constexpr size_t kBasePayload = 1 + 8 + 32 + 4 * 8;
// After a bad record: how many bytes are checked at most in the search for a good one.
constexpr uint64_t kSearchMost = 16 << 20;

enum class Type : uint8_t { kSet = 1, kUnset = 2, kBase = 3 };

template <class T>
void Put(std::string& out, T number) {
  for (size_t i = 0; i < sizeof number; ++i) {
    out.push_back(static_cast<char>(static_cast<uint64_t>(number) >> (8 * i)));
  }
}

// Takes a number from the front; there are enough bytes.
template <class T>
T Take(std::string_view& bytes) {
  uint64_t number = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    number |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  }
  bytes.remove_prefix(sizeof(T));
  return static_cast<T>(number);
}

uint64_t ChecksumOf(uint64_t id, std::string_view payload) {
  return SipHash({id, payload.size()}, payload);
}

void AppendRecord(std::string& out, uint64_t id, std::string_view payload) {
  out.append(kMark);
  Put(out, static_cast<uint32_t>(payload.size()));
  Put(out, ChecksumOf(id, payload));
  out.append(payload);
}

// The payload at the front of `bytes`; nullopt: no whole record with a right checksum is there.
std::optional<std::string_view> PayloadAt(std::string_view bytes, uint64_t id) {
  if (bytes.size() < kHead || !bytes.starts_with(kMark)) return std::nullopt;
  bytes.remove_prefix(kMark.size());
  const auto size = Take<uint32_t>(bytes);
  const auto checksum = Take<uint64_t>(bytes);
  if (size > kMostPayload || size > bytes.size()) return std::nullopt;
  const std::string_view payload = bytes.substr(0, size);
  if (ChecksumOf(id, payload) != checksum) return std::nullopt;
  return payload;
}

std::optional<JournalBase> ParseBase(std::string_view payload) {
  if (payload.size() != kBasePayload - 1) return std::nullopt;
  JournalBase base;
  base.folded = Take<uint64_t>(payload);
  std::memcpy(base.identity.data(), payload.data(), base.identity.size());
  payload.remove_prefix(base.identity.size());
  base.stamp.device = Take<uint64_t>(payload);
  base.stamp.inode = Take<uint64_t>(payload);
  base.stamp.bytes = Take<uint64_t>(payload);
  base.stamp.modified_ns = std::bit_cast<int64_t>(Take<uint64_t>(payload));
  return base;
}

std::optional<JournalChange> ParseChange(std::string_view payload, bool set, uint64_t last) {
  if (payload.size() < 8 + 2) return std::nullopt;
  JournalChange change;
  change.sequence = Take<uint64_t>(payload);
  const auto user_size = Take<uint16_t>(payload);
  if (change.sequence == 0 || (last != 0 && change.sequence != last + 1)) return std::nullopt;
  if (user_size > kJournalMostUser || user_size > payload.size()) return std::nullopt;
  change.user = payload.substr(0, user_size);
  payload.remove_prefix(user_size);
  if (set) {
    change.value = payload;
  } else if (!payload.empty()) {
    return std::nullopt;
  }
  return change;
}

bool GoodRecordFollows(std::string_view bytes, uint64_t id) {
  uint64_t searched = 0;
  for (size_t at = bytes.find(kMark, 1); at != bytes.npos; at = bytes.find(kMark, at + 1)) {
    if (PayloadAt(bytes.substr(at), id)) return true;
    searched += std::min(bytes.size() - at, kMostPayload);
    if (searched > kSearchMost) return true;  // whatever it is, no writer may cut it off
  }
  return false;
}

}  // namespace

std::string FormatJournalHeader(uint64_t id) {
  std::string header(kMagic);
  Put(header, id);
  return header;
}

std::optional<uint64_t> ParseJournalHeader(std::string_view bytes) {
  if (bytes.size() < kJournalHeaderBytes || !bytes.starts_with(kMagic)) return std::nullopt;
  bytes.remove_prefix(kMagic.size());
  return Take<uint64_t>(bytes);
}

void AppendJournalChange(std::string& out, uint64_t id, const JournalChange& change) {
  std::string payload;
  Put(payload, static_cast<uint8_t>(change.value ? Type::kSet : Type::kUnset));
  Put(payload, change.sequence);
  Put(payload, static_cast<uint16_t>(change.user.size()));
  payload.append(change.user).append(change.value.value_or(""));
  AppendRecord(out, id, payload);
}

void AppendJournalBase(std::string& out, uint64_t id, const JournalBase& base) {
  std::string payload;
  Put(payload, static_cast<uint8_t>(Type::kBase));
  Put(payload, base.folded);
  payload.append(reinterpret_cast<const char*>(base.identity.data()), base.identity.size());
  for (uint64_t number : {base.stamp.device, base.stamp.inode, base.stamp.bytes}) {
    Put(payload, number);
  }
  Put(payload, std::bit_cast<uint64_t>(base.stamp.modified_ns));
  AppendRecord(out, id, payload);
}

JournalEnd ParseJournal(std::string_view bytes, uint64_t id, uint64_t last,
                        const JournalHooks& hooks) {
  JournalEnd end{JournalEnd::Kind::kWhole, 0, last};
  while (end.good < bytes.size()) {
    const std::string_view rest = bytes.substr(end.good);
    const auto payload = PayloadAt(rest, id);
    bool good = payload && !payload->empty();
    if (good) {
      const auto type = static_cast<Type>(payload->front());
      const std::string_view fields = payload->substr(1);
      if (type == Type::kBase) {
        const auto base = ParseBase(fields);
        good = base.has_value();
        if (good && hooks.base) hooks.base(*base);
      } else {
        const bool known = type == Type::kSet || type == Type::kUnset;
        const auto change =
            known ? ParseChange(fields, type == Type::kSet, end.last) : std::nullopt;
        good = change.has_value();
        if (good) end.last = change->sequence;
        if (good && hooks.change) hooks.change(*change);
      }
    }
    if (!good) {
      // A whole record with a right checksum that means nothing is not the work of a killed writer.
      end.kind = payload || GoodRecordFollows(rest, id) ? JournalEnd::Kind::kDamaged
                                                        : JournalEnd::Kind::kTorn;
      return end;
    }
    end.good += kHead + payload->size();
  }
  return end;
}

}  // namespace rum
